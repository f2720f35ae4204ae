import { spawn } from "node:child_process"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { nodeProgram } from "../test/support/Instance.ts"
import { during, residentMiB } from "./Cpu.ts"
import { ISSUE_PATH } from "./Load.ts"
import { median, type Quantiles } from "./Quantiles.ts"
import type { Figure } from "./Results.ts"
import { freshUsers, ledgerCount, settled } from "./rates.ts"
import { createCampaign, type Stage } from "./Stage.ts"

/** The argument of `bench/flood.ts`. */
export interface FloodOptions {
  readonly port: number
  readonly path: string
  readonly campaignId: number
  readonly firstUser: number
  readonly connections: number
  readonly seconds: number
  readonly rate: number
}

/** What it answers; latencies are from sending, in milliseconds. */
export interface FloodResult {
  readonly seconds: number
  /** Requests that were due, and of them those that found a connection. */
  readonly due: number
  readonly sent: number
  readonly statuses: Readonly<Record<string, number>>
  readonly ok: Quantiles
  readonly refused: Quantiles
  readonly perSecond: Array<{ ok: number; refused: number }>
  readonly cpuMicros: number
}

/** One load of the overload part. */
export interface OverloadRun extends FloodResult {
  /** Of the capacity: 10 is ten times as much. */
  readonly times: number
  /** Coupons a second, median over the seconds but the first. */
  readonly goodput: number
  /** Cores used by each process. */
  readonly cores: Readonly<Record<string, number>>
  /** Resident memory of the service, MiB, every half second. */
  readonly resident: ReadonlyArray<number>
}

export interface Overload {
  readonly connections: number
  readonly cores: number
  /** Coupons a second that the runs are multiples of. */
  readonly capacity: number
  readonly runs: ReadonlyArray<OverloadRun>
  /** The capacity again, right before and right after ten times as much: what the machine could do just then. */
  readonly around?: ReadonlyArray<OverloadRun>
}

/**
 * More than the service's limit in progress, so that claims beyond it are rejected rather than wait for a connection.
 */
const CONNECTIONS = 3_000

const flood = async (
  options: FloodOptions
): Promise<{ readonly result: FloodResult; readonly winners: Uint32Array }> => {
  const program = Path.join(Path.dirname(fileURLToPath(import.meta.url)), "flood.ts")
  const child = spawn(nodeProgram, [program, JSON.stringify(options)], { stdio: ["ignore", "pipe", "pipe"] })
  const [out, err]: [Array<Buffer>, Array<Buffer>] = [[], []]
  child.stdout.on("data", (chunk: Buffer) => out.push(chunk))
  child.stderr.on("data", (chunk: Buffer) => err.push(chunk))
  const code = await new Promise<number | null>((resolve, reject) => child.once("error", reject).once("close", resolve))
  const users = Buffer.concat(err)
  if (code !== 0) throw new Error(`the load ended with exit code ${code}: ${users.toString().slice(-1_000)}`)
    return {
    result: JSON.parse(Buffer.concat(out).toString()) as FloodResult,
    winners: new Uint32Array(users.buffer.slice(users.byteOffset, users.byteOffset + users.length))
  }
}

/** Fails unless exactly those users that received OK have a coupon. */
const verifyUsers = async (
  stage: Stage,
  campaignId: number,
  firstUser: number,
  winners: Uint32Array
): Promise<void> => {
  const stored = await ledgerCount(stage, campaignId)
  const sorted = winners.toSorted()
  let checked = 0
  for (let after = 0; ;) {
    const page = await stage.sql(
      `SELECT user_id AS u FROM coupons WHERE campaign_id = ${campaignId} AND user_id > ${after} ` +
        "ORDER BY user_id LIMIT 50000"
    )
    for (const row of page) {
      const user = Number(row["u"]) - firstUser
      if (sorted[checked] !== user) {
        throw new Error(`user ${user} has a coupon, but the next user that received OK is ${sorted[checked]}`)
      }
      checked++
    }
    if (page.length < 50_000) break
    after = Number(page.at(-1)!["u"])
  }
  if (checked !== winners.length || stored !== checked) {
    throw new Error(
      `${winners.length} users received OK, ${checked} of them have a coupon, and the counter says ${stored}`
    )
  }
}

/**
 * What the service does under 1, 2, 5 and 10 times the load that it can carry, on the cores that it shares with the
 * load.
 */
export const overload = async (
  stage: Stage,
  options: { readonly seconds: number; readonly longest: number; readonly say: (text: string) => void }
): Promise<Overload> => {
  const { longest, say, seconds } = options
  const instance = await stage.distributed()
  const run = async (times: number, rate: number, connections: number, length: number): Promise<OverloadRun> => {
    const campaignId = await createCampaign(instance.url)
    const firstUser = freshUsers()
    const resident: Array<number> = []
    const watch = setInterval(() => resident.push(residentMiB(instance.pid)), 500)
    try {
      const { cpu, result: { result, winners } } = await during(
        { node: instance.pid, ...stage.pids },
        () =>
          flood({
            port: instance.port,
            path: ISSUE_PATH,
            campaignId,
            firstUser,
            connections,
            seconds: length,
            rate: Math.round(rate)
          })
      )
      const unknown = Object.keys(result.statuses).filter((status) => status !== "200" && status !== "429")
      if (unknown.length > 0) {
        throw new Error(`answers that are neither OK nor OVERLOADED: ${JSON.stringify(result.statuses)}`)
      }
      await settled(stage)
      await verifyUsers(stage, campaignId, firstUser, winners)
      const goodput = median(result.perSecond.slice(1).map(({ ok }) => ok))
      const cores = Object.fromEntries(
        Object.entries({ ...cpu, load: result.cpuMicros }).map(([name, micros]) => [name, micros / 1e6 / length])
      )
      say(`${times}x: ${goodput}/s of ${Math.round(rate)}/s, ` +
        `${Math.round(result.sent / length)}/s sent, p99 ${result.ok.p99.toFixed(1)} ms ` +
        `(rejections ${result.refused.p99.toFixed(0)}), ${Math.max(...resident).toFixed(0)} MiB, ` +
        `cores ${Object.entries(cores).map(([name, used]) => `${name} ${used.toFixed(2)}`).join(", ")}`)
      return { ...result, times, goodput, cores, resident }
    } finally {
      clearInterval(watch)
    }
  }
  try {
    say("warming up, and looking for the capacity")
    // Refusing has to be warm, too: the first refusals of a process cost several times the later ones.
    await run(0, 20_000, CONNECTIONS, Math.min(seconds, 5))
    // Few enough connections that nothing is refused, all of which always want something.
    await run(0, 100_000, 256, Math.min(seconds, 5))
    const full = () => run(0, 100_000, 256, seconds)
    const { goodput: capacity } = await full()
    const runs: Array<OverloadRun> = []
    for (const times of [1, 2, 5]) runs.push(await run(times, capacity * times, CONNECTIONS, seconds))
    const before = await full()
    runs.push(await run(10, before.goodput * 10, CONNECTIONS, longest))
    return { connections: CONNECTIONS, cores: Os.cpus().length, capacity, runs, around: [before, await full()] }
  } finally {
    await instance.stop()
  }
}

/** The lines of the report's table. */
export const overloadFigures = ({ around, capacity, connections, cores, runs }: Overload): ReadonlyArray<Figure> => {
  const at = (times: number) => runs.find((run) => run.times === times)!
  const [one, ten] = [at(1), at(10)]
  const mean = (all: ReadonlyArray<OverloadRun>, of: (run: OverloadRun) => number) =>
    all.reduce((sum, run) => sum + of(run), 0) / all.length
  const thousands = (value: number) => Math.round(value).toLocaleString("en")
  const micros = (run: OverloadRun) => 1e6 * run.cores["node"]! * run.seconds / (run.statuses["200"] ?? 1)
  // The best of many runs on a machine that has other work would be the luckiest.
  const peak = around === undefined
    ? Math.max(capacity, ...runs.map(({ goodput }) => goodput))
    : mean(around, ({ goodput }) => goodput)
  const late = ten.resident.slice(ten.resident.length >> 1)
  const growth = Math.max(...late) / Math.max(...ten.resident.slice(0, ten.resident.length >> 1))
  const when = around === undefined ? "" : ", at 256 connections right before and after"
  const nearPeak = around === undefined ? "" : `, ${mean(around, micros).toFixed(0)} at the peak`
  return [{
    name: `goodput at ten times the capacity ÷ the peak, ${ten.seconds} s`,
    target: ">= 0.9",
    measured: (ten.goodput / peak).toFixed(2),
    met: ten.goodput / peak >= 0.9,
    detail: `${thousands(ten.goodput)} coupons/s of ${thousands(ten.due / ten.seconds)} claims/s due, ` +
      `of which ${thousands(ten.sent / ten.seconds)} found one of ${thousands(connections)} connections free; ` +
      `peak ${thousands(peak)}/s${when}. ` +
      `The load took ${ten.cores["load"]!.toFixed(2)} of ${cores} cores; ` +
      `a coupon took ${micros(ten).toFixed(0)} µs of Node, rejections included${nearPeak}`
  }, {
    name: "p99 of what is admitted at ten times the capacity ÷ at the capacity",
    target: "<= 3",
    measured: (ten.ok.p99 / one.ok.p99).toFixed(2),
    met: ten.ok.p99 <= 3 * one.ok.p99,
    detail: `${runs.map(({ ok, times }) => `${times}x ${ok.p99.toFixed(0)}`).join(", ")} ms from sending; ` +
      `rejections at 10x ${ten.refused.p99.toFixed(0)} ms`
  }, {
    name: "memory at ten times the capacity, second half ÷ first",
    target: "bounded",
    measured: growth.toFixed(2),
    met: growth <= 1.1,
    detail: `at most ${thousands(Math.max(...ten.resident))} MiB; ` +
      `${thousands(ten.statuses["429"] ?? 0)} claims rejected, and exactly those ` +
      `${thousands(ten.statuses["200"] ?? 0)} users that received OK have a coupon`
  }]
}
