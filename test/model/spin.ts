import { spawn, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { parseArgs } from "node:util"
import { inLongProfile } from "../support/profile.ts"

/** One exhaustive search: a model of this folder, its constants, and what is broken in it, if anything. */
export interface Check {
  readonly model: "doubt" | "rebuild"
  readonly name: string
  /** `#define`s: constants of the model, by name. */
  readonly constants: Readonly<Record<string, number>>
  /** The `#ifdef` that breaks the protocol: then the search must end with a violation. */
  readonly mutant?: string
}

/** What a search came to. */
export interface Verdict {
  /** The first violation in Spin's words; `undefined` if every reachable state was seen and none violates anything. */
  readonly violation: string | undefined
  readonly states: number
  readonly seconds: number
  readonly megabytes: number
}

// One kind of trouble at a time, so that each search stays small. What is 0 here is not 0 in another search.
const calm = { DEATHS: 0, RELAY_DEATHS: 0, RECONCILES: 0, AWAY: 0, SWEEPS: 0, FLUSHES: 0 }
/** A user who holds a coupon claims again while another claims the last one. */
const holder = { ...calm, LIMIT: 2, SOLD: 1, CLAIMS: 2 }

/** The campaign is sold out: its holder, another user and the holder again. */
const soldOut = { ...calm, LIMIT: 1, SOLD: 1, CLAIMS: 3 }
/** Two users and one coupon, and the first of them claims twice. */
const rush = { ...calm, LIMIT: 1, CLAIMS: 3 }
const one = { ...calm, LIMIT: 1, CLAIMS: 1 }
const calmDoubt = { DEATHS: 0, ABORTS: 0, RELAY_DEATHS: 0 }

const doubt = (name: string, constants: Check["constants"]): Check => ({
  model: "doubt",
  name,
  constants: { ...calmDoubt, ...constants }
})
const rebuild = (name: string, constants: Check["constants"]): Check => ({ model: "rebuild", name, constants })

/** What `npm test` searches: each kind of trouble once. */
const someChecks: ReadonlyArray<Check> = [
  doubt("two batches, a death, two aborted transactions, a dead relay", {
    BATCHES: 2,
    DEATHS: 1,
    ABORTS: 2,
    RELAY_DEATHS: 1
  }),
  rebuild("a loss of memory after sold out", { ...soldOut, FLUSHES: 1 }),
  rebuild("three claims, a dead instance, a sweep, Redis away for a claim", { ...rush, DEATHS: 1, AWAY: 1, SWEEPS: 1 }),
  rebuild("a lost tail beside a reconciliation, one claim", { ...one, TAILS: 1, RECONCILES: 1 }),
  rebuild("a loss of memory, Redis away for a claim, a dead relay", {
    ...holder,
    FLUSHES: 1,
    AWAY: 1,
    RELAY_DEATHS: 1
  }),
  rebuild("a loss of memory while the terms change, one claim", { ...one, FLUSHES: 1, CHANGES: 1 })
]

const allChecks: ReadonlyArray<Check> = [
  ...someChecks,
  doubt("three batches, one death of a connection", { DEATHS: 1 }),
  doubt("two batches, two deaths, room for both users", { BATCHES: 2, LIMIT: 2, DEATHS: 2 }),
  rebuild("two losses of memory", { ...holder, FLUSHES: 2 }),
  rebuild("a lost tail", { ...holder, TAILS: 1 }),
  rebuild("a lost tail while the terms change, one claim", { ...one, TAILS: 1, CHANGES: 1 })
]

export const checks = inLongProfile(allChecks, someChecks)

/** More of everything at once: minutes, and about 1 GB. */
export const largeChecks: ReadonlyArray<Check> = [
  doubt("three batches, two deaths", { DEATHS: 2 }),
  doubt("three batches, a death, an aborted transaction, a dead relay", { DEATHS: 1, ABORTS: 1, RELAY_DEATHS: 1 }),
  doubt("three users, two batches, two deaths, an aborted transaction", {
    USERS: 3,
    LIMIT: 2,
    BATCHES: 2,
    DEATHS: 2,
    ABORTS: 1
  }),
  rebuild("two losses of memory after sold out", { ...soldOut, FLUSHES: 2 }),
  rebuild("two claims, a loss of memory and one of each other fault", {
    LIMIT: 1, CLAIMS: 2, FLUSHES: 1, DEATHS: 1, RELAY_DEATHS: 1, AWAY: 1, SWEEPS: 1, RECONCILES: 0
  }),
  rebuild("three claims, a loss of memory", { ...rush, FLUSHES: 1 }),
  rebuild("a loss of memory beside a reconciliation", { ...holder, FLUSHES: 1, RECONCILES: 1 }),
  rebuild("a lost tail beside a reconciliation", { ...holder, TAILS: 1, RECONCILES: 1 }),
  rebuild("a lost tail and a loss of memory", { ...holder, TAILS: 1, FLUSHES: 1 }),
  rebuild("two claims while the terms change, a loss of memory", { ...holder, FLUSHES: 1, CHANGES: 1 })
]

const brokenDoubt = (mutant: string, name: string, constants: Check["constants"] = {}): Check => ({
  ...doubt(name, { DEATHS: 1, ...constants }),
  mutant
})
const brokenRebuild = (mutant: string, name: string, constants: Check["constants"]): Check => ({
  ...rebuild(name, constants),
  mutant
})

/** The protocol, broken in one place each. `npm test` breaks each of its devices once: */
const someMutants: ReadonlyArray<Check> = [
  brokenDoubt("NO_VOID", "the coupons are read without a VOID marker"),
  brokenDoubt("MARKER_IGNORED", "the batch overwrites a VOID marker"),
  brokenDoubt("RETRY_IN_DOUBT", "a batch in doubt is sent again", { ABORTS: 1 }),
  brokenDoubt("NO_ROW_LOCK", "the campaign is read without a lock"),
  brokenRebuild("NO_FENCE", "chunks are taken whatever the generation", { ...holder, FLUSHES: 1 }),
  brokenRebuild("LATCH_TRUSTED", "the latch asks for membership alone", { ...soldOut, FLUSHES: 1 }),
  brokenRebuild("RELEASE_ANY", "a release deletes whatever is there", { ...rush, DEATHS: 1, SWEEPS: 1 }),
  brokenRebuild("SETTLE_FIRST", "the relay settles before it confirms", holder),
  brokenRebuild("NO_RECONCILER", "there is no reconciler", { ...holder, TAILS: 1 }),
  brokenRebuild("NO_REAPER", "there is no reaper", { ...holder, DEATHS: 1 }),
  brokenRebuild("NO_VERSION_CHECK", "the reconciler compares counts alone", { ...one, TAILS: 1, CHANGES: 1 })
]

const allMutants: ReadonlyArray<Check> = [
  ...someMutants,
  brokenDoubt("DOUBT_IS_FAILURE", "a lost connection is taken for a failure"),
  brokenDoubt("READ_BEFORE_VOID", "the coupons are read before the VOID marker is there"),
  brokenDoubt("MARKER_AFTER_COMMIT", "the marker is written by a transaction of its own"),
  brokenDoubt("VOID_PURGED", "VOID markers are deleted while a batch is under way"),
  brokenDoubt("ROW_COUNT_LIES", "a dead connection makes the batch count no rows"),
  brokenDoubt("SETTLE_FIRST", "the relay settles before it publishes"),
  brokenRebuild("SWAP_IN", "the set is built aside and swapped in", { ...holder, FLUSHES: 1, AWAY: 1 }),
  brokenRebuild("NO_SENTINEL", "a set that is gone counts as empty", { ...holder, FLUSHES: 1 }),
  brokenRebuild("SENTINEL_LAST", "the sentinel is added only when all pages are fed", { ...holder, FLUSHES: 1 }),
  brokenRebuild("EVENT_IF_ADDED", "hydration publishes nothing, and confirm only those it adds", {
    ...holder,
    FLUSHES: 1
  }),
  brokenRebuild("ISSUED_AT_RESERVE", "a reservation counts as a coupon", holder),
  brokenRebuild("FULL_IS_SOLD_OUT", "reservations count as sold", rush),
  brokenRebuild("TALLY_LAST", "the reconciler looks at the gate before the ledger and not after", {
    ...holder,
    RECONCILES: 1
  }),
  brokenRebuild("TERMS_READ_ONCE", "hydration reads the terms once", { ...holder, CHANGES: 1 })
]

export const mutants = inLongProfile(allMutants, someMutants)

const runs = (program: string, ...args: ReadonlyArray<string>): boolean =>
  spawnSync(program, args, { stdio: "ignore" }).status === 0

// Spin runs its input through gcc's preprocessor, so no other compiler will do.
const missing = (): ReadonlyArray<string> => [
  ...runs("spin", "-V") ? [] : ["spin"],
  ...runs("gcc", "--version") ? [] : ["gcc", "libc6-dev"]
]

/** Debian's package needs no service and no configuration; without lists, or with old ones, they are fetched first. */
const install = (packages: ReadonlyArray<string>): void => {
  if (process.getuid?.() !== 0 || !runs("apt-get", "--version")) return
  const apt = (...args: ReadonlyArray<string>) =>
    spawnSync("apt-get", ["-q", "-o", "DPkg::Lock::Timeout=60", ...args], {
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
      stdio: "ignore",
      timeout: 120_000
    }).status === 0
  const all = ["install", "-y", "--no-install-recommends", ...packages]
  if (!apt(...all) && apt("update")) apt(...all)
}

/** Why nothing can be checked here; `undefined` if the programs are there, perhaps only now. */
export const obstacle = (): string | undefined => {
  const before = missing()
  if (before.length > 0) install(before)
  const after = missing()
  return after.length === 0
    ? undefined
    : `no ${after.join(", ")} on the PATH, and not root on a Debian that can install it`
}

const output = (program: string, args: ReadonlyArray<string>, cwd: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, stdio: ["ignore", "pipe", "pipe"] })
    let text = ""
    child.stdout.on("data", (chunk) => text += chunk)
    child.stderr.on("data", (chunk) => text += chunk)
    child.on("error", reject)
    child.on(
      "close",
      (code) =>
        code === 0 ? resolve(text) : reject(new Error(`${program} ${args.join(" ")} ended with ${code}:\n${text}`))
    )
  })

const found = (text: string, pattern: RegExp): string => {
  const match = pattern.exec(text)
  if (match === null) throw new Error(`Spin's report lacks ${pattern}:\n${text}`)
  return match[1]!
}

/** Searches all states of a model. Fails if the search was cut short, by anything but a violation. */
export const search = async ({ constants, model, mutant }: Check): Promise<Verdict> => {
  const folder = Fs.mkdtempSync(Path.join(Os.tmpdir(), "spin-"))
  try {
    const defines = Object.entries(constants).map(([name, value]) => `-D${name}=${value}`)
    if (mutant !== undefined) defines.push(`-D${mutant}`)
    // A copy: Spin writes next to its input.
    const file = Path.join(folder, "model.pml")
    Fs.copyFileSync(Path.join(import.meta.dirname, `${model}.pml`), file)
    await output("spin", ["-a", ...defines, file], folder)
    // SAFETY: assertions and invalid end states, no cycles. COLLAPSE: a quarter of the memory.
    // Most violations are found sooner than an optimised checker is compiled (1 to 2 s).
    const level = mutant === undefined ? "-O1" : "-O0"
    await output("gcc", [level, "-w", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=3000", "-o", "pan", "pan.c"], folder)
    const began = performance.now()
    const report = await output(Path.join(folder, "pan"), ["-m100000"], folder)
    const seconds = (performance.now() - began) / 1_000
    const errors = Number(found(report, /errors: (\d+)/))
    if (errors === 0 && /Search not completed|max search depth too small/.test(report)) {
      throw new Error(`an incomplete search:\n${report}`)
    }
    return {
      violation: errors === 0 ? undefined : found(report, /^pan:\d+: (.*)$/m),
      states: Number(found(report, /([\d.e+]+) states, stored/)),
      seconds,
      megabytes: Number(found(report, /([\d.]+)\s+total actual memory usage/))
    }
  } finally {
    Fs.rmSync(folder, { recursive: true, force: true })
  }
}

export const lineOf = ({ megabytes, seconds, states, violation }: Verdict): string =>
  `${states.toLocaleString("en")} states, ${seconds.toFixed(1)} s, ${megabytes.toFixed(0)} MB` +
    (violation === undefined ? "" : `: ${violation}`)

if (import.meta.main) {
  const { values } = parseArgs({ options: { large: { type: "boolean" }, mutants: { type: "boolean" } } })
  const reason = obstacle()
  if (reason !== undefined) throw new Error(reason)
  for (const check of values.mutants ? allMutants : values.large ? largeChecks : allChecks) {
    const verdict = await search(check)
    const isRight = (verdict.violation !== undefined) === (check.mutant !== undefined)
    if (!isRight) process.exitCode = 1
    const mutant = check.mutant === undefined ? "" : ` (${check.mutant})`
    console.log(`${isRight ? "ok   " : "WRONG"} ${check.model}: ${check.name}${mutant}: ${lineOf(verdict)}`)
  }
}
