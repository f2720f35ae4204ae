import { exitCodes } from "./ExitCode.ts"
import * as Page from "./line/Page.ts"

/** A command in `coupon --help` and in the table of docs/reference/cli.md, which a test compares. */
interface Entry {
  /** The command with its arguments, without the options that every command has. */
  readonly usage: string
  readonly text: string
  /** The role that it needs; `anyone`: no key, unless PUBLIC_ACCESS says otherwise. */
  readonly role: "anyone" | "REDEEMER" | "VIEWER" | "OPERATOR" | "ADMIN"
}

export const entries: ReadonlyArray<Entry> = [
  {
    usage: "campaign create --name N --limit L [--start T] [--end T] [--valid-until T] [--valid-for D]",
    text: "opens a campaign, now unless a start is given; D is a duration of ISO 8601",
    role: "OPERATOR"
  },
  {
    usage: "apply -f FILE [--dry-run] [--allow-end]",
    text: "makes campaigns what a YAML file says; run again, it changes nothing",
    role: "OPERATOR"
  },
  {
    usage: "campaign get ID [--codes] [--output O]",
    text: "shows a campaign; --codes: every issued code, one a line; O is text, json or yaml",
    role: "anyone"
  },
  {
    usage: "campaign list [--phase P] [--prefix N] [--limit N]",
    text: "P is scheduled, open, sold-out, paused or ended",
    role: "VIEWER"
  },
  {
    usage: "campaign history ID [--limit N]",
    text: "the phases that a campaign has reached, and when",
    role: "VIEWER"
  },
  {
    usage: "campaign timeline ID [--limit N]",
    text: "what operators did to a campaign, and the phases that it has reached",
    role: "VIEWER"
  },
  {
    usage: "campaign update ID [--name N] [--limit L] [--start T] [--end T] [--valid-until T] [--valid-for D]",
    text: "changes what is given",
    role: "OPERATOR"
  },
  { usage: "campaign pause ID", text: "strict: once it answers, nothing more is issued", role: "OPERATOR" },
  { usage: "campaign resume ID", text: "lets a paused campaign issue again", role: "OPERATOR" },
  { usage: "campaign end ID [--yes]", text: "ends a campaign for good; asks for its name", role: "OPERATOR" },
  {
    usage: "codes preview [--pattern P] [--alphabet A]",
    text: "draws codes of a format, and counts how many there are; asks no service",
    role: "anyone"
  },
  {
    usage: "codes import ID FILE [--dry-run]",
    text: "imports own codes into a campaign's pool; safe to repeat",
    role: "OPERATOR"
  },
  { usage: "codes status ID", text: "how many codes a pool has, and its imports", role: "VIEWER" },
  { usage: "codes abort ID IMPORT", text: "gives an import up that is not finished", role: "OPERATOR" },
  { usage: "issue ID USER", text: "claims a coupon for a user and prints its code; safe to repeat", role: "anyone" },
  { usage: "get ID USER", text: "shows the coupon that a user holds", role: "anyone" },
  {
    usage: "list [ID] [--user U] [--desc] [--from T] [--before T] [--state S] [--limit N]",
    text: "lists coupons of a campaign, or of a user in all campaigns",
    role: "VIEWER"
  },
  { usage: "find ID CODE", text: "shows the coupon that has a code; a REDEEMER may, too", role: "VIEWER" },
  {
    usage: "export ID [--to FILE] [--format F] [--after N]",
    text: "writes all coupons to a file, CSV or NDJSON, or a pipe; run again, it goes on",
    role: "VIEWER"
  },
  {
    usage: "events ID [--after N] [--follow]",
    text: "what happened to a campaign, in the order of commit, after this event; --follow: as it happens",
    role: "VIEWER"
  },
  {
    usage: "redeem ID [CODE] [--user U] [--request-id R] [--terminal T] [--order O]",
    text: "redeems a coupon; safe to repeat with the same --request-id",
    role: "REDEEMER"
  },
  {
    usage: "undo ID [CODE] [--user U] [--request-id R] [--reason W]",
    text: "undoes the redemption of a coupon, within its window",
    role: "REDEEMER"
  },
  {
    usage: "revoke ID [CODE] [--user U] [--return-slot] [--reason W] [--request-id R] [--yes]",
    text: "revokes a coupon for good; with --return-slot one more user gets a coupon",
    role: "OPERATOR"
  },
  {
    usage: "erase-user USER [--reason W] [--yes]",
    text: "erases a user from all coupons for good; asks for the user, and is safe to repeat",
    role: "ADMIN"
  },
  {
    usage: "watch [--count N]",
    text: "what all instances do, each second: a table on a terminal, lines elsewhere",
    role: "VIEWER"
  },
  {
    usage: "doctor",
    text: "checks stores, versions, access, clocks, session variables, harmful settings, and what is stuck",
    role: "VIEWER"
  },
  {
    usage: "verify [ID]",
    text: "checks every campaign, or one, against the invariants while the service runs",
    role: "VIEWER"
  },
  {
    usage: "rebuild ID [--discard]",
    text: "rebuilds a campaign's gate from the ledger while it serves",
    role: "OPERATOR"
  },
  {
    usage: "backup [--to FILE]",
    text: "copies the embedded ledger while it serves; for MySQL, names the command",
    role: "ADMIN"
  },
  { usage: "settings [--changed]", text: "the settings in effect; secrets stay secret", role: "VIEWER" },
  {
    usage: "log [--campaign ID] [--who NAME] [--what KIND] [--since TIME] [--until TIME] [--limit N] [--before ID]",
    text: "administrative acts, also refused, newest first: who, what, before, after; KIND: campaign.pause or campaign",
    role: "VIEWER"
  },
  {
    usage: "keys create --name N --role R [--rate N] [--expires T] [--networks A,B] [--campaigns 1,2]",
    text: "makes an API key; its secret is all of standard output",
    role: "ADMIN"
  },
  { usage: "keys list", text: "lists every key that ever was, without secrets", role: "ADMIN" },
  {
    usage: "keys limit KEY [--expires T] [--networks A,B] [--campaigns 1,2]",
    text: "changes the limits of a key; never and any remove one",
    role: "ADMIN"
  },
  {
    usage: "keys rotate KEY [--overlap 24h] [--expires T]",
    text: "replaces a key by a new one; its secret is all of standard output",
    role: "ADMIN"
  },
  {
    usage: "keys revoke KEY [--yes]",
    text: "ends the validity of a key; asks for the name of the last ADMIN key",
    role: "ADMIN"
  },
  {
    usage: "webhook create TARGET [--types A,B] [--campaigns 1,2] [--mode M] [--on-failure F]",
    text: "makes a webhook; M is each, batch or range, F is retry or park; its secret is all of standard output",
    role: "OPERATOR"
  },
  {
    usage: "webhook list",
    text: "all webhooks, with their backlog",
    role: "VIEWER"
  },
  {
    usage: "webhook get WEBHOOK",
    text: "shows a webhook, and why it is disabled",
    role: "VIEWER"
  },
  {
    usage: "webhook update WEBHOOK [--target T] [--enable] [--disable]",
    text: "changes what is given, as in create",
    role: "OPERATOR"
  },
  {
    usage: "webhook delete WEBHOOK",
    text: "removes a webhook with all that is known of its deliveries",
    role: "OPERATOR"
  },
  {
    usage: "webhook trigger TYPE --webhook WEBHOOK",
    text: "sends it an example of an event, e.g. coupon.issued",
    role: "OPERATOR"
  },
  {
    usage: "webhook rotate-secret WEBHOOK [--overlap 24h]",
    text: "gives it a new secret, which is all of standard output; the former stays valid for a while",
    role: "OPERATOR"
  },
  {
    usage: "webhook replay WEBHOOK --campaign ID [--after N]",
    text: "delivers the events after N again",
    role: "OPERATOR"
  },
  {
    usage: "webhook attempts WEBHOOK [--limit N]",
    text: "what deliveries have come to, the newest first",
    role: "VIEWER"
  },
  {
    usage: "webhook parked WEBHOOK [--limit N]",
    text: "what was set aside",
    role: "VIEWER"
  },
  {
    usage: "webhook retry WEBHOOK [DELIVERY …] [--all]",
    text: "sends again what was set aside",
    role: "OPERATOR"
  },
  {
    usage: "listen --forward-to URL --campaign ID [--after N] [--mode M]",
    text: "sends a campaign's events to your own endpoint as a webhook would, signed; prints the secret",
    role: "VIEWER"
  },
  {
    usage: "k8s scaled-object ID --deployment D --replicas N [--lead 15m] [--for 1h] [-o values]",
    text: "prints a ScaledObject of KEDA that starts instances before a campaign opens",
    role: "anyone"
  }
]

/** The words of a command, without its arguments and options. */
export const wordsOf = ({ usage }: Pick<Entry, "usage">): string => /^[a-z0-9-]+(?: [a-z][a-z-]*)*/.exec(usage)![0]

/** What `coupon` and `coupon --help` print. `terminal`: the terminal's columns, if that is known. */
export const text = (terminal: number | undefined): string => {
  const columns = Page.columnsOf(terminal)
  return [
    Page.paragraph("coupon operates coupon-issuance: a client of its API and of its operator plane", columns),
    "COMMANDS",
    Page.list(entries.map((entry) => [wordsOf(entry), `${entry.text} (${entry.role})`]), columns),
    "OPTIONS OF EVERY COMMAND",
    Page.list([
      ["--url, COUPON_URL", "where the service is; http://127.0.0.1:8080 unless given"],
      ["--key, COUPON_API_KEY", "the API key; prefer the variable, since other users of a machine can see arguments"],
      ["--timeout 10s", "longest wait for an answer to a single call"],
      ["--tz Asia/Seoul", "the zone of times that have no offset, and of those that are shown; unless given, TZ or " +
        "this machine's"],
      ["--json", "for programs: one object (streams: one a line); a failure is one on standard error"],
      ["--help", "all options of a command"]
    ], columns),
    Page.paragraph(
      "Also --version, and --completions bash|zsh|fish|sh. Times are RFC 3339, now, from now (+90s, +10m, +2h, +1d), " +
        "or those of clocks: 12:00, tomorrow 12:00, 2025-06-25 12:00.",
      columns
    ),
    "EXIT CODES",
    Page.list(Object.values(exitCodes).map(({ code, meaning }) => [String(code), meaning]), columns)
  ].join("\n\n")
}
