import * as Path from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Cluster, Redis } from "ioredis"
import * as MySql from "mysql2/promise"
import type { ExpiryView } from "./Expiries.ts"
import type { RedemptionView } from "./Redemptions.ts"

/** A campaign's rows in the ledger, read in one transaction. */
export interface LedgerView {
  readonly campaignId: number
  readonly limit: number
  /** `current_coupon`. */
  readonly counter: number
  readonly coupons: ReadonlyArray<{ readonly id: number; readonly userId: string; readonly code: string }>
  /** The campaign's log of events, in order; `undefined`: the ledger is that of a program without logs. */
  readonly log: LogView | undefined
  /** Outbox rows of the campaign that the relay has not settled. */
  readonly unsettled: number
  /** Of a campaign with a pool: its codes by their numbers, as many as the campaign says. */
  readonly pool?: { readonly codeCount: number; readonly codes: ReadonlyMap<number, string> } | undefined
  /** Users of the coupons that those rows stand for. */
  readonly unsettledUsers: ReadonlySet<string>
  /** `undefined`: the ledger is that of a program without redemptions. */
  readonly redemptions?: RedemptionView | undefined
  /** `undefined`: the campaign's coupons never had a validity. */
  readonly expiry?: ExpiryView | undefined
}

/** A campaign's log of events. */
export interface LogView {
  readonly events: ReadonlyArray<{
    readonly sequence: number
    readonly type: string
    readonly firstId: number
    readonly lastId: number
    /** Of the campaign, in the payload. */
    readonly version: number | undefined
    /** Whether an operator has changed the campaign. */
    readonly isChange: boolean
    /** Of an act that was done to a coupon: its sequence. */
    readonly redemption?: number | undefined
  }>
  /** Its head's. */
  readonly sequence: number
  /** The campaign's. */
  readonly version: number
  /** Ranges that stand before a change and were issued after it, or the other way round, by the ledger's times. */
  readonly disordered: number
}

/** A campaign's keys in Redis, read in one MULTI. */
export interface GateView {
  readonly hydrated: boolean
  /** Users in the issued set, without the sentinel. */
  readonly issued: ReadonlySet<string>
  readonly pending: ReadonlyArray<string>
  readonly events: ReadonlyArray<{ readonly userId: string; readonly code: string }>
}

/** Where the service under test keeps its state. `eventStream` says that it runs without one. */
export type Stores =
  | { readonly databaseUrl: string; readonly redisUrl?: string; readonly eventStream?: "off" }
  | { readonly dataDir: string }

/** Reads state by its own queries, never through the service's code. */
export interface Reader {
  readonly campaignIds: () => Promise<ReadonlyArray<number>>
  readonly ledger: (campaignId: number) => Promise<LedgerView>
  /** `undefined` where the gate lives inside the service. */
  readonly gate: ((campaignId: number) => Promise<GateView>) | undefined
  readonly close: () => Promise<void>
}

const CAMPAIGNS = "SELECT id FROM campaigns ORDER BY id"
// A ledger of an earlier version has no columns of codes.
const CAMPAIGN = "SELECT *, coupon_limit AS couponLimit, current_coupon AS counter FROM campaigns WHERE id = ?"
const POOL = "SELECT number, code FROM code_pool WHERE campaign_id = ? ORDER BY number"
const COUPONS = "SELECT id, user_id AS userId, code FROM coupons WHERE campaign_id = ? ORDER BY id"
const EVENTS = "SELECT sequence, type, first_id AS firstId, last_id AS lastId, payload FROM campaign_events " +
  "WHERE campaign_id = ? ORDER BY sequence"
/** Those that were refused come first. */
const ANSWERS = "SELECT *, HEX(request_id) AS request FROM redemptions WHERE campaign_id = ? ORDER BY sequence"
const STATES = "SELECT coupon_id, state, sequence FROM coupon_states WHERE campaign_id = ?"
const VALIDITIES = "SELECT first_id, policy FROM coupon_validities WHERE campaign_id = ? ORDER BY version"
/** With times in milliseconds; `millis` reads a column of the dialect. */
const times = (millis: (column: string) => string) => ({
  issued: `SELECT id, ${millis("issued_at")} AS at FROM coupons WHERE campaign_id = ?`,
  requests: `SELECT HEX(request_id) AS request, coupon_id, outcome, ${millis("at")} AS at FROM redemptions
WHERE campaign_id = ? AND action = 'REDEEM'`
})
const MYSQL_TIMES = times((column) => `FLOOR(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', ${column}) / 1000)`)
const SQLITE_TIMES = times((column) => column)
const HEAD = "SELECT h.sequence, c.version FROM campaigns AS c " +
  "LEFT JOIN campaign_event_heads AS h ON h.campaign_id = c.id WHERE c.id = ?"
/** Times of events have no more than milliseconds: a range comes too early only if that is beyond doubt. */
const DISORDERED = `SELECT COUNT(*) AS disordered FROM campaign_events AS e
JOIN campaign_events AS r ON r.campaign_id = e.campaign_id AND r.type = 'coupon.issued'
JOIN coupons AS f ON f.campaign_id = r.campaign_id AND f.id = r.first_id
WHERE e.campaign_id = ? AND e.payload LIKE '%"changed"%'
  AND ((r.sequence < e.sequence AND r.at > e.at) OR (r.sequence > e.sequence AND f.issued_at < e.at))`
const UNSETTLED =
  "SELECT kind, first_id AS firstId, last_id AS lastId FROM outbox WHERE campaign_id = ? AND kind <> 'VOID'"

type Row = Record<string, unknown>

const isPool = (campaign: Row | undefined): boolean => campaign?.["code_spec"] === "POOL"

const view = (
  campaignId: number,
  campaign: Row | undefined,
  coupons: ReadonlyArray<Row>,
  outbox: ReadonlyArray<Row>,
  pool: ReadonlyArray<Row>,
  log: { readonly events: ReadonlyArray<Row>; readonly head: Row; readonly disordered: number } | undefined,
  redemptions: { readonly answers: ReadonlyArray<Row>; readonly states: ReadonlyArray<Row> } | undefined
): LedgerView => {
  if (campaign === undefined) throw new Error(`the ledger has no campaign ${campaignId}`)
  const rows = coupons.map((row) => ({
    id: Number(row["id"]),
    userId: String(row["userId"]),
    code: String(row["code"])
  }))
  const waiting = outbox.filter((row) => row["kind"] === "ISSUED")
  const isUnsettled = (id: number) => waiting.some((row) => Number(row["firstId"]) <= id && id <= Number(row["lastId"]))
  return {
    campaignId,
    limit: Number(campaign["couponLimit"]),
    counter: Number(campaign["counter"]),
    coupons: rows,
    pool: isPool(campaign)
      ? {
        codeCount: Number(campaign["code_count"]),
        codes: new Map(
          pool.map((row) => [Number(row["number"]), String(row["code"])] as const)
            .filter(([number]) => number <= Number(campaign["code_count"]))
        )
      }
      : undefined,
    log: log === undefined ? undefined : {
      events: log.events.map((row) => {
        const payload = row["payload"] === null ? {} : JSON.parse(String(row["payload"])) as Record<string, unknown>
        return {
          sequence: Number(row["sequence"]),
          type: String(row["type"]),
          firstId: Number(row["firstId"]),
          lastId: Number(row["lastId"]),
          version: payload["version"] as number | undefined,
          isChange: row["type"] === "campaign.created" || "changed" in payload,
          redemption: payload["redemption"] as number | undefined
        }
      }),
      sequence: Number(log.head["sequence"] ?? 0),
      version: Number(log.head["version"]),
      disordered: log.disordered
    },
    redemptions: redemptions === undefined ? undefined : {
      returned: Number(campaign["returned"] ?? 0),
      answers: redemptions.answers.map((row) => ({
        sequence: row["sequence"] === null ? undefined : Number(row["sequence"]),
        couponId: Number(row["coupon_id"]),
        action: String(row["action"]),
        outcome: String(row["outcome"]),
        requestId: Buffer.from(String(row["request"]), "hex").toString("utf8"),
        slotReturned: Number(row["slot_returned"] ?? 0) === 1
      })),
      states: new Map(redemptions.states.map((row) => [
        Number(row["coupon_id"]),
        { state: String(row["state"]), sequence: Number(row["sequence"]) }
      ]))
    },
    unsettled: outbox.length,
    unsettledUsers: new Set(rows.filter(({ id }) => isUnsettled(id)).map(({ userId }) => userId))
  }
}

const expiryView = (
  validities: ReadonlyArray<Row>,
  issued: ReadonlyArray<Row>,
  requests: ReadonlyArray<Row>
): ExpiryView => ({
  validities: validities.map((row) => ({ firstId: Number(row["first_id"]), policy: row["policy"] as string | null })),
  issuedAt: new Map(issued.map((row) => [Number(row["id"]), Number(row["at"])])),
  requests: requests.map((row) => ({
    requestId: Buffer.from(String(row["request"]), "hex").toString("utf8"),
    couponId: Number(row["coupon_id"]),
    outcome: String(row["outcome"]),
    at: Number(row["at"])
  }))
})

/**
 * One server, the primary of sentinels (`redis+sentinel://host:port,…/name`) or a cluster
 * (`redis+cluster://host:port,…`).
 */
const connectRedis = (redisUrl: string): Redis | Cluster => {
  const [, topology, hosts = "", name = ""] = /^redis\+(sentinel|cluster):\/\/([^/]*)(?:\/(.*))?$/.exec(redisUrl) ?? []
  if (topology === undefined) return new Redis(redisUrl, { maxRetriesPerRequest: 3 })
  const addresses = hosts.split(",").map((address) => {
    const [host = "", port] = address.split(":")
    return { host, port: Number(port) }
  })
  return topology === "cluster"
    ? new Cluster(addresses)
    : new Redis({ sentinels: addresses, name, maxRetriesPerRequest: 3 })
}

const openGate = (redisUrl: string, prefix: string) => {
  const redis = connectRedis(redisUrl)
  // Reported by the command that fails.
  redis.on("error", () => {})
  return {
    read: async (campaignId: number): Promise<GateView> => {
      const key = (part: string) => `${prefix}{c${campaignId}}:${part}`
      const replies = await redis.multi()
        .hmget(key("m"), "generation", "hydrated")
        .smembers(key("i"))
        .hkeys(key("p"))
        .xrange(key("e"), "-", "+")
        .exec()
      if (replies === null) throw new Error("Redis aborted a MULTI")
      const [meta, issued, pending, events] = replies.map(([error, value]) => {
        if (error !== null) throw error
        return value
      }) as [Array<string | null>, Array<string>, Array<string>, Array<[string, Array<string>]>]
      return {
        hydrated: meta[0] != null && meta[1] === "1" && issued.includes("#"),
        issued: new Set(issued.filter((member) => member !== "#")),
        pending,
        events: events.map(([, fields]) => ({
          userId: fields[fields.indexOf("user") + 1] ?? "",
          code: fields[fields.indexOf("code") + 1] ?? ""
        }))
      }
    },
    close: () => redis.disconnect()
  }
}

const openMySql = async (databaseUrl: string, redisUrl: string | undefined): Promise<Reader> => {
  const connection = await MySql.createConnection({ uri: databaseUrl, supportBigNumbers: true, bigNumberStrings: true })
  const rows = async (sql: string, values: ReadonlyArray<number> = []) =>
    (await connection.query(sql, [...values]))[0] as Array<Row>
  const has = async (table: string) =>
    (await rows(
      `SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = '${table}'`
    )).length > 0
  /** A ledger of before the migration has no such table, and its gate no prefix. */
  const keyPrefix = async () =>
    await has("deployment")
      ? String((await rows("SELECT redis_key_prefix AS prefix FROM deployment"))[0]!["prefix"])
      : ""
  const look = async () => ({
    prefix: await keyPrefix(),
    hasLogs: await has("campaign_event_heads"),
    hasRedemptions: await has("coupon_states"),
    hasValidities: await has("coupon_validities")
  })
  const { hasLogs, hasRedemptions, hasValidities, prefix } = await look().catch((error: unknown) => {
    connection.destroy()
    throw error
  })
  // Last: a connection to Redis that is never closed tries again for good, and keeps this process alive.
  const gate = redisUrl === undefined ? undefined : openGate(redisUrl, prefix)
  return {
    campaignIds: async () => (await rows(CAMPAIGNS)).map((row) => Number(row["id"])),
    ledger: async (campaignId) => {
      await connection.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
      await connection.query("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
      try {
        const [campaign] = await rows(CAMPAIGN, [campaignId])
        const pool = isPool(campaign) ? await rows(POOL, [campaignId]) : []
        const log = !hasLogs ? undefined : {
          events: await rows(EVENTS, [campaignId]),
          head: (await rows(HEAD, [campaignId]))[0]!,
          disordered: Number((await rows(DISORDERED, [campaignId]))[0]!["disordered"])
        }
        const [coupons, outbox] = [await rows(COUPONS, [campaignId]), await rows(UNSETTLED, [campaignId])]
        const redemptions = !hasRedemptions ? undefined : {
          answers: await rows(ANSWERS, [campaignId]),
          states: await rows(STATES, [campaignId])
        }
        const validities = hasValidities ? await rows(VALIDITIES, [campaignId]) : []
        const expiry = validities.length === 0 ? undefined : expiryView(
          validities,
          await rows(MYSQL_TIMES.issued, [campaignId]),
          await rows(MYSQL_TIMES.requests, [campaignId])
        )
        return { ...view(campaignId, campaign, coupons, outbox, pool, log, redemptions), expiry }
      } finally {
        await connection.query("COMMIT")
      }
    },
    gate: gate?.read,
    close: async () => {
      gate?.close()
      await connection.end()
    }
  }
}

const openSqlite = (dataDir: string): Reader => {
  const database = new DatabaseSync(Path.join(dataDir, "coupon.db"), { readOnly: true })
  const rows = (sql: string, ...values: ReadonlyArray<number>) => {
    const statement = database.prepare(sql)
    statement.setReadBigInts(true)
    return statement.all(...values) as Array<Row>
  }
  const hasLogs = rows("SELECT 1 FROM sqlite_master WHERE name = 'campaign_event_heads'").length > 0
  const hasRedemptions = rows("SELECT 1 FROM sqlite_master WHERE name = 'coupon_states'").length > 0
  const hasValidities = rows("SELECT 1 FROM sqlite_master WHERE name = 'coupon_validities'").length > 0
  return {
    campaignIds: async () => rows(CAMPAIGNS).map((row) => Number(row["id"])),
    ledger: async (campaignId) => {
      database.exec("BEGIN")
      try {
        const [campaign] = rows(CAMPAIGN, campaignId)
        const pool = isPool(campaign) ? rows(POOL, campaignId) : []
        const log = !hasLogs ? undefined : {
          events: rows(EVENTS, campaignId),
          head: rows(HEAD, campaignId)[0]!,
          disordered: Number(rows(DISORDERED, campaignId)[0]!["disordered"])
        }
        const redemptions = !hasRedemptions ? undefined : {
          answers: rows(ANSWERS, campaignId),
          states: rows(STATES, campaignId)
        }
        const [coupons, outbox] = [rows(COUPONS, campaignId), rows(UNSETTLED, campaignId)]
        const validities = hasValidities ? rows(VALIDITIES, campaignId) : []
        const expiry = validities.length === 0 ? undefined : expiryView(
          validities,
          rows(SQLITE_TIMES.issued, campaignId),
          rows(SQLITE_TIMES.requests, campaignId)
        )
        return { ...view(campaignId, campaign, coupons, outbox, pool, log, redemptions), expiry }
      } finally {
        database.exec("COMMIT")
      }
    },
    gate: undefined,
    close: async () => database.close()
  }
}

export const openStores = async (stores: Stores): Promise<Reader> =>
  "dataDir" in stores ? openSqlite(stores.dataDir) : openMySql(stores.databaseUrl, stores.redisUrl)
