/**
 * The command's exit codes. Scripts rely on them, so a code never changes its meaning. docs/reference/cli.md has this
 * table, and a test compares them.
 */
export const exitCodes = {
  OK: { code: 0, meaning: "done" },
  FAILED: { code: 1, meaning: "something unexpected; the message says what is known" },
  USAGE: {
    code: 2,
    meaning: "an option, an argument or a field breaks its rule, or `apply --dry-run` would change something; " +
      "nothing was done"
  },
  NOT_FOUND: { code: 3, meaning: "no such campaign, coupon, key, import, webhook or delivery" },
  PRECONDITION: {
    code: 4,
    meaning: "the state forbids it: already claimed, sold out, paused, ended, not started, changed meanwhile, or " +
      "codes of an import are rejected"
  },
  ACCESS: { code: 5, meaning: "no valid key, or one whose role is too low" },
  UNAVAILABLE: {
    code: 6,
    meaning: "the service or a store cannot be reached, or is overloaded; nothing was done, so try again"
  },
  UNKNOWN: {
    code: 7,
    meaning: "it may have been done: the connection or the store failed meanwhile; look before you repeat"
  },
  UNSOUND: {
    code: 8,
    meaning: "`verify` found a violation, `doctor` something that does not work, or `webhook trigger` was not delivered"
  },
  INTERRUPTED: { code: 130, meaning: "stopped by Ctrl-C or SIGTERM" }
} as const

export type Exit = keyof typeof exitCodes
