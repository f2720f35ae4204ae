import { readFileSync, writeFileSync } from "node:fs"
import * as Path from "node:path"
import { attacks } from "./attacks.ts"
import { root } from "./Rig.ts"
import { CALM, share, type Trial } from "./trial.ts"

/** What one form of the service did, attack by attack. */
export interface Report {
  readonly rig: string
  readonly trials: ReadonlyArray<Trial>
}

const percent = (part: number) => `${(part * 100).toFixed(0)} %`
const megabytes = (bytes: number) =>
  bytes === 0 ? "" : bytes < 10e6 ? (bytes / 1e6).toFixed(2) : (bytes / 1e6).toFixed(0)

export const row = (trial: Trial): string =>
  `| \`${trial.attack}\` | ${megabytes(trial.bytes)} | ${percent(share(trial.honest.claims))} | ` +
  `${trial.honest.claims.p99} | ` +
  `${percent(share(trial.honest.health))} | ${percent(share(trial.honest.operators))} | ` +
  `${megabytes(trial.rss.before)} | ${megabytes(trial.rss.most)} | ${percent(trial.cpu)} | ${trial.warnings} | ` +
  `${trial.alive ? "yes" : "**no**"} |`

const COLUMNS = [
  ...["Attack", "MB sent", "Claims in time", "p99, ms", "Health", "Operators"],
  ...["RSS before", "RSS most", "CPU", "Warnings", "Alive"]
]

export const HEAD = `| ${COLUMNS.join(" | ")} |\n|${"---|".repeat(COLUMNS.length)}`

const table = ({ rig, trials }: Report) =>
  `### ${rig[0]!.toUpperCase()}${rig.slice(1)}\n\n${HEAD}\n${trials.map(row).join("\n")}\n`

const page = Path.join(root, "docs/reference/hostile.md")
const [begin, end] = ["<!-- hostile:begin (npm run hostile -- --write-docs writes it) -->", "<!-- hostile:end -->"]

/** Replaces the tables in the page by these. */
export const write = (reports: ReadonlyArray<Report>): void => {
  const text = readFileSync(page, "utf8")
  const [before, rest] = text.split(begin)
  const after = rest?.split(end)[1]
  if (after === undefined) throw new Error(`${page} has no place for the tables`)
  const what = attacks.map(({ name, what }) => `| \`${name}\` | ${what} |`).join("\n")
  const names = `| Attack | What it is |\n|---|---|\n| \`${CALM}\` | the honest client alone |\n${what}\n`
  writeFileSync(page, `${before}${begin}\n${names}\n${reports.map(table).join("\n")}${end}${after}`)
}
