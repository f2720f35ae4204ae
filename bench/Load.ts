import { spawn, spawnSync } from "node:child_process"
import * as Path from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { nodeProgram } from "../test/support/Instance.ts"
import { cpuMicros } from "./Cpu.ts"
import type { Quantiles } from "./Quantiles.ts"

const here = Path.dirname(fileURLToPath(import.meta.url))
export const ISSUE_PATH = "/coupon.v1.CouponService/IssueCoupon"

/** The argument of `bench/generator.ts`. */
export interface GeneratorOptions {
  readonly port: number
  readonly path: string
  readonly campaignId: number
  readonly firstUser: number
  /** 0: every request names a new user. */
  readonly users: number
  /** `redeem`: the body of RedeemCoupon by the user, under a request id of its own. Default: that of IssueCoupon. */
  readonly kind?: "redeem"
  /** Instead, one body after another, again and again. */
  readonly bodies?: ReadonlyArray<string>
  readonly connections: number
  readonly seconds: number
  /** Requests a second of an open loop; without it the loop is closed. */
  readonly rate?: number
}

/** What it answers. */
export interface GeneratorResult {
  readonly seconds: number
  readonly requests: number
  readonly statuses: Readonly<Record<string, number>>
  readonly cpuMicros: number
  /** From the moment a request was due to its answer. */
  readonly latencyMillis: Quantiles
  /** From the moment a request was due to its being sent: how punctual the generator itself was. */
  readonly latenessMillis: Quantiles
}

/** What a load did, whichever program made it. */
export interface Load {
  readonly seconds: number
  readonly requests: number
  /** Answers of status 200, and others. */
  readonly ok: number
  readonly rejected: number
  /** At most this many more requests may have been served than were counted: those under way at the end. */
  readonly uncounted: number
  readonly loadCpuMicros: number
}

const collect = async (command: string, args: ReadonlyArray<string>) => {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] })
  let [out, err] = ["", ""]
  child.stdout.on("data", (chunk: Buffer) => out += chunk.toString())
  child.stderr.on("data", (chunk: Buffer) => err += chunk.toString())
  let cpu = 0
  let running = true
  // A process's CPU time is gone with it, so the last look counts: at most 20 ms are missed.
  const watch = (async () => {
    while (running) {
      cpu = cpuMicros(child.pid!) ?? cpu
      await delay(20)
    }
  })()
  const code = await new Promise<number | null>((resolve, reject) => child.once("error", reject).once("close", resolve))
  running = false
  await watch
  if (code !== 0) throw new Error(`${command} ended with exit code ${code}: ${err}${out}`)
  return { out, err, cpu }
}

export const hasWrk = spawnSync("wrk", ["-v"], { stdio: "ignore" }).error === undefined

export const generate = async (options: GeneratorOptions): Promise<GeneratorResult> =>
  JSON.parse(
    (await collect(nodeProgram, [Path.join(here, "generator.ts"), JSON.stringify(options)])).out
  ) as GeneratorResult

/** A closed loop: `connections` clients that each ask again as soon as they are answered. By wrk if there is one. */
export const closedLoop = async (options: Omit<GeneratorOptions, "rate" | "path">): Promise<Load> => {
  const { campaignId, connections, firstUser, port, seconds, users } = options
  if (!hasWrk) {
    const result = await generate({ ...options, path: ISSUE_PATH })
    const ok = result.statuses["200"] ?? 0
    return { ...result, ok, rejected: result.requests - ok, uncounted: 0, loadCpuMicros: result.cpuMicros }
  }
  const { cpu, err } = await collect("wrk", [
    // Late is not broken: a bare node:http lets in one connection a turn, so that the last of many waits for seconds on
    // a slow machine.
    ...[
      "-t1", `-c${connections}`, `-d${seconds}s`, "--timeout", "30s", "-s", Path.join(here, "unique.lua"),
      `http://127.0.0.1:${port}${ISSUE_PATH}`
    ],
    ...["--", String(campaignId), String(firstUser), String(users)]
  ])
  const totals = JSON.parse(err.trim().split("\n").at(-1)!) as Record<
    "seconds" | "requests" | "rejected" | "broken",
    number
  >
  if (totals.broken > 0) throw new Error(`${totals.broken} of wrk's requests broke: ${err}`)
  return {
    seconds: totals.seconds,
    requests: totals.requests,
    ok: totals.requests - totals.rejected,
    rejected: totals.rejected,
    uncounted: connections,
    loadCpuMicros: cpu
  }
}
