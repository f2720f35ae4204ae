// npm run bench: measures what the project promises about speed. See `--help`.
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { parseArgs } from "node:util"
import { fileURLToPath } from "node:url"
import { flushMillis } from "./Disk.ts"
import { hasWrk } from "./Load.ts"
import { campaignSize, echoLoop, openLoop, relayLag, startTimes } from "./others.ts"
import { pools } from "./codes/pools.ts"
import { redemptions } from "./codes/redemptions.ts"
import { consoles } from "./delivery/consoles.ts"
import { exports } from "./delivery/exports.ts"
import { watchers } from "./delivery/watchers.ts"
import { webhooks } from "./delivery/webhooks.ts"
import { behindEnvoy } from "./envoy.ts"
import { overload } from "./overload.ts"
import { profile } from "./profile.ts"
import { makeVariants, type Sample } from "./rates.ts"
import { table, write } from "./report.ts"
import type { Results } from "./Results.ts"
import { startStage } from "./Stage.ts"

const root = Path.resolve(Path.dirname(fileURLToPath(import.meta.url)), "..")
const PARTS = [
  ...["rates", "rejections", "embedded", "latency", "size", "relay", "start", "overload", "envoy"] as const,
  ...["exports", "webhooks", "watchers", "consoles", "redemptions", "pools"] as const
]

const usage = `npm run bench [-- options]     starts its own servers and writes docs/internals/benchmarks.md

  --quick           fewer and shorter rounds: under 2 minutes; writes to .cache/bench instead
  --only a,b        these parts alone: ${PARTS.join(", ")}; what is not measured stays in the report as it was
  --overload        the same as --only overload: 1, 2, 5 and 10 times the load that can be carried
  --rounds n        rounds of the rates (7)
  --seconds n       seconds of a round (3)
  --full            the large campaign has 9 M coupons instead of 1 M, and the import 10 M codes: some minutes more
  --out directory   where the report goes (docs/internals)
  --profile         instead of all that: where the microseconds of Node go, into benchmarks/profile.md
  --report          measures nothing: writes the page again from benchmarks.json

MYSQL_URL names a MySQL to use instead of a private one; MYSQLD the program of a private one that is not on the PATH.`

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    full: { type: "boolean", default: false },
    overload: { type: "boolean", default: false },
    profile: { type: "boolean", default: false },
    report: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
    only: { type: "string" },
    rounds: { type: "string" },
    seconds: { type: "string" },
    out: { type: "string" }
  }
})
if (options.help) {
  console.log(usage)
  process.exit(0)
}
const positive = (name: "rounds" | "seconds", initial: number) => {
  const value = options[name] === undefined ? initial : Number(options[name])
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} must be a positive whole number`)
  return value
}
const { quick } = options
const only = (options.overload ? "overload" : options.only)?.split(",").map((name) => name.trim())
const unknown = only?.filter((name) => !(PARTS as ReadonlyArray<string>).includes(name)) ?? []
if (unknown.length > 0) throw new Error(`--only knows ${PARTS.join(", ")}, not ${unknown.join(", ")}`)
const rounds = positive("rounds", quick ? 2 : 7)
const seconds = positive("seconds", quick ? 1 : 3)
const out = Path.resolve(root, options.out ?? (quick ? ".cache/bench" : "docs/internals"))
const wanted = (name: string) => only === undefined || only.includes(name)

const began = performance.now()
const say = (text: string) => console.log(`${((performance.now() - began) / 1_000).toFixed(0).padStart(4)} s  ${text}`)

const file = Path.join(out, "benchmarks.json")
const results: Results = Fs.existsSync(file) ? JSON.parse(Fs.readFileSync(file, "utf8")) as Results : {}
/**
 * Written at once: a part that fails loses nothing of the others, and the page says of each when it was measured, and
 * of what.
 */
const keep = (part: Results) => write(out, Object.assign(results, part))
if (options.report) {
  keep({})
  process.exit(0)
}
const described = spawnSync("git", ["describe", "--always", "--dirty"], { cwd: root, encoding: "utf8" })
const commit = described.status === 0 ? described.stdout.trim() : "not a git checkout"
const measured = () => ({
  at: `${new Date().toISOString().slice(0, 16)}Z`,
  commit,
  loadBefore: Os.loadavg()[0]!,
  quick
})

say(`load average ${Os.loadavg().map((value) => value.toFixed(2)).join(" ")} on ${Os.cpus().length} cores`)
const stage = await startStage(say)
let failed = false
try {
  const generator = hasWrk ? "wrk" : "our own generator (there is no wrk)"
  say(`${stage.mysqlVersion}; Redis ${stage.redisVersion}; load by ${generator}`)
  results.machine = {
    cpu: Os.cpus()[0]!.model,
    cores: Os.cpus().length,
    memoryGiB: Math.round(Os.totalmem() / 2 ** 30),
    kernel: Os.release()
  }
  results.versions = {
    Node: process.version,
    Ledger: stage.mysqlVersion,
    Redis: stage.redisVersion,
    load: hasWrk ? "by wrk" : "by bench/generator.ts"
  }

  if (options.profile) {
    await profile(stage, { seconds: quick ? 3 : 10, directory: Path.join(out, "benchmarks"), say })
  } else {
    if (wanted("rates") || wanted("rejections") || wanted("embedded")) {
      const about = measured()
      const { stop, variants } = await makeVariants(stage, wanted)
      const samples: Record<string, Array<Sample>> = {}
      try {
        for (const { name, run } of variants) {
          say(`warming up: ${name}`)
          await run(quick ? 1 : 2)
        }
        for (let round = 1; round <= rounds; round++) {
          for (const { name, run } of variants) {
            const sample = await run(seconds)
            const list = samples[name] ??= []
            list.push(sample)
            const cpu = Object.entries(sample.cpu).map(([process, micros]) => `${process} ${micros.toFixed(1)}`)
              .join(", ")
            say(`round ${round} of ${rounds}: ${name}: ${Math.round(sample.perSecond)}/s (µs: ${cpu})`)
          }
        }
      } finally {
        await stop()
      }
      // Rounds measured together are compared, so those of an earlier run do not mix with these.
      keep({ rates: { ...about, seconds, variants: samples } })
    }
    if (wanted("latency")) {
      const about = measured()
      say("the disk alone")
      const flushes = await flushMillis(quick ? 2 : 15)
      const runs = []
      for (const rate of [1_000, 4_000]) {
        const length = quick ? 4 : 30
        say(`open loop, ${rate}/s: the raw echo`)
        const echoMillis = await echoLoop(rate, quick ? 2 : 10)
        say(`open loop, ${rate}/s for ${length} s`)
        const { latencyMillis, latenessMillis, ...result } = await openLoop(stage, rate, length)
        const { p50, p95, p99 } = latencyMillis
        say(`p50 ${p50.toFixed(2)}, p95 ${p95.toFixed(2)}, p99 ${p99.toFixed(2)} ms`)
        runs.push({ ...result, latencyMillis, latenessMillis, echoMillis, rate })
      }
      keep({ latency: { ...about, flushMillis: flushes, runs } })
    }
    if (wanted("relay")) {
      const about = measured()
      const rate = 5_000
      say(`relay lag at ${rate}/s`)
      keep({ relay: { ...about, rate, ...await relayLag(stage, rate, quick ? 3 : 15) } })
    }
    if (wanted("start")) {
      const about = measured()
      say("starts")
      keep({ start: { ...about, ...await startTimes(stage, quick ? 2 : 5) } })
    }
    if (wanted("size")) {
      const about = measured()
      const large = quick ? 200_000 : options.full ? 9_000_000 : 1_000_000
      keep({
        size: { ...about, ...await campaignSize(stage, { large, rounds: quick ? 1 : 5, seconds: quick ? 1 : 3, say }) }
      })
    }
    // Not among what --quick does in its two minutes, unless it is asked for.
    if (only === undefined ? !quick : wanted("overload")) {
      const about = measured()
      say("overload")
      keep({
        overload: { ...about, ...await overload(stage, { seconds: quick ? 4 : 10, longest: quick ? 10 : 60, say }) }
      })
    }
    if (only === undefined ? !quick : wanted("envoy")) {
      const about = measured()
      say("behind Envoy")
      keep({
        envoy: { ...about, ...await behindEnvoy(stage, { rounds, seconds, latencySeconds: quick ? 4 : 30, say }) }
      })
    }
    // Each of these has its own rounds, of which the first warms up.
    const few = { rounds: quick ? 1 : 5, seconds: quick ? 1 : 3, say }
    if (only === undefined ? !quick : wanted("exports")) {
      const about = measured()
      keep({ exports: { ...about, ...await exports(stage, { ...few, coupons: quick ? 100_000 : 500_000 }) } })
    }
    if (only === undefined ? !quick : wanted("webhooks")) {
      const about = measured()
      keep({ webhooks: { ...about, ...await webhooks(stage, { ...few, coupons: quick ? 50_000 : 200_000 }) } })
    }
    if (only === undefined ? !quick : wanted("redemptions")) {
      const about = measured()
      keep({ redemptions: { ...about, ...await redemptions(stage, few) } })
    }
    if (only === undefined ? !quick : wanted("pools")) {
      const about = measured()
      const codes = quick ? 200_000 : options.full ? 10_000_000 : 1_000_000
      const coupons = quick ? 100_000 : options.full ? 9_000_000 : 1_000_000
      keep({ pools: { ...about, ...await pools(stage, { ...few, codes, coupons }) } })
    }
    if (only === undefined ? !quick : wanted("watchers")) {
      const about = measured()
      keep({ watchers: { ...about, ...await watchers(stage, { ...few, count: quick ? 200 : 1_000 }) } })
    }
    if (only === undefined ? !quick : wanted("consoles")) {
      const about = measured()
      keep({ consoles: { ...about, ...await consoles(stage, { ...few, rounds: quick ? 1 : 12 }) } })
    }
    console.log(`\n${table(results)}\n`)
    say(`written to ${Path.relative(root, Path.join(out, "benchmarks.md"))}`)
  }
} catch (error) {
  failed = true
  console.error(error)
} finally {
  await stage.stop()
}
process.exit(failed ? 1 : 0)
