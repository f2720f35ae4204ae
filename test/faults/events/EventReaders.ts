import { setTimeout as pause } from "node:timers/promises"
import { query } from "../../support/privateServers.ts"
import { until } from "../Rig.ts"
import { deliveryViolations, type LoggedEvent, missing, watchViolations } from "./eventViolations.ts"
import { type Mode, type Receiver, startReceiver, type Treatment, treatments } from "./Receivers.ts"
import { startWatcher, type Watcher } from "./Watcher.ts"

/** Where the logs are, and the instances that serve them. */
export interface Served {
  readonly databaseUrl: () => string | Promise<string>
  readonly urls: () => ReadonlyArray<string>
}

/** What reads the event logs during a run: receivers of webhooks, one a mode, and watchers. */
export interface EventReaders {
  /** From now on receivers fail at random, or no longer. */
  readonly failReceivers: (does: boolean) => void
  /** Requests by how they were treated while receivers failed. */
  readonly treated: () => Readonly<Record<Treatment, number>>
  /** Events that came to receivers, each time that one came, and streams that brought one to watchers. */
  readonly counts: () => { readonly received: number; readonly streams: number }
  /** E3 and E4, once nothing more happens: waits so long for what has not come. */
  readonly violations: (millis: number) => Promise<ReadonlyArray<string>>
  readonly stop: () => Promise<void>
}

/** Settings of instances whose webhooks may go to receivers here, and fail often enough to be tried again in a run. */
export const webhookSettings = {
  SECRETS_KEY: `k1:${Buffer.alloc(32, 7).toString("base64")}`,
  WEBHOOK_ALLOW_HTTP: "on",
  WEBHOOK_ALLOWED_NETWORKS: "127.0.0.0/8",
  WEBHOOK_RETRIES: "100ms,300ms,1s"
} as const

/** Calls a method of the service of webhooks; throws unless it answers OK. */
export const callWebhooks = async <A>(url: string, method: string, body: object): Promise<A> => {
  const reply = await fetch(`${url}/coupon.v1.WebhookService/${method}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body)
  })
  if (!reply.ok) throw new Error(`${method} answered ${reply.status} ${await reply.text()}`)
  return await reply.json() as A
}

/** An endpoint: its id, and when it was made, as epoch milliseconds of the ledger's clock. */
export interface Made {
  readonly id: string
  readonly at: number
}

/** Makes the endpoint of a receiver, through an instance. */
export const makeEndpoint = async (
  url: string,
  receiver: Receiver,
  campaignIds: ReadonlyArray<number>
): Promise<Made> => {
  const { secret, webhook } = await callWebhooks<{
    readonly webhook: { readonly id: string; readonly createdAt: string }
    readonly secret: string
  }>(
    url,
    "CreateWebhook",
    { url: receiver.url, mode: `WEBHOOK_MODE_${receiver.mode}`, campaignIds, concurrency: 8 }
  )
  receiver.secret = secret
  return { id: webhook.id, at: Date.parse(webhook.createdAt) }
}

/** A campaign's log as the ledger has it. */
export const readLog = async (databaseUrl: string, campaignId: number): Promise<ReadonlyArray<LoggedEvent>> => {
  const rows = await query(
    databaseUrl,
    "SELECT sequence, type, first_id AS firstNumber, last_id AS lastNumber, " +
      "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', at) DIV 1000 AS at FROM campaign_events " +
      `WHERE campaign_id = ${campaignId} ORDER BY sequence`
  )
  return rows.map((row) => ({
    sequence: Number(row["sequence"]),
    type: String(row["type"]),
    firstNumber: Number(row["firstNumber"]),
    lastNumber: Number(row["lastNumber"]),
    at: Number(row["at"])
  }))
}

/** How long the logs may take to have what was committed before the run. */
const CATCH_UP_MILLIS = 30_000

/** Waits so long until the logs have all coupons and changes, and returns whether they do. */
const caughtUp = async (databaseUrl: string, millis: number): Promise<boolean> => {
  const lagging = () =>
    query(
      databaseUrl,
      "SELECT c.id FROM campaigns AS c LEFT JOIN campaign_event_heads AS h ON h.campaign_id = c.id " +
        "WHERE h.last_id IS NULL OR h.last_id < c.current_coupon OR h.version < c.version"
    )
  return until(async () => (await lagging()).length === 0, millis)
}

/**
 * Starts receivers with an endpoint each, and a watcher a campaign, before the load. `few`: campaigns with few coupons,
 * which alone are sent one by one.
 */
export const startEventReaders = async (
  { databaseUrl, urls }: Served,
  campaignIds: ReadonlyArray<number>,
  few: ReadonlyArray<number>,
  seed: number
): Promise<EventReaders> => {
  // A webhook begins with what comes after it was made.
  if (!await caughtUp(await databaseUrl(), CATCH_UP_MILLIS)) {
    throw new Error("the event logs do not have what was committed before the run")
  }
  const modes: ReadonlyArray<Mode> = few.length === 0 ? ["BATCH", "RANGE"] : ["EACH", "BATCH", "RANGE"]
  const receivers = await Promise.all(modes.map((mode, k) => startReceiver(mode, seed * 10 + k)))
  const watchers: Array<Watcher> = []
  const stop = async () => {
    await Promise.all([...receivers.map((receiver) => receiver.stop()), ...watchers.map((watcher) => watcher.stop())])
  }
  const madeAt = new Map<Receiver, number>()
  const campaignsOf = ({ mode }: Receiver) => mode === "EACH" ? few : campaignIds
  try {
    for (const [k, receiver] of receivers.entries()) {
      const all = urls()
      madeAt.set(receiver, (await makeEndpoint(all[k % all.length]!, receiver, campaignsOf(receiver))).at)
    }
  } catch (error) {
    await stop()
    throw error
  }
  watchers.push(...campaignIds.map((campaignId, k) => startWatcher(urls, campaignId, seed * 10 + k)))

  /** What happened before an endpoint was made may be in the log only later: it gets what comes after that. */
  const beginOf = (receiver: Receiver, log: ReadonlyArray<LoggedEvent>): number =>
    (log.find(({ at }) => at >= madeAt.get(receiver)!) ?? { sequence: log.length + 1 }).sequence - 1

  /** What is missing at each reader. */
  const open = (logs: ReadonlyMap<number, ReadonlyArray<LoggedEvent>>): ReadonlyArray<string> => [
    ...receivers.flatMap((receiver) =>
      campaignsOf(receiver).flatMap((campaignId) => {
        const log = logs.get(campaignId)!
        return missing(receiver, campaignId, log, beginOf(receiver, log))
      })),
    ...watchers.flatMap(({ campaignId, last }) => {
      const head = logs.get(campaignId)!.at(-1)?.sequence ?? 0
      return last() < head ? [`E4 campaign ${campaignId}: a watcher has ${last()} of ${head} events`] : []
    })
  ]
  return {
    failReceivers: (does) => {
      for (const receiver of receivers) {
        if (does) receiver.fail("by chance")
        else receiver.heal()
      }
    },
    treated: () =>
      Object.fromEntries(
        treatments.map((treatment) => [treatment, receivers.reduce((sum, { treated }) => sum + treated[treatment], 0)])
      ) as Record<Treatment, number>,
    counts: () => ({
      received: receivers.reduce((sum, { accepted }) => sum + accepted.reduce((n, ids) => n + ids.length, 0), 0),
      streams: watchers.reduce((sum, { streams }) => sum + streams(), 0)
    }),
    violations: async (millis) => {
      // The relay may not have come to the last coupons yet. That the logs have all of them, E1 says.
      await caughtUp(await databaseUrl(), millis)
      const logs = new Map<number, ReadonlyArray<LoggedEvent>>()
      for (const campaignId of campaignIds) logs.set(campaignId, await readLog(await databaseUrl(), campaignId))
      for (const end = performance.now() + millis; open(logs).length > 0 && performance.now() < end;) await pause(200)
      const late = open(logs).map((text) => `${text}, ${millis / 1_000} s after the last event`)
      await Promise.all(watchers.map((watcher) => watcher.stop()))
      return [
        ...late,
        ...receivers.flatMap((receiver) => [
          ...receiver.violations,
          ...campaignsOf(receiver).flatMap((campaignId) => {
            const log = logs.get(campaignId)!
            return deliveryViolations(receiver, campaignId, log, beginOf(receiver, log))
          })
        ]),
        ...watchers.flatMap((watcher) => [
          ...watcher.violations,
          ...watchViolations(watcher, logs.get(watcher.campaignId)!)
        ])
      ]
    },
    stop
  }
}
