import * as Fs from "node:fs"
import * as Path from "node:path"
import { lines } from "./lines.ts"
import { median } from "./Quantiles.ts"
import { figures, type Results } from "./Results.ts"

const escape = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")

interface Bar {
  readonly label: string
  readonly parts: ReadonlyArray<{ readonly name: string; readonly value: number }>
  readonly text: string
  /** The rounds' extremes. */
  readonly range?: readonly [number, number]
}

const colours = ["#3b7dd8", "#e08b3c", "#c0504d", "#8aa35a"]

/** Horizontal bars, each of one part or several; readable on light and dark pages. */
const bars = (title: string, rows: ReadonlyArray<Bar>): string => {
  const [width, step] = [380, 30]
  // Room for the longest label at 13 px, whose letters are 8 px wide on average in the widest of common fonts.
  const left = 24 + 8 * Math.max(24, ...rows.map(({ label }) => label.length))
  const all = left + width + 130
  const most = Math.max(
    ...rows.map(({ parts, range }) => Math.max(parts.reduce((sum, { value }) => sum + value, 0), range?.[1] ?? 0))
  )
  const x = (value: number) => (value / most * width).toFixed(1)
  const names = [...new Set(rows.flatMap(({ parts }) => parts.map(({ name }) => name)))]
  const height = 60 + rows.length * step + (names.length > 1 ? 24 : 0)
  const body = rows.map(({ label, parts, range, text }, i) => {
    const y = 44 + i * step
    let from = 0
    const pieces = parts.map(({ name, value }) => {
      const start = (left + Number(x(from))).toFixed(1)
      const colour = colours[names.indexOf(name)]
      const piece = `<rect x="${start}" y="${y}" width="${x(value)}" height="18" fill="${colour}"/>`
      from += value
      return piece
    })
    const whisker = range === undefined ? "" :
      `<path d="M${left + Number(x(range[0]))} ${y + 9}H${left + Number(x(range[1]))}" stroke="#222" stroke-width="2"/>`
    const end = left + Number(x(Math.max(from, range?.[1] ?? 0))) + 8
    const name = `<text x="${left - 8}" y="${y + 13}" text-anchor="end">${escape(label)}</text>`
    return `${name}${pieces.join("")}${whisker}<text x="${end}" y="${y + 13}">${escape(text)}</text>`
  })
  const legend = names.length < 2 ? "" : names.map((name, i) => {
    const at = left + i * 95
    const y = 52 + rows.length * step
    return `<rect x="${at}" y="${y}" width="12" height="12" fill="${colours[i]}"/>` +
      `<text x="${at + 18}" y="${y + 11}">${escape(name)}</text>`
  }).join("")
  const size = `width="${all}" height="${height}" viewBox="0 0 ${all} ${height}"`
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="13">
<rect width="${all}" height="${height}" fill="#fff"/>
<text x="16" y="26" font-size="16" font-weight="bold">${escape(title)}</text>
${body.join("\n")}
${legend}
</svg>
`
}

const plots = (results: Results): Readonly<Record<string, string>> => {
  const drawn: Record<string, string> = {}
  const variants = Object.entries(results.rates?.variants ?? {})
  if (variants.length > 0) {
    drawn["rates"] = bars("Requests a second (median; the line spans all rounds)", variants.map(([label, samples]) => {
      const values = samples.map(({ perSecond }) => perSecond)
      return {
        label,
        parts: [{ name: "rate", value: median(values) }],
        range: [Math.min(...values), Math.max(...values)] as const,
        text: Math.round(median(values)).toLocaleString("en")
      }
    }))
    drawn["cpu"] = bars("CPU microseconds a request, by process (median)", variants.map(([label, samples]) => {
      const parts = ["node", "mysqld", "redis", "load"].flatMap((name) => {
        const values = samples.flatMap((sample) => sample.cpu[name] ?? [])
        return values.length === 0 ? [] : [{ name, value: median(values) }]
      })
      return { label, parts, text: parts.reduce((sum, { value }) => sum + value, 0).toFixed(0) }
    }))
  }
  if (results.latency !== undefined) {
    drawn["latency"] = bars(
      "Open loop: milliseconds from due to answered",
      results.latency.runs.flatMap(({ latencyMillis, rate }) =>
        (["p50", "p95", "p99"] as const).map((quantile) => ({
          label: `${rate.toLocaleString("en")}/s ${quantile}`,
          parts: [{ name: "latency", value: latencyMillis[quantile] }],
          text: latencyMillis[quantile].toFixed(2)
        }))
      )
    )
  }
  if (results.overload !== undefined) {
    const { runs } = results.overload
    drawn["overload"] = bars(
      "Goodput by offered load: coupons a second",
      runs.map(({ due, goodput, seconds, times }) => ({
        label: `${times}x: ${Math.round(due / seconds).toLocaleString("en")} claims/s`,
        parts: [{ name: "coupons", value: goodput }],
        text: Math.round(goodput).toLocaleString("en")
      }))
    )
    const last = runs.at(-1)!
    drawn["overload-time"] = lines(`At ${last.times} times the capacity`, last.seconds, [
      { name: "coupons", unit: "a second", values: last.perSecond.map(({ ok }) => ok) },
      { name: "rejections", unit: "a second", values: last.perSecond.map(({ refused }) => refused) },
      { name: "memory", unit: "MiB", values: last.resident }
    ])
  }
  return drawn
}

const COLUMNS = 120

/** Text in lines of at most `COLUMNS` columns, or of one longer word. `indent` begins all lines but the first. */
const wrapped = (text: string, indent = ""): string => {
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(/\s+/)) {
    const longer = line === "" ? word : `${line} ${word}`
    if (line !== "" && longer.length + indent.length > COLUMNS) {
      lines.push(line)
      line = word
    } else line = longer
  }
  return [...lines, line].join(`\n${indent}`)
}

/** An item of a list: `mark` and the text, wrapped below its own beginning. */
const item = (mark: string, text: string): string => `${mark}${wrapped(text, " ".repeat(mark.length))}`

const marks = { true: "yes", false: "**no**", undefined: "-" } as const

/** The figures as a table, and below it a numbered note for each that has something to add. */
export const table = (results: Results): string => {
  const notes: Array<string> = []
  const rows = figures(results).map(({ detail, measured, met, name, target }) => {
    if (detail !== "") notes.push(detail)
    return `| ${name} | ${target} | ${measured} | ${marks[`${met}`]} | ${detail === "" ? "" : notes.length} |`
  })
  return [
    "| Figure | Target | Measured | Met | Note |",
    "|---|---|---|---|---|",
    ...rows,
    "",
    "Notes:",
    "",
    ...notes.map((note, i) => item(`${i + 1}. `, note))
  ].join("\n")
}

const perVariant = (results: Results): string => {
  const { rates } = results
  if (rates === undefined) return ""
  const micros = (name: string, samples: (typeof rates.variants)[string]) => {
    const values = samples.flatMap((sample) => sample.cpu[name] ?? [])
    return values.length === 0 ? "-" : median(values).toFixed(1)
  }
  return [
    "| variant | requests/s | node µs | mysqld µs | redis µs | load µs |",
    "|---|---|---|---|---|---|",
    ...Object.entries(rates.variants).map(([name, samples]) =>
      `| ${name} | ${Math.round(median(samples.map(({ perSecond }) => perSecond))).toLocaleString("en")} | ` +
      `${["node", "mysqld", "redis", "load"].map((process) => micros(process, samples)).join(" | ")} |`)
  ].join("\n")
}

/** What the figures mean. The links are those of the page. */
const READING = [
  "*Raw echo* is a bare `node:http` server that reads the body, parses it and answers `{\"message\":\"OK\"}`. " +
    "It shows what Node can do at most.",
  "*Durable* means that the answer came after MySQL's COMMIT, with the binary log and the redo log flushed.",
  "Machines differ by a factor of two and more in both. So the ratio is the figure, and the microseconds of CPU " +
    "say where it comes from.",
  "*Through the gate* is an instance with `GATE_BYPASS_AFTER=0`. The others ask the gate for the first 1,000 " +
    "coupons of a campaign, and go past it as long as no claim is rejected ([decision 27](decisions.md)).",
  "The variants of a round run one after another. A ratio is the median of the ratios of all rounds, so other " +
    "work of the machine affects both sides alike.",
  "The service, MySQL, Redis and the load generator share the machine's cores. The generator is wrk if it is " +
    "installed (a closed loop).",
  "The *open loop* sends request *i* at its own time, whatever happened to earlier requests. Latency counts " +
    "from that time, so a stall counts for every request that was due in it.",
  "*Overload* is claims of new users at a fixed rate, on a limited number of connections. A claim that finds no " +
    "free connection is not sent, as when a server's backlog is full. The capacity, and the peak, is the goodput " +
    "of 256 connections in a closed loop. Node cannot read ten times what it can issue while the load shares its " +
    "cores. So rejections are late, which slows the load down: \"sent\" says how many claims came.",
  "An *export* is one call of ExportCoupons whose client counts what comes and makes nothing of it. A receiver of " +
    "*webhooks*, the *watchers* and the *consoles* run in the benchmark's own process, on the same cores.",
  "After every durable run the rows of the ledger are counted. There must be as many as answers of OK, plus at " +
    "most one for each connection, which wrk cuts at the end. If the counts differ, or a request fails, the " +
    "benchmark ends with an error and without a figure."
]

/** The page, in lines of at most 120 columns. `drawn`: the names of the plots that there are. */
export const page = (results: Results, drawn: ReadonlyArray<string>): string => {
  const { envoy, latency, machine, overload, rates, relay, size, start, versions } = results
  const { consoles, exports, pools, redemptions, watchers, webhooks } = results
  const plot = (name: string, text: string) => drawn.includes(name) ? [`![${text}](benchmarks/${name}.svg)`] : []
  const parts = Object.entries({
    ...{ rates, latency, size, relay, start, overload, envoy },
    ...{ exports, webhooks, watchers, consoles, redemptions, pools }
  }).flatMap(([name, part]) => {
    if (part === undefined) return []
    const { at, commit, loadBefore, quick } = part
    const of = commit === undefined ? "" : `, commit ${commit}`
    return [item("- ", `${name}: ${at}${of}, load average before it ${loadBefore.toFixed(2)}${quick ? ", quick" : ""}`)]
  })
  const rounds = Math.max(0, ...Object.values(rates?.variants ?? {}).map((samples) => samples.length))
  const paragraphs = [
    "# Benchmarks",
    "Written by `npm run bench`; do not edit. `benchmarks.json` beside it holds every round.",
    table(results),
    ...plot("rates", "requests a second"),
    ...plot("cpu", "CPU microseconds a request"),
    ...plot("latency", "latency"),
    ...plot("overload", "goodput under overload"),
    ...plot("overload-time", "ten times the capacity over time"),
    ...rates === undefined ? [] : [
      "## The rates behind the ratios",
      perVariant(results),
      wrapped(
        `Medians of ${rounds} rounds of ${rates.seconds} s. ` +
          "CPU time is user and system, of all threads, from `/proc`."
      )
    ],
    "## How to read it",
    READING.map((text) => item("- ", text)).join("\n"),
    wrapped(
      "`npm run bench -- --help` shows how to measure parts again, " +
        "`--profile` where the microseconds of Node go."
    ),
    "## Where and when",
    [
      ...machine === undefined ? [] : [
        `- ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, Linux ${machine.kernel}`
      ],
      ...Object.entries(versions ?? {}).map(([name, version]) => item("- ", `${name} ${version}`)),
      ...parts
    ].join("\n")
  ]
  return `${paragraphs.join("\n\n")}\n`
}

/** Writes `benchmarks.md`, `benchmarks.json` and the plots into a directory. */
export const write = (directory: string, results: Results): void => {
  Fs.mkdirSync(Path.join(directory, "benchmarks"), { recursive: true })
  const drawn = plots(results)
  for (const [name, svg] of Object.entries(drawn)) {
    Fs.writeFileSync(Path.join(directory, "benchmarks", `${name}.svg`), svg)
  }
  Fs.writeFileSync(Path.join(directory, "benchmarks.json"), `${JSON.stringify(results, undefined, 1)}\n`)
  Fs.writeFileSync(Path.join(directory, "benchmarks.md"), page(results, Object.keys(drawn)))
}
