// The coupon service in Go (github.com/ssipflow/coupon-issuance) as its stores show it. Nothing here writes to them.
//
// MySQL, made by GORM: campaigns (id, name, coupon_limit, current_coupon, start_time, created_at, updated_at) and
// coupons (id, campaign_id, user_id, code, created_at). Times are UTC: its DSN says parseTime=true and no loc.
// Redis: the hash cache:coupon:issued (campaign:<id>:user:<id> -> code), the counters coupon:issued:campaign:<id>, and
// the Asynq queue "default", whose tasks are claims that were answered OK and are not stored so far.
import { Redis } from "ioredis"
import * as MySql from "mysql2/promise"

export interface OldCampaign {
  readonly id: number
  readonly name: string
  readonly couponLimit: number
  readonly currentCoupon: number
  /** `YYYY-MM-DD hh:mm:ss.fff`, UTC, as are all times here. */
  readonly startTime: string
  readonly createdAt: string
  readonly updatedAt: string
}

export interface OldCoupon {
  readonly id: number
  readonly campaignId: number
  readonly userId: number
  readonly code: string
  readonly createdAt: string
}

export interface Claim {
  readonly campaignId: number
  readonly userId: number
}

export interface OldQueue {
  /** Claims that a consumer is still to store. */
  readonly waiting: number
  /** Claims that were answered OK, and that no consumer will store any more. */
  readonly lost: ReadonlyArray<Claim>
}

/** A claim as a key of maps. */
export const keyOf = ({ campaignId, userId }: Claim): string => `${campaignId}:${userId}`

const PAGE = 5_000
const QUEUE = "asynq:{default}:"

/** The payload of a task is JSON within a protobuf message: {"campaign_id":1,"user_id":1001}. */
const claimOf = (message: string | null): Claim | undefined => {
  const [, campaignId, userId] = /"campaign_id":(-?\d+),"user_id":(-?\d+)/.exec(message ?? "") ?? []
  return userId === undefined ? undefined : { campaignId: Number(campaignId), userId: Number(userId) }
}

/** Opens both stores; `redisUrl` may be left out if the old Redis is gone. */
export const openOldSystem = async (mysqlUrl: string, redisUrl: string | undefined) => {
  const database = await MySql.createConnection({ uri: mysqlUrl, dateStrings: true, timezone: "Z" })
  const redis = redisUrl === undefined ? undefined : new Redis(redisUrl, { maxRetriesPerRequest: 3 })
  const rows = async (statement: string, ...values: ReadonlyArray<string | number>) =>
    (await database.query(statement, [...values]))[0] as ReadonlyArray<Record<string, string | number>>

  return {
    campaigns: async (): Promise<ReadonlyArray<OldCampaign>> =>
      (await rows(
        `SELECT id, name, coupon_limit, current_coupon, start_time, COALESCE(created_at, start_time) AS created_at,
  COALESCE(updated_at, created_at, start_time) AS updated_at FROM campaigns ORDER BY id`
      )).map((row) => ({
        id: Number(row["id"]),
        name: String(row["name"]),
        couponLimit: Number(row["coupon_limit"]),
        currentCoupon: Number(row["current_coupon"]),
        startTime: String(row["start_time"]),
        createdAt: String(row["created_at"]),
        updatedAt: String(row["updated_at"])
      })),

    /** All coupons in the order of issue, a page at a time. */
    coupons: async function*(): AsyncGenerator<ReadonlyArray<OldCoupon>> {
      for (let after = 0;;) {
        const page = (await rows(
          `SELECT c.id, c.campaign_id, c.user_id, c.code, COALESCE(c.created_at, p.start_time) AS created_at
FROM coupons AS c LEFT JOIN campaigns AS p ON p.id = c.campaign_id WHERE c.id > ? ORDER BY c.id LIMIT ${PAGE}`,
          after
        )).map((row) => ({
          id: Number(row["id"]),
          campaignId: Number(row["campaign_id"]),
          userId: Number(row["user_id"]),
          code: String(row["code"]),
          createdAt: String(row["created_at"])
        }))
        if (page.length === 0) return
        after = page.at(-1)!.id
        yield page
      }
    },

    /** The codes that these users have, by campaign and user (`keyOf`). */
    codesOf: async (claims: ReadonlyArray<Claim>): Promise<ReadonlyMap<string, string>> => {
      if (claims.length === 0) return new Map()
      const [found] = await database.query(
        "SELECT campaign_id, user_id, code FROM coupons WHERE (campaign_id, user_id) IN (?)",
        [claims.map(({ campaignId, userId }) => [campaignId, userId])]
      )
      return new Map((found as ReadonlyArray<Record<string, string | number>>).map((row) =>
        [keyOf({ campaignId: Number(row["campaign_id"]), userId: Number(row["user_id"]) }), String(row["code"])]
      ))
    },

    /** What changes with every coupon; the same before and after: nothing was issued between. */
    mark: async (): Promise<string> =>
      JSON.stringify(await rows("SELECT COUNT(*) AS coupons, COALESCE(MAX(id), 0) AS last FROM coupons")),

    queue: async (): Promise<OldQueue> => {
      if (redis === undefined) return { waiting: 0, lost: [] }
      const counts = await Promise.all([
        ...["pending", "active"].map((name) => redis.llen(QUEUE + name)),
        ...["scheduled", "retry"].map((name) => redis.zcard(QUEUE + name))
      ])
      const archived = await redis.zrange(`${QUEUE}archived`, 0, -1)
      const messages = await Promise.all(archived.map((id) => redis.hget(`${QUEUE}t:${id}`, "msg")))
      return {
        waiting: counts.reduce((sum, count) => sum + count, 0),
        lost: messages.flatMap((message) => claimOf(message) ?? [])
      }
    },

    /** Users that the cache knows as holders, a part at a time, with the code that it has. */
    cached: async function*(): AsyncGenerator<ReadonlyArray<Claim & { readonly code: string }>> {
      if (redis === undefined) return
      for (let cursor = "0";;) {
        const [next, pairs] = await redis.hscan("cache:coupon:issued", cursor, "COUNT", 1_000)
        const found: Array<Claim & { code: string }> = []
        for (let k = 0; k < pairs.length; k += 2) {
          const [, campaignId, userId] = /^campaign:(-?\d+):user:(-?\d+)$/.exec(pairs[k]!) ?? []
          if (userId !== undefined) {
            found.push({ campaignId: Number(campaignId), userId: Number(userId), code: pairs[k + 1]! })
          }
        }
        yield found
        if (next === "0") return
        cursor = next
      }
    },

    /** How many slots of a campaign the old gate has given away; `undefined`: it has no counter. */
    counter: async (campaignId: number): Promise<number | undefined> => {
      const value = await redis?.get(`coupon:issued:campaign:${campaignId}`)
      return value === null || value === undefined ? undefined : Number(value)
    },

    close: async () => {
      redis?.disconnect()
      await database.end()
    }
  }
}

export type OldSystem = Awaited<ReturnType<typeof openOldSystem>>
