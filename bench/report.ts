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
  const [left, width, step] = [290, 380, 30]
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
      const piece = `<rect x="${(left + Number(x(from))).toFixed(1)}" y="${y}" width="${x(value)}" height="18" fill="${colours[names.indexOf(name)]}"/>`
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
    return `<rect x="${at}" y="${y}" width="12" height="12" fill="${colours[i]}"/><text x="${at + 18}" y="${y + 11}">${escape(name)}</text>`
  }).join("")
  return `<svg xmlns="http://www.w3.org/2000/svg" width="800" height="${height}" viewBox="0 0 800 ${height}" font-family="sans-serif" font-size="13">
<rect width="800" height="${height}" fill="#fff"/>
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
      { name: "refusals", unit: "a second", values: last.perSecond.map(({ refused }) => refused) },
      { name: "memory", unit: "MiB", values: last.resident }
    ])
  }
  return drawn
}

const marks = { true: "yes", false: "**no**", undefined: "-" } as const

export const table = (results: Results): string =>
  [
    "| figure | target | measured | met | |",
    "|---|---|---|---|---|",
    ...figures(results).map(({ detail, measured, met, name, target }) =>
      `| ${name} | ${target} | ${measured} | ${marks[`${met}`]} | ${detail} |`
    )
  ].join("\n")

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

/** Writes `benchmarks.md`, `benchmarks.json` and the plots into a directory. */
export const write = (directory: string, results: Results): void => {
  Fs.mkdirSync(Path.join(directory, "benchmarks"), { recursive: true })
  const drawn = plots(results)
  for (const [name, svg] of Object.entries(drawn)) {
    Fs.writeFileSync(Path.join(directory, "benchmarks", `${name}.svg`), svg)
  }
  Fs.writeFileSync(Path.join(directory, "benchmarks.json"), `${JSON.stringify(results, undefined, 1)}\n`)
  const { envoy, latency, machine, overload, rates, relay, size, start, versions } = results
  const parts = Object.entries({ rates, latency, size, relay, start, overload, envoy }).flatMap(([name, part]) => {
    if (part === undefined) return []
    const commit = part.commit === undefined ? "" : `, commit ${part.commit}`
    return [`- ${name}: ${part.at}${commit}, load average before it ${part.loadBefore.toFixed(2)}${part.quick ? ", a quick run" : ""}`]
  })
  const rounds = Math.max(0, ...Object.values(rates?.variants ?? {}).map((samples) => samples.length))
  const method = rates === undefined
    ? ""
    : `Medians of ${rounds} rounds of ${rates.seconds} s; CPU time is user and system, of all threads, from \`/proc\`.`
  const page = `# Benchmarks

Written by \`npm run bench\`; do not edit. \`benchmarks.json\` beside it holds every round.

${table(results)}

${drawn["rates"] === undefined ? "" : "![requests a second](benchmarks/rates.svg)\n\n![CPU microseconds a request](benchmarks/cpu.svg)\n"}
${drawn["latency"] === undefined ? "" : "![latency](benchmarks/latency.svg)\n"}
${drawn["overload"] === undefined ? "" : "![goodput under overload](benchmarks/overload.svg)\n\n![ten times the capacity over time](benchmarks/overload-time.svg)\n"}
## The rates behind the ratios

${perVariant(results)}

${method}

## How to read it

- *Raw echo* is a bare \`node:http\` server that reads the body, parses it and answers \`{"message":"OK"}\`: what Node can do at all. *Durable*: the
  answer came after MySQL's COMMIT, with the binary log and the redo log flushed. Machines differ by a factor of two and more in both, so the ratio is
  the figure, and the microseconds of CPU beside it say where it comes from. *Through the gate* is an instance with \`GATE_BYPASS_AFTER=0\`; the others
  ask the gate for the first 1,000 coupons of a campaign and go past it as long as no claim is rejected ([decision 27](decisions.md)).
- All of a round's variants run one after another, and a ratio is the median of the rounds' own ratios: what else the machine does hits both sides.
- The service, MySQL, Redis and the load generator share the machine's cores. The generator is wrk if there is one (a closed loop).
- The open loop sends request *i* at its own time, whatever became of those before it, and counts latency from then: a stall is felt by every
  request that was due in it.
- *Overload*: claims of new users at their own pace, on at most so many connections; one that finds none free is not sent, as when a server's backlog is
  full. The capacity, and the peak, is what 256 connections that always want something get. Node cannot even read ten times what it can issue, with the
  load on the same cores, so rejections are answered late, which holds the load back: "sent" says what came.
- After every durable run the ledger's rows are counted: as many as were answered OK, plus at most one a connection, which wrk cuts off at the end.
  A run that differs, or in which any request fails, ends the benchmark with an error instead of a figure.

\`npm run bench -- --help\` shows how to measure parts again, \`--profile\` where the microseconds of Node go.

## Where and when

- ${machine === undefined ? "?" : `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, Linux ${machine.kernel}`}
${Object.entries(versions ?? {}).map(([name, version]) => `- ${name} ${version}`).join("\n")}
${parts.join("\n")}
`
  Fs.writeFileSync(Path.join(directory, "benchmarks.md"), page.replace(/\n{3,}/g, "\n\n"))
}
