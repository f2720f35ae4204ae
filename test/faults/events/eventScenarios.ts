import { query } from "../../support/privateServers.ts"
import { until } from "../Rig.ts"
import type { Scenario, Stage } from "../Scenario.ts"
import { callWebhooks, makeEndpoint, readLog, webhookSettings } from "./EventReaders.ts"
import { startWatcher } from "./Watcher.ts"
import { missing } from "./eventViolations.ts"
import { type Receiver, startReceiver } from "./Receivers.ts"

/** Longer than the lease of a dead instance, and what follows. */
const DELIVERY_MILLIS = 15_000

const positionOf = async ({ rig }: Stage, campaignId: number): Promise<number | undefined> => {
  const text = `SELECT sequence FROM webhook_cursors WHERE campaign_id = ${campaignId}`
  const [row] = await query(rig.databaseUrl, text)
  return row === undefined ? undefined : Number(row["sequence"])
}

/** Plays with a campaign and a receiver of its ranges, which has what happened so far. */
const withReceiver = async (
  stage: Stage,
  play: (receiver: Receiver, endpointId: string, campaignId: number) => Promise<ReadonlyArray<string>>
): Promise<ReadonlyArray<string>> => {
  const { a, load, rig } = stage
  const url = a.instance().url
  const receiver = await startReceiver("RANGE", 1)
  try {
    const { id: endpointId } = await makeEndpoint(url, receiver, [])
    const campaignId = await load.openCampaign(url, 10)
    await load.insist(() => [url], { campaignId, userId: 1 })
    const isThere = async () => {
      const log = await readLog(rig.databaseUrl, campaignId)
      // Not before the cursor says so: the requests that follow bring what comes next, and nothing again.
      return log.length === 2 && await positionOf(stage, campaignId) === 2 &&
        missing(receiver, campaignId, log, 0).length === 0
    }
    if (!await until(isThere, DELIVERY_MILLIS)) return [`E3 campaign ${campaignId}: its first events did not come`]
    return await play(receiver, endpointId, campaignId)
  } finally {
    await receiver.stop()
  }
}

/** Has a request about the next coupon wait at the receiver. */
const nextWaits = async ({ a, load }: Stage, receiver: Receiver, campaignId: number): Promise<void> => {
  receiver.fail("silent")
  await load.insist(() => [a.instance().url], { campaignId, userId: 2 })
  if (!await until(() => receiver.treated.silent > 0, DELIVERY_MILLIS)) throw new Error("no request came")
}

export const cursorBeforeAnswer: Scenario = {
  what: "both instances die while a receiver has a request and does not answer; they start again",
  env: webhookSettings,
  play: (stage) =>
    withReceiver(stage, async (receiver, _, campaignId) => {
      const { a, b, rig } = stage
      await nextWaits(stage, receiver, campaignId)
      const log = await readLog(rig.databaseUrl, campaignId)
      // Long enough for a cursor that does not wait for the answer.
      await until(async () => await positionOf(stage, campaignId) === log.at(-1)!.sequence, 1_000)
      await Promise.all([a.instance().kill(), b.instance().kill()])
      receiver.heal("cut")
      await a.start()
      await b.start()
      await until(() => missing(receiver, campaignId, log, 0).length === 0, DELIVERY_MILLIS)
      return missing(receiver, campaignId, log, 0)
    })
}

export const leaseNotFenced: Scenario = {
  what: "an operator sets a webhook back while an instance waits for the answer of its receiver, which comes then",
  env: webhookSettings,
  play: (stage) =>
    withReceiver(stage, async (receiver, id, campaignId) => {
      const { a, b, rig } = stage
      // The one that sends is then the one that is asked.
      await b.instance().kill()
      await nextWaits(stage, receiver, campaignId)
      const log = await readLog(rig.databaseUrl, campaignId)
      await callWebhooks(a.instance().url, "ReplayWebhook", { id, campaignId, afterSequence: 0 })
      const before = receiver.accepted.length
      receiver.heal("answer")
      const after = () => missing({ mode: "RANGE", accepted: receiver.accepted.slice(before) }, campaignId, log, 0)
      await until(() => after().length === 0, DELIVERY_MILLIS)
      return after().map((text) => `${text}, after they were asked for again`)
    })
}

/** So many that one of them watches at any time. */
const WATCHERS = 4

export const watchOfTheTail: Scenario = {
  what: "a client watches a campaign from its first event on, while others watch what comes",
  play: async ({ a, load, rig }) => {
    const url = () => [a.instance().url]
    const campaignId = await load.openCampaign(a.instance().url, 10)
    const caughtUp = async (userId: number) => {
      await load.insist(url, { campaignId, userId })
      const isLogged = async () => (await readLog(rig.databaseUrl, campaignId)).at(-1)?.lastNumber === userId
      await until(isLogged, DELIVERY_MILLIS)
      return (await readLog(rig.databaseUrl, campaignId)).at(-1)!.sequence
    }
    const before = await caughtUp(1)
    const watchers = Array.from({ length: WATCHERS }, (_, k) => startWatcher(url, campaignId, k))
    try {
      await until(() => watchers.every(({ last }) => last() === before), DELIVERY_MILLIS)
      const head = await caughtUp(2)
      await until(() => watchers.some(({ last }) => last() === head), DELIVERY_MILLIS)
      watchers.push(startWatcher(url, campaignId, WATCHERS))
      await until(() => watchers.every(({ last }) => last() === head), DELIVERY_MILLIS)
      return watchers.flatMap(({ last, violations }) => [
        ...violations,
        ...last() < head ? [`E4 campaign ${campaignId}: a watcher has ${last()} of ${head} events`] : []
      ])
    } finally {
      await Promise.all(watchers.map((watcher) => watcher.stop()))
    }
  }
}
