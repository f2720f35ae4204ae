import { setTimeout as delay } from "node:timers/promises"
import type { Instance } from "../test/support/Instance.ts"
import { closedLoop, generate, ISSUE_PATH, type GeneratorResult } from "./Load.ts"
import { median, quantiles, type Quantiles } from "./Quantiles.ts"
import { durableRun, freshUsers, ledgerCount, settled, verify } from "./rates.ts"
import { claim, createCampaign, startEcho, startEmbedded, GATE_PREFIX, until, type Stage } from "./Stage.ts"

/** How long an instance is kept busy before its latencies are looked at. */
const WARM_SECONDS = 5

/** Requests that arrive at their own pace, whatever the service does. */
export const openLoop = async (
  stage: Stage,
  rate: number,
  seconds: number,
  connections = 256,
  env: Readonly<Record<string, string>> = {}
): Promise<GeneratorResult & { readonly campaignId: number }> => {
  // As it is by default, but for the crowd that warms it up: a closed loop is not to be shed.
  const instance = await stage.distributed({ LATENCY_TARGET: "1s", ...env })
  try {
    const campaignId = await createCampaign(instance.url)
    const load = { port: instance.port, path: ISSUE_PATH, campaignId, users: 0, connections, rate }
    // V8 compiles what has run some 10,000 times: at this pace that would take a third of the run, as it does once in
    // an instance's life.
    await durableRun(stage, instance, connections, Math.min(WARM_SECONDS, seconds))
    const warm = await generate({ ...load, firstUser: freshUsers(), seconds: 3 })
    const result = await generate({ ...load, firstUser: freshUsers(), seconds })
    const ok = result.statuses["200"] ?? 0
    if (ok !== result.requests) {
      throw new Error(`at ${rate}/s not every claim was answered OK: ${JSON.stringify(result.statuses)}`)
    }
    await settled(stage)
    verify(`${rate}/s`, ok + warm.requests, await ledgerCount(stage, campaignId), 0)
    return { ...result, campaignId }
  } finally {
    await instance.stop()
  }
}

/** The raw echo under the same load: what the machine itself makes of that pace just then. */
export const echoLoop = async (rate: number, seconds: number, connections = 256): Promise<Quantiles> => {
  const echo = await startEcho("raw")
  try {
    const load = { port: echo.port, path: ISSUE_PATH, campaignId: 1, users: 0, connections }
    await closedLoop({ ...load, firstUser: freshUsers(), seconds: Math.min(WARM_SECONDS, seconds) })
    const { latencyMillis, requests, statuses } = await generate({ ...load, rate, firstUser: freshUsers(), seconds })
    if (statuses["200"] !== requests) {
      throw new Error(`at ${rate}/s not every echo was a 200: ${JSON.stringify(statuses)}`)
    }
    return latencyMillis
  } finally {
    await echo.stop()
  }
}

/**
 * A campaign with that many coupons, written straight into the ledger. Codes are as long, as random and as many bytes
 * as ours.
 */
export const fillCampaign = async (
  stage: Stage,
  campaignId: number,
  size: number,
  say: (text: string) => void
): Promise<void> => {
  const syllables = Array.from("가나다라마바사아자차카타파하거너더러머버")
  const base36 = (n: string) => `LPAD(CONV((${n}) * 1000000000039 MOD 3656158440062976, 10, 36), 10, '0')`
  // Multiplied by a number coprime to 36^10, so that codes are unique and their index is written as randomly as by real
  // ones.
  const code = (n: string) =>
    syllables.reduce(
      (text, syllable, i) => `REPLACE(${text}, '${String.fromCharCode(65 + i)}', '${syllable}')`,
      base36(n)
    )
  const first = `INSERT INTO coupons VALUES (${campaignId}, 1, 1, ${code("CAST(1 AS UNSIGNED)")}, SYSDATE(6))`
  await stage.sql(first)
  let filled = 1
  while (filled < size) {
    const more = Math.min(filled, size - filled, 131_072)
    const n = `id + CAST(${filled} AS UNSIGNED)`
    await stage.sql(
      `INSERT INTO coupons SELECT campaign_id, ${n}, ${n}, ${code(n)}, SYSDATE(6) FROM coupons ` +
        `WHERE campaign_id = ${campaignId} AND id <= ${more}`
    )
    filled += more
    if (filled === size || filled % 1_048_576 === 0) {
      say(`filled ${filled.toLocaleString("en")} of ${size.toLocaleString("en")} coupons`)
    }
  }
  await stage.sql(`UPDATE campaigns SET current_coupon = ${size} WHERE id = ${campaignId}`)
}

/**
 * Rebuilds the gate of a campaign that `fillCampaign` has filled, and returns the coupons a second. The gate lacks
 * these coupons: it starts anew, from the ledger, with the first claim. Claims do not wait for its end.
 */
export const rebuildGate = async (
  stage: Stage,
  instance: Instance,
  campaignId: number,
  size: number
): Promise<number> => {
  await stage.redis.del(...["m", "i", "p", "e"].map((key) => `${GATE_PREFIX}{c${campaignId}}:${key}`))
  const start = performance.now()
  await until(
    `a claim with ${size} coupons`,
    300,
    async () => await claim(instance.url, campaignId, freshUsers()) === "OK"
  )
  await until(
    `the gate is rebuilt with ${size} coupons`,
    300,
    async () => await stage.redis.hget(`${GATE_PREFIX}{c${campaignId}}:m`, "hydrated") === "1"
  )
  return size * 1_000 / (performance.now() - start)
}

export interface CampaignSize {
  readonly small: number
  readonly large: number
  /** mysqld and node, microseconds a coupon. */
  readonly smallMicros: number
  readonly largeMicros: number
  /** Coupons of the large campaign that its gate was given a second, from nothing. */
  readonly rebuildPerSecond: number
  readonly redisBytesACoupon: number
  readonly redisEventBytes: number
  readonly drain: { readonly events: number; readonly perSecond: number }
  /** With EVENT_STREAM=redis. */
  readonly publishedPerSecond?: number
}

const coupled = (cpu: Readonly<Record<string, number>>) => {
  if (cpu["mysqld"] === undefined) throw new Error("mysqld's CPU time cannot be seen: use a private server")
  return cpu["node"]! + cpu["mysqld"]
}

/**
 * What a coupon costs in a large campaign against a small one, what it weighs in Redis, and how fast a backlog drains.
 */
export const campaignSize = async (
  stage: Stage,
  options: {
    readonly large: number
    readonly rounds: number
    readonly seconds: number
    readonly say: (text: string) => void
  }
): Promise<CampaignSize> => {
  const small = 10_000
  const { large, rounds, say, seconds } = options
  let instance = await stage.distributed({ LATENCY_TARGET: "1s" })
  try {
    // As large as a campaign may be, so the limit leaves no room beyond 10 million: the fill stops short of it.
    const filled = Math.min(large, 9_000_000)
    const campaigns = new Map<number, number>()
    let rebuildPerSecond = 0
    for (const size of [small, filled]) {
      const campaignId = await createCampaign(instance.url)
      await fillCampaign(stage, campaignId, size, say)
      campaigns.set(size, campaignId)
      // Sooner or later the statistics say how large the campaign is, and MySQL may make something else of a query.
      await stage.sql("ANALYZE TABLE coupons")
      rebuildPerSecond = await rebuildGate(stage, instance, campaignId, size)
      const rate = Math.round(rebuildPerSecond).toLocaleString("en")
      say(`${size.toLocaleString("en")} coupons: the gate was rebuilt with ${rate} a second`)
    }
    const micros = new Map([small, filled].map((size) => [size, [] as Array<number>]))
    for (let round = 0; round <= rounds; round++) {
      for (const [size, campaignId] of campaigns) {
        const sample = await durableRun(stage, instance, 128, seconds, campaignId)
        // The first round warms up.
        if (round > 0) micros.get(size)!.push(coupled(sample.cpu))
        const cost = `${coupled(sample.cpu).toFixed(1)} µs of node and mysqld each`
        say(`${size.toLocaleString("en")} coupons: ${Math.round(sample.perSecond)}/s, ${cost}`)
      }
    }
    await settled(stage)
    const campaignId = campaigns.get(filled)!
    const rows = await ledgerCount(stage, campaignId)
    await until("the gate is at rest", 60, async () => await stage.redis.hlen(`${GATE_PREFIX}{c${campaignId}}:p`) === 0)
    const bytes = async (key: string) =>
      Number(await stage.redis.memory("USAGE", `${GATE_PREFIX}{c${campaignId}}:${key}`, "SAMPLES", 0) ?? 0)
    const redisBytesACoupon = (await bytes("i") + await bytes("m") + await bytes("p") + await bytes("e")) / rows

    // The backlog: events of coupons that the ledger has, in one transaction, so that all of them wait at once.
    const batch = 100
    const backlog = Math.min(Math.floor(rows / batch), 5_000)
    const added = async () => {
      const info = await stage.redis.xinfo("STREAM", `${GATE_PREFIX}{c${campaignId}}:e`) as ReadonlyArray<unknown>
      return Number(info[info.indexOf("entries-added") + 1])
    }
    const drained = async (published: number) => {
      const before = await added()
      await stage.sql(
        `INSERT INTO outbox (batch_id, kind, campaign_id, first_id, last_id, created_at)
         SELECT UNHEX(LPAD(HEX(id), 32, '0')), 'ISSUED', ${campaignId},
           (id - 1) * ${batch} + 1, id * ${batch}, SYSDATE(6)
         FROM coupons WHERE campaign_id = ${campaignId} AND id <= ${backlog}`
      )
      const start = performance.now()
      await settled(stage)
      const elapsed = (performance.now() - start) / 1_000
      const more = await added() - before
      if (more !== published) throw new Error(`${published} events were to be published, and ${more} were`)
      const perSecond = backlog * batch / elapsed
      say(`a backlog of ${backlog * batch} drained at ${Math.round(perSecond)}/s, with ${more} events in the stream`)
      return perSecond
    }
    const perSecond = await drained(0)
    await instance.stop()
    instance = await stage.distributed({ LATENCY_TARGET: "1s", EVENT_STREAM: "redis" })
    const publishedPerSecond = await drained(backlog * batch)
    const redisEventBytes = await bytes("e") / await stage.redis.xlen(`${GATE_PREFIX}{c${campaignId}}:e`)
    return {
      small,
      large: filled,
      smallMicros: median(micros.get(small)!),
      largeMicros: median(micros.get(filled)!),
      rebuildPerSecond,
      redisBytesACoupon,
      redisEventBytes,
      drain: { events: backlog * batch, perSecond },
      publishedPerSecond
    }
  } finally {
    await instance.stop()
  }
}

/** How long after its time of issue a coupon's event is in the stream, at that many claims a second: milliseconds. */
export const relayLag = async (stage: Stage, rate: number, seconds: number) => {
  const { campaignId, requests } = await openLoop(stage, rate, seconds, undefined, { EVENT_STREAM: "redis" })
  const lags: Array<number> = []
  for (let from = "-"; ;) {
    const page = await stage.redis.xrange(`${GATE_PREFIX}{c${campaignId}}:e`, from, "+", "COUNT", 10_000)
    for (const [id, fields] of page) lags.push(Number(id.split("-")[0]) - Number(fields[7]))
    if (page.length < 10_000) break
    from = `(${page.at(-1)![0]}`
  }
  if (lags.length < requests || lags.some(Number.isNaN)) {
    throw new Error(`${requests} coupons, but ${lags.length} events that tell their time`)
  }
  // The first seconds warm the process up.
  const { max, p50, p99 } = quantiles(lags.slice(-requests))
  return { p50, p99, max, events: requests }
}

/** From spawning the process to /readyz answering 200, milliseconds: medians of some starts on migrated stores. */
export const startTimes = async (stage: Stage, times: number) => {
  const timed = async (start: () => Promise<{ readonly stop: () => Promise<unknown> }>) => {
    const begin = performance.now()
    const { stop } = await start()
    const took = performance.now() - begin
    await stop()
    return took
  }
  const [distributed, embedded]: [Array<number>, Array<number>] = [[], []]
  for (let i = 0; i <= times; i++) {
    const [one, other] = [await timed(() => stage.distributed()), await timed(startEmbedded)]
    // The first start creates the tables and the compile cache.
    if (i > 0) {
      distributed.push(one)
      embedded.push(other)
    }
    await delay(0)
  }
  return { distributed: median(distributed), embedded: median(embedded) }
}
