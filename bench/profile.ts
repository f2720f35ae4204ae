import * as Fs from "node:fs"
import * as Path from "node:path"
import { removeDirectory, temporaryDirectory } from "../test/support/guardian.ts"
import { during } from "./Cpu.ts"
import { closedLoop } from "./Load.ts"
import { freshUsers } from "./rates.ts"
import { createCampaign, type Stage } from "./Stage.ts"

interface CpuProfile {
  readonly nodes: ReadonlyArray<{
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }>
  /** Microseconds of the monotonic clock, as `process.hrtime`. */
  readonly startTime: number
  readonly endTime: number
  readonly samples: ReadonlyArray<number>
  readonly timeDeltas: ReadonlyArray<number>
}

/** Where a frame belongs: the first that matches. */
const stages: ReadonlyArray<readonly [name: string, matches: (url: string, name: string) => boolean]> = [
  ["waiting", (_, name) => name === "(idle)"],
  ["garbage collection", (_, name) => name === "(garbage collector)"],
  [
    "system calls and other native code",
    (url, name) =>
      name === "(program)" ||
      url === "" && /^(writev?|writeUtf8String|writeLatin1String|writeBuffer|readStart|shutdown)$/.test(name)
  ],
  ["our transport", (url) => url.includes("/src/transport/")],
  ["our issuance", (url) => url.includes("/src/issuance/")],
  ["our gate", (url) => url.includes("/src/redis/") || url.includes("/src/memory/")],
  ["our ledger", (url) => url.includes("/src/sql/")],
  ["our other code", (url) => url.includes("/src/") && !url.includes("node_modules")],
  ["Effect", (url) => url.includes("node_modules/effect/") || url.includes("node_modules/@effect/")],
  ["ioredis", (url) => /node_modules\/(ioredis|@ioredis|redis-|standard-as-callback|denque)/.test(url)],
  [
    "mysql2",
    (url) => /node_modules\/(mysql2|sqlstring|iconv-lite|lru|generate-function|named-placeholders|long)/.test(url)
  ],
  ["connect and protobuf", (url) => /node_modules\/@(connectrpc|bufbuild)\//.test(url)],
  ["JSON", (_, name) => name === "parse" || name === "stringify"],
  ["node:http", (url) => /^node:(_http|internal\/http|http)/.test(url)],
  [
    "node streams and sockets",
    (url) =>
      /^node:(net|stream|internal\/streams|internal\/stream_base|events|buffer|internal\/buffer|string_decoder)/
        .test(url)
  ],
  [
    "node timers and queues",
    (url) => /^node:(timers|internal\/timers|internal\/process|internal\/async|diagnostics|internal\/util)/.test(url)
  ],
  ["other node", (url) => url.startsWith("node:") || url === ""]
]

const monotonicMicros = () => Number(process.hrtime.bigint() / 1_000n)

const stageOf = (url: string, name: string) => stages.find(([, matches]) => matches(url, name))?.[0] ?? "other"

/** The service under load with Node's own profiler: self time by stage and by function, as microseconds a claim. */
export const profile = async (
  stage: Stage,
  options: { readonly seconds: number; readonly directory: string; readonly say: (text: string) => void }
): Promise<void> => {
  const { directory, say, seconds } = options
  const dir = temporaryDirectory("profile")
  try {
    const instance = await stage.distributed({ LATENCY_TARGET: "1s" }, [
      "--cpu-prof", "--cpu-prof-interval=500", `--cpu-prof-dir=${dir}`, "src/main.ts"
    ])
    const campaignId = await createCampaign(instance.url)
    const load = { port: instance.port, campaignId, users: 0, connections: 128 }
    await closedLoop({ ...load, firstUser: freshUsers(), seconds: 5 })
    say(`claims for ${seconds} s under the profiler`)
    const from = monotonicMicros()
    const { cpu, result } = await during(
      { node: instance.pid, ...stage.pids },
      () => closedLoop({ ...load, firstUser: freshUsers(), seconds })
    )
    const to = monotonicMicros()
    if (result.rejected > 0) throw new Error(`${result.rejected} of ${result.requests} claims were refused`)
    await instance.stop()
    const [file] = Fs.readdirSync(dir).filter((name) => name.endsWith(".cpuprofile"))
    if (file === undefined) throw new Error(`the service left no profile\n${instance.logs()}`)
    const recorded = JSON.parse(Fs.readFileSync(Path.join(dir, file), "utf8")) as CpuProfile
    const frames = new Map(recorded.nodes.map((node) => [node.id, node.callFrame]))
    const byStage = new Map<string, number>()
    const byFunction = new Map<string, number>()
    if (from < recorded.startTime || to > recorded.endTime) throw new Error("the profile's clock is not ours")
    let at = recorded.startTime
    recorded.samples.forEach((id, i) => {
      at += recorded.timeDeltas[i]!
      if (at < from || at > to) return
      const { functionName, lineNumber, url } = frames.get(id)!
      const name = stageOf(url, functionName)
      const micros = Math.max(0, recorded.timeDeltas[i]!)
      byStage.set(name, (byStage.get(name) ?? 0) + micros)
      if (name === "waiting") return
      const place = url.replace(/^.*\/(?=node_modules\/|src\/)/, "").replace("node_modules/", "")
      const key = `${functionName || "(anonymous)"}${place === "" ? "" : ` ${place}:${lineNumber + 1}`}`
      byFunction.set(key, (byFunction.get(key) ?? 0) + micros)
    })
    const busy = [...byStage].filter(([name]) => name !== "waiting").reduce((sum, [, micros]) => sum + micros, 0)
    const line = ([name, micros]: readonly [string, number]) => {
      const share = (100 * micros / busy).toFixed(1)
      return `| ${name.replaceAll("|", "\\|")} | ${(micros / result.requests).toFixed(2)} | ${share} % |`
    }
    const largest = (map: ReadonlyMap<string, number>) =>
      [...map].filter(([name]) => name !== "waiting").sort((a, b) => b[1] - a[1])
    const page = [
      "# Where the microseconds of Node go",
      "",
      "Written by `npm run bench -- --profile`; do not edit. Self time of the service's main thread under Node's CPU",
      "profiler, 128 connections, as microseconds a durable coupon. The profiler itself costs some: the shares are the",
      "figure. System calls that a function makes count as that native function (`writev`, ...) where the profiler can",
      "name it, else as `(program)`.",
            "",
      `${Math.round(result.requests / result.seconds).toLocaleString("en")} coupons/s; by \`/proc\`: ${
        Object.entries(cpu).map(([name, micros]) => `${name} ${(micros / result.requests).toFixed(1)} µs`).join(", ")
      }. ${new Date().toISOString().slice(0, 10)}, Node ${process.version}.`,
      "",
      "| stage | µs | share |",
      "|---|---|---|",
      ...largest(byStage).map(line),
      "",
      "| function | µs | share |",
      "|---|---|---|",
      ...largest(byFunction).slice(0, 40).map(line),
      ""
    ].join("\n")
    Fs.mkdirSync(directory, { recursive: true })
    Fs.writeFileSync(Path.join(directory, "profile.md"), page)
    console.log(`\n${page}`)
  } finally {
    removeDirectory(dir)
  }
}
