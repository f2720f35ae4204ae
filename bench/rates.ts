import { setTimeout as delay } from "node:timers/promises"
import type { Instance } from "../test/support/Instance.ts"
import { during, residentMiB } from "./Cpu.ts"
import { closedLoop } from "./Load.ts"
import { claim, createCampaign, startEcho, startEmbedded, until, type Stage } from "./Stage.ts"

/** One run of one variant. CPU time is in microseconds a request, by process. */
export interface Sample {
  readonly perSecond: number
  readonly cpu: Readonly<Record<string, number>>
  /** Resident memory of the service afterwards, MiB. */
  readonly resident: number
}

/** A thing whose rate is measured: `run` is one round of it. */
export interface Variant {
  readonly name: string
  readonly run: (seconds: number) => Promise<Sample>
}

/** Fails unless the ledger holds as many coupons as were promised: what is measured must have happened. */
export const verify = (what: string, answered: number, stored: number, uncounted: number): void => {
  if (stored < answered || stored > answered + uncounted) {
    throw new Error(
      `${what}: ${answered} OKs (and at most ${uncounted} on their way), but the ledger holds ${stored} coupons`
    )
  }
}

let nextUser = 1
/** A range of users of its own in this run. */
export const freshUsers = (): number => (nextUser += 1_000_000_000)

export const ledgerCount = async (stage: Stage, campaignId: number): Promise<number> => {
  const [row] = await stage.sql(
    `SELECT (SELECT COUNT(*) FROM coupons WHERE campaign_id = ${campaignId}) AS n, current_coupon AS c ` +
      `FROM campaigns WHERE id = ${campaignId}`
  )
  if (Number(row!["n"]) !== Number(row!["c"])) {
    throw new Error(`campaign ${campaignId}: counter ${String(row!["c"])}, rows ${String(row!["n"])}`)
  }
  return Number(row!["n"])
}

/** Waits until nothing of the run before is left to do, so that it does not burden the next. */
export const settled = (stage: Stage): Promise<void> =>
  until("the outbox is empty", 60, async () =>
    Number((await stage.sql("SELECT COUNT(*) AS n FROM outbox WHERE kind = 'ISSUED'"))[0]!["n"]) === 0)

interface Target {
  readonly port: number
  readonly pid: number
}

const measure = async (
  target: Target,
  others: Readonly<Record<string, number>>,
  load: {
    readonly campaignId: number
    readonly firstUser: number
    readonly users?: number
    readonly connections: number
    readonly seconds: number
  }
) => {
  const { cpu, result } = await during(
    { node: target.pid, ...others },
    () => closedLoop({ port: target.port, users: 0, ...load })
  )
  if (result.requests === 0) throw new Error("not one request was answered")
  const each = Object.fromEntries(
    Object.entries({ ...cpu, load: result.loadCpuMicros }).map(([name, micros]) => [name, micros / result.requests])
  )
  return {
    result,
    sample: {
      perSecond: result.requests / result.seconds,
      cpu: each,
      resident: residentMiB(target.pid)
    } satisfies Sample
  }
}

/** Answers of status 200 only: an echo that fails is no yardstick. */
const echoRun = async (target: Target, connections: number, seconds: number) => {
  const { result, sample } = await measure(target, {}, { campaignId: 1, firstUser: freshUsers(), connections, seconds })
  if (result.rejected > 0) throw new Error(`${result.rejected} echoes were no 200`)
  return sample
}

export const durableRun = async (
  stage: Stage,
  instance: Instance,
  connections: number,
  seconds: number,
  campaign?: number
): Promise<Sample> => {
  const campaignId = campaign ?? await createCampaign(instance.url)
  const before = await ledgerCount(stage, campaignId)
  const { result, sample } = await measure(instance, stage.pids, {
    campaignId,
    firstUser: freshUsers(),
    connections,
    seconds
  })
  if (result.rejected > 0) throw new Error(`${result.rejected} of ${result.requests} claims were refused`)
  // What wrk left behind is finished first.
  await settled(stage)
  verify(`${connections} connections`, result.ok, await ledgerCount(stage, campaignId) - before, result.uncounted)
  return sample
}

/** What the variants need, and the variants. */
export const makeVariants = async (stage: Stage, wanted: (name: string) => boolean): Promise<{
  readonly variants: ReadonlyArray<Variant>
  readonly stop: () => Promise<void>
}> => {
  const stops: Array<() => Promise<unknown>> = []
  const raw = await startEcho("raw")
  stops.push(raw.stop)
  const all: Array<Variant & { readonly group: string }> = [
    { name: "raw echo, 128 connections", group: "rates", run: (seconds) => echoRun(raw, 128, seconds) },
    { name: "raw echo, 512 connections", group: "rates", run: (seconds) => echoRun(raw, 512, seconds) }
  ]
  if (wanted("rates") || wanted("rejections")) {
    // A closed loop measures the capacity: no claim is to be shed, even if it waits longer than a user would.
    const instance = await stage.distributed({ LATENCY_TARGET: "1s" })
    stops.push(instance.stop)
    const gated = await stage.distributed({ LATENCY_TARGET: "1s", GATE_BYPASS_AFTER: "0" })
    stops.push(gated.stop)
    for (const connections of [128, 512]) {
      const durable = (name: string, server: Instance): Variant & { readonly group: string } => ({
        name: `${name}, ${connections} connections`,
        group: "rates",
        run: (seconds) => durableRun(stage, server, connections, seconds)
      })
      all.push(durable("durable issues", instance), durable("durable issues through the gate", gated))
    }
    const connect = await startEcho("connect")
    stops.push(connect.stop)
    all.push({
      name: "connect-node's adapter, 128 connections",
      group: "rates",
      run: (seconds) => echoRun(connect, 128, seconds)
    })

    const rejected = (
      name: string,
      campaignId: number,
      message: string,
      firstUser: () => number,
      users: number
    ): Variant & { readonly group: string } => ({
      name,
      group: "rejections",
      run: async (seconds) => {
        const first = firstUser()
        const before = await ledgerCount(stage, campaignId)
        const answer = await claim(instance.url, campaignId, first)
        if (answer !== message) throw new Error(`expected ${message}, received ${answer}`)
        const { result, sample } = await measure(instance, stage.pids, {
          campaignId,
          firstUser: first,
          users,
          connections: 128,
          seconds
        })
        if (result.ok > 0) throw new Error(`${result.ok} claims that had to be refused were answered OK`)
        const after = await ledgerCount(stage, campaignId)
        if (after !== before) throw new Error(`${after - before} coupons were issued by claims that had to be refused`)
        return sample
      }
    })
    const soldOut = await createCampaign(instance.url, 1)
    if (await claim(instance.url, soldOut, freshUsers()) !== "OK") throw new Error("the first coupon was refused")
    all.push(rejected("sold out, 128 connections", soldOut, "COUPON_SOLD_OUT", freshUsers, 0))
    const claimed = await createCampaign(instance.url)
    const holders = freshUsers()
    for (let user = holders; user < holders + 1_000; user += 50) {
      const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => claim(instance.url, claimed, user + i)))
      if (answers.some((message) => message !== "OK")) {
        throw new Error(`a first claim was answered ${answers.find((m) => m !== "OK")}`)
      }
    }
    all.push(rejected("already claimed, 128 connections", claimed, "COUPON_ALREADY_CLAIMED", () => holders, 1_000))
  }
  if (wanted("embedded")) {
    const embedded = await startEmbedded()
    stops.push(embedded.stop)
    all.push({
      name: "durable issues, embedded, 128 connections",
      group: "embedded",
      run: async (seconds) => {
        const campaignId = await createCampaign(embedded.instance.url)
        const { result, sample } = await measure(embedded.instance, {}, {
          campaignId,
          firstUser: freshUsers(),
          connections: 128,
          seconds
        })
        if (result.rejected > 0) throw new Error(`${result.rejected} of ${result.requests} claims were refused`)
        // Claims under way when wrk stopped are stored a moment later.
        let stored = -1
        await until("the embedded ledger is at rest", 10, async () => {
          const last = stored
          stored = embedded.count(campaignId)
          await delay(100)
          return stored === last
        })
        verify("embedded", result.ok, stored, result.uncounted)
        return sample
      }
    })
  }
  const variants = all.filter(({ group, name }) => wanted(group) || name.startsWith("raw echo"))
  return {
    variants: variants,
    stop: async () => {
      for (const stop of stops.reverse()) await stop()
    }
  }
}
