import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Attempt } from "../invariants/History.ts"
import { checkInvariants } from "../invariants/invariants.ts"
import { inLongProfile } from "../support/profile.ts"
import { availableDatabases, databaseOn, startRedis, type DatabaseKind } from "../support/servers.ts"
import { startCluster, startEmbedded, type Cluster } from "./cluster.ts"
import { makeLoad, tally, type LoadGenerator, type Wish } from "./load.ts"

const CAMPAIGNS = 5
const USERS = 1_000

/** Users of a crowd that shows the same of other stores. */
const FEWER_USERS = inLongProfile(USERS, 200)

/** All of them are to be served, however busy the machine; a claim that is shed is made again. */
const env = { REQUEST_TIMEOUT: "8s" }

/** Each user once on each campaign, users side by side as a crowd would come. */
const allUsers = function*(users: number, campaignIds: ReadonlyArray<number>): Generator<Wish> {
  for (let userId = 1; userId <= users; userId++) for (const campaignId of campaignIds) yield { campaignId, userId }
}

const suite = (name: string, users: number, start: () => Promise<Cluster>): void => {
  const few = users / 10
  describe(name, () => {
    let cluster: Cluster
    let load: LoadGenerator
    beforeAll(async () => {
      cluster = await start()
      load = makeLoad()
    })
    afterAll(async () => {
      load.close()
      await (cluster as Cluster | undefined)?.stop()
    })

    const open = (limit: number) =>
      Promise.all(Array.from({ length: CAMPAIGNS }, () => load.openCampaign(cluster.urls()[0]!, limit)))
    const of = (attempts: ReadonlyArray<Attempt>, campaignId: number) =>
      attempts.filter((attempt) => attempt.campaignId === campaignId)

    it(`stress: ${users} users at once over ${CAMPAIGNS} campaigns of ${users} all get their coupon`, async () => {
      const attempts = await load.claimAll(cluster.urls(), allUsers(users, await open(users)), users)
      expect(tally(attempts)).toEqual({ OK: users * CAMPAIGNS })
      await checkInvariants(cluster.stores, load.history)
    })

    it(`limit: ${users} users at once over ${CAMPAIGNS} campaigns of ${few} get exactly ${few} of each`, async () => {
      const campaignIds = await open(few)
      const attempts = await load.claimAll(cluster.urls(), allUsers(users, campaignIds), users)
      for (const campaignId of campaignIds) {
        expect(tally(of(attempts, campaignId))).toEqual({ OK: few, COUPON_SOLD_OUT: users - few })
      }
      await checkInvariants(cluster.stores, load.history)
    })

    it("duplicates: of 20 claims at once by each of 50 users one is OK and 19 show the same coupon", async () => {
      const campaignId = await load.openCampaign(cluster.urls()[0]!, 1_000)
      const wishes = Array.from({ length: 50 * 20 }, (_, k) => ({ campaignId, userId: 1 + k % 50 }))
      const attempts = await load.claimAll(cluster.urls(), wishes, wishes.length)
      for (let user = 1; user <= 50; user++) {
        const own = attempts.filter(({ userId }) => userId === String(user))
        expect(tally(own)).toEqual({ OK: 1, COUPON_ALREADY_CLAIMED: 19 })
        expect(new Set(own.map(({ code }) => code)).size).toBe(1)
      }
      await checkInvariants(cluster.stores, load.history)
    })
  })
}

const distributed = (kind: DatabaseKind, size: number, eventStream: "off" | "redis", users: number) =>
  suite(`a crowd at ${size} instances on ${kind} and Redis, event stream ${eventStream}`, users, async () => {
    const redis = await startRedis()
    const database = await databaseOn(kind)
    const stores = { databaseUrl: database.url, redisUrl: redis.url }
    const cluster = await startCluster(stores, size, { ...env, EVENT_STREAM: eventStream })
    return {
      ...cluster,
      stores: eventStream === "off" ? { ...stores, eventStream } : stores,
      stop: async () => {
        await cluster.stop()
        await database.drop()
        await redis.stop()
      }
    }
  })

// A real MySQL where there is one; both kinds are shown by the long profile and by the smaller crowd.
for (const kind of inLongProfile(availableDatabases(), availableDatabases().slice(-1))) {
  distributed(kind, 3, "redis", USERS)
}
distributed(availableDatabases()[0]!, 2, "off", FEWER_USERS)

suite("a crowd at one embedded instance", FEWER_USERS, () => startEmbedded(env))
