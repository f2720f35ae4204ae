import { afterEach } from "vitest"
import { startInstance, type Instance } from "../support/Instance.ts"
import { query } from "../support/servers.ts"
import type { Attempt } from "../invariants/History.ts"
import { makeLoad, tally, type LoadGenerator, type Wish } from "./load.ts"

/** Runs what was deferred in a test, latest first, when the test is over, whether it failed or not. */
export const deferral = (): (release: () => unknown) => void => {
  const releases: Array<() => unknown> = []
  afterEach(async () => {
    for (let release = releases.pop(); release !== undefined; release = releases.pop()) await release()
  })
  return (release) => void releases.push(release)
}

/** Deadlines of the service shortened in proportion, so that what they guard is reached sooner. */
export const impatient = {
  REQUEST_TIMEOUT: "3 seconds",
  MYSQL_REPLY_TIMEOUT: "1 second",
  RESERVATION_TIMEOUT: "4 seconds",
  REAPER_INTERVAL: "100 millis"
}

/**
 * For tests that hold a batch back while they look elsewhere: however long that takes them, no deadline passes
 * meanwhile.
 */
export const patient = {
  REQUEST_TIMEOUT: "8 seconds",
  MYSQL_REPLY_TIMEOUT: "20 seconds",
  RESERVATION_TIMEOUT: "10 seconds"
}

/** Starts an instance that ends with the test. */
export const startFor = async (
  defer: (release: () => unknown) => void,
  env: Readonly<Record<string, string>>,
  options: { readonly ready?: boolean } = {}
): Promise<Instance> => {
  const instance = await startInstance({ ...impatient, ...env }, options)
  defer(() => instance.kill())
  return instance
}

/** A load generator that ends with the test. */
export const loadFor = (defer: (release: () => unknown) => void): LoadGenerator => {
  const load = makeLoad()
  defer(load.close)
  return load
}

/** A fresh database on a server of the test's own. */
export const freshDatabase = async (serverUrl: string): Promise<string> => {
  const name = `coupon_${Math.random().toString(36).slice(2)}`
  await query(serverUrl, `CREATE DATABASE ${name}`)
  return Object.assign(new URL(serverUrl), { pathname: `/${name}` }).href
}

/** The code that the ledger holds for a user, by SQL. */
export const codeInLedger = async (databaseUrl: string, { campaignId, userId }: Wish): Promise<string | undefined> => {
  const [row] = await query(
    databaseUrl,
    `SELECT code FROM coupons WHERE campaign_id = ${campaignId} AND user_id = ${userId}`
  )
  return row?.["code"] as string | undefined
}

/** The answers that were asked for at or after a moment. */
export const since = (history: ReadonlyArray<Attempt>, moment: number): ReadonlyArray<Attempt> =>
  history.filter(({ askedAt }) => askedAt >= moment)

export const clock = (): number => performance.timeOrigin + performance.now()

/** No other users of these tests have numbers this large. */
let newcomer = 1_000_000_000

/**
 * I7: claims for new users until each campaign says that it is sold out. That it then has exactly as many coupons as
 * its limit, `checkInvariants` tells.
 */
export const fillUp = async (
  load: LoadGenerator,
  urls: () => ReadonlyArray<string>,
  campaignIds: ReadonlyArray<number>,
  concurrency = 30
): Promise<void> => {
  for (const campaignId of campaignIds) {
    await Promise.all(Array.from({ length: concurrency }, async () => {
      for (;;) {
        const { outcome } = await load.insist(urls, { campaignId, userId: newcomer++ })
        if (outcome === "COUPON_SOLD_OUT") return
        // A repeated claim may return the coupon that the first one got.
        if (outcome !== "OK" && outcome !== "COUPON_ALREADY_CLAIMED") {
          throw new Error(`a newcomer received ${outcome}; so far ${JSON.stringify(tally(load.history))}`)
        }
      }
    }))
  }
}
