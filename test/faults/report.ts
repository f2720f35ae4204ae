import * as Fs from "node:fs"
import type { Death } from "./mutants.ts"
import type { RunResult } from "./run.ts"

const file = new URL("../../docs/internals/faults.md", import.meta.url)

/** Puts a table's rows between its markers, in place of what is there; `merge` sees the rows that were there. */
const rewrite = (
  name: string,
  header: ReadonlyArray<string>,
  merge: (rows: ReadonlyArray<string>) => ReadonlyArray<string>
): void => {
  const text = Fs.readFileSync(file, "utf8")
  const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`]
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`docs/internals/faults.md has no ${begin} … ${end}`)
  const rows = text.slice(from + begin.length, to).trim().split("\n").slice(2)
  const table = [row(header), row(header.map(() => "---")), ...merge(rows)].join("\n")
  Fs.writeFileSync(file, `${text.slice(0, from)}${begin}\n${table}\n${text.slice(to)}`)
}

const row = (cells: ReadonlyArray<string | number>): string => `| ${cells.join(" | ")} |`

/** What identifies a run: seed, length and ledger. */
const keyOf = (line: string): string => line.split("|").slice(1, 4).map((cell) => cell.trim()).join(" ")

const order = (a: string, b: string): number => {
  const [left, right] = [keyOf(a).split(" "), keyOf(b).split(" ")]
  return left[2]! < right[2]!
    ? -1
    : left[2]! > right[2]!
    ? 1
    : Number(left[1]) - Number(right[1]) || Number(left[0]) - Number(right[0])
}

/** Adds runs to the table; one that is there already is replaced. */
export const writeRuns = (results: ReadonlyArray<RunResult>): void =>
  rewrite(
    "runs",
    ["seed", "seconds", "ledger", "claims", "OKs", "faults", "in doubt: issued / not", "violations", "recovery"],
    (rows) => {
      const all = new Map(rows.map((line) => [keyOf(line), line]))
      for (const result of results) {
        const line = row([
          result.seed,
          result.seconds,
          result.database,
          result.claims,
          result.answers["OK"] ?? 0,
          `${Object.values(result.fired).reduce((sum, n) => sum + n, 0)} of ${Object.keys(result.fired).length} kinds`,
          `${result.inDoubt.issued} / ${result.inDoubt.notIssued}`,
          result.violations.length,
          `${(result.recoveryMillis / 1_000).toFixed(1)} s`
        ])
        all.set(keyOf(line), line)
      }
      return [...all.values()].sort(order)
    }
  )

/** Replaces the table of mutants. */
export const writeMutants = (deaths: ReadonlyArray<Death>): void =>
  rewrite(
    "mutants",
    ["mutant", "what is broken", "scenario", "killed by"],
    () =>
      deaths.map(({ killedBy, name, scenario, soundly, what }) =>
        row([
          name,
          what,
          scenario,
          killedBy.length === 0
            ? "**survived**"
            : `${killedBy.join(", ")}${soundly ? "" : " (so is the program itself)"}`
        ])
      )
  )
