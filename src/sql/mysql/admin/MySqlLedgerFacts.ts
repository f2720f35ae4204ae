import { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../../../config/AppConfig.ts"
import type { CampaignId } from "../../../domain/Campaign.ts"
import { isPool } from "../../../domain/codes/CampaignCodes.ts"
import { LedgerFacts } from "../../../ports/LedgerFacts.ts"
import { unrelayedCoupons } from "../../OutboxRows.ts"
import { redemptionFacts, redemptionHeads } from "../../redemptions/RedemptionFacts.ts"
import { codesOf, type Row } from "../../Rows.ts"
import { unavailable } from "../../SqlFailure.ts"
import * as SqlLedgerFacts from "../../SqlLedgerFacts.ts"
import { logFacts } from "../../text/EventLogText.ts"
import { integer } from "../../text/Literals.ts"
import * as MySql from "../connection/MySql.ts"
import { endTransaction } from "../connection/SentText.ts"
import { mysqlText, timeFromSql } from "../Literals.ts"

/**
 * Coupons that one statement counts at most: some tenths of a second, far from `MYSQL_REPLY_TIMEOUT` however large the
 * campaign.
 */
const PAGE = 200_000

/** What is counted along an index of a campaign's coupons: all of them, and the different values of its column. */
interface Count {
  readonly coupons: number
  readonly different: number
  /** The greatest value; `undefined` without coupons. */
  readonly last: unknown
}

const couponOrder = { PRIMARY: "id", coupons_user: "user_id", coupons_code: "code" } as const

/** A value of an index's column as a literal. */
const literalOf = (index: keyof typeof couponOrder, value: unknown): string | undefined => {
  if (value === undefined) return undefined
  return index === "coupons_code" ? mysqlText(String(value)) : integer(BigInt(value as number | string))
}

/** The next page along an index, from what comes after `last`, a literal. */
const pageText = (
  index: keyof typeof couponOrder,
  campaignId: CampaignId,
  last: string | undefined,
  page: number
): string => {
  const column = couponOrder[index]
  const after = last === undefined ? "" : ` AND ${column} > ${last}`
  return `SELECT COUNT(*) AS coupons, COUNT(DISTINCT ${column}) AS different, MAX(${column}) AS last FROM (
  SELECT ${column} FROM coupons FORCE INDEX (${index})
  WHERE campaign_id = ${integer(campaignId)}${after} ORDER BY ${column} LIMIT ${integer(page)}
) AS page`
}

const SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;\nSTART TRANSACTION WITH CONSISTENT SNAPSHOT"

/** Runs `use` on a connection that sees one moment of the ledger, whatever is committed meanwhile. */
const atOneMoment = <A>(
  sql: SqlClient,
  use: (read: (text: string) => Effect.Effect<ReadonlyArray<Row>, SqlError>) => Effect.Effect<A, SqlError>
) =>
  Effect.scoped(Effect.flatMap(sql.reserve, (connection) =>
    MySql.runText(connection, SNAPSHOT).pipe(
      Effect.zipRight(use((text) => Effect.map(MySql.runText(connection, text), (rows) => rows as ReadonlyArray<Row>))),
      Effect.ensuring(endTransaction(connection))
    )))

/** Counts a page of a pool's codes. */
const poolText = (campaignId: CampaignId, after: number, codeCount: number, page: number): string =>
  `SELECT COUNT(*) AS size, COUNT(*) AS counted, MAX(number) AS last FROM (
  SELECT number FROM code_pool FORCE INDEX (PRIMARY)
  WHERE campaign_id = ${integer(campaignId)} AND number > ${integer(after)} AND number <= ${integer(codeCount)}
  ORDER BY number LIMIT ${integer(page)}
) AS p`

/** Counts the coupons of a page whose codes are not the pool's of their numbers. */
const otherText = (campaignId: CampaignId, after: number, page: number): string =>
  `SELECT COUNT(*) AS size, COUNT(CASE WHEN p.code <=> h.code THEN NULL ELSE 1 END) AS counted, MAX(h.id) AS last FROM (
  SELECT id, code FROM coupons FORCE INDEX (PRIMARY)
  WHERE campaign_id = ${integer(campaignId)} AND id > ${integer(after)} ORDER BY id LIMIT ${integer(page)}
) AS h LEFT JOIN code_pool AS p ON p.campaign_id = ${integer(campaignId)} AND p.number = h.id`

/** The row of a campaign's facts, page by page. */
const factsInPages = (
  sql: SqlClient,
  page: number
) =>
(campaignId: CampaignId) =>
  atOneMoment(sql, (read) =>
    Effect.gen(function*() {
      const countAlong = (index: keyof typeof couponOrder) =>
        Effect.gen(function*() {
          let sum: Count = { coupons: 0, different: 0, last: undefined }
          for (;;) {
            const [row] = yield* read(pageText(index, campaignId, literalOf(index, sum.last), page))
            const coupons = Number(row!.coupons)
            if (coupons === 0) return sum
            sum = { coupons: sum.coupons + coupons, different: sum.different + Number(row!.different), last: row!.last }
            if (coupons < page) return sum
          }
        })
      const [campaign] = yield* read(
        `SELECT c.coupon_limit, c.returned, c.version, c.current_coupon, c.code_spec, c.code_count,
  o.unrelayed, g.*, s.*
FROM campaigns AS c CROSS JOIN ${unrelayedCoupons(integer(campaignId))}
CROSS JOIN ${logFacts(integer(campaignId))}
CROSS JOIN ${redemptionHeads(integer(campaignId))}
WHERE c.id = ${integer(campaignId)}`
      )
      if (campaign === undefined) return undefined
      const all = yield* countAlong("PRIMARY")
      const users = (yield* countAlong("coupons_user")).different
      const [tombs] = yield* read(
        "SELECT COUNT(*) AS userless FROM coupons FORCE INDEX (coupons_user) " +
          `WHERE campaign_id = ${integer(campaignId)} AND user_id <= 0 AND user_id <> -id`
      )
      const codes = (yield* countAlong("coupons_code")).different
      /** Adds the counts of pages that each begin after a number. */
      const sumUp = (text: (after: number) => string) =>
        Effect.gen(function*() {
          let sum = 0
          for (let after = 0;;) {
            const [row] = yield* read(text(after))
            if (Number(row!.size) === 0) return sum
            sum += Number(row!.counted)
            after = Number(row!.last)
          }
        })
      const poolCodes = Number(campaign.code_count) === 0
        ? 0
        : yield* sumUp((after) => poolText(campaignId, after, Number(campaign.code_count), page))
      const otherCodes = isPool(codesOf(campaign)) ? yield* sumUp((after) => otherText(campaignId, after, page)) : 0
      const row: Row = {
        ...campaign,
        coupons: all.coupons,
        users,
        userless: tombs!.userless,
        codes,
        highest_id: all.last ?? 0,
        pool_codes: poolCodes,
        other_codes: otherCodes
      }
      return { row, redemptions: yield* redemptionFacts(read, campaignId, campaign, page) }
    }))

/** Settings that the durability of a commit depends on. */
const DURABILITY = "SHOW GLOBAL VARIABLES WHERE Variable_name IN " +
  "('innodb_flush_log_at_trx_commit', 'innodb_doublewrite', 'innodb_log_writer_threads', 'log_bin', 'sync_binlog')"

/** `page`: coupons that one statement counts at most. */
export const make = (page = PAGE): Effect.Effect<LedgerFacts["Type"], never, SqlClient | AppConfig> =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const config = yield* AppConfig
    const read = (text: string) => Effect.mapError(sql.unsafe<Row>(text).unprepared, unavailable)
    return SqlLedgerFacts.make({
      read,
      time: timeFromSql,
      factsRow: factsInPages(sql, page),
      now: "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000 AS SIGNED) AS now",
      settings: Effect.map(
        read(DURABILITY),
        (rows) => Object.fromEntries(rows.map((row) => [String(row.Variable_name), String(row.Value)]))
      ),
      session: MySql.endpoints.pipe(
        Effect.provideService(AppConfig, config),
        Effect.orDie,
        Effect.flatMap(({ serving }) =>
          Effect.mapError(MySql.sessionFacts(sql, MySql.servingSession(config, serving)), unavailable)
        )
      )
    })
  })

/** The facts of the ledger in MySQL or MariaDB. */
export const layer: Layer.Layer<LedgerFacts, never, SqlClient | AppConfig> = Layer.effect(LedgerFacts, make())
