import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Steps from "../../../base/Steps.ts"
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
import { libsqlText } from "../Statements.ts"

/** Coupons that one statement counts. It takes 2 to 4 ms of the event loop, in which no claim is served. */
const PAGE = 5_000

/** The columns along which a campaign's coupons are counted, with what has SQLite take the index of each. */
const indexes = { id: "", user_id: "INDEXED BY coupons_user", code: "INDEXED BY coupons_code" } as const
type Column = keyof typeof indexes

const literalOf = (column: Column, value: unknown): string =>
  column === "code" ? libsqlText(String(value)) : integer(BigInt(value as number | string))

/**
 * The row of a campaign's facts, page by page, as of the moment of the first statement: the coupons up to the highest
 * number that it saw. Coupons are only added, with higher numbers, so the pages that follow see the same ones.
 */
const factsInPages = (
  sql: SqlClient,
  page: number
) =>
(campaignId: CampaignId) =>
  Effect.gen(function*() {
    const id = integer(campaignId)
    const read = (text: string) => Steps.step(sql.unsafe<Row>(text).unprepared)
    const [campaign] = yield* read(
      `SELECT c.coupon_limit, c.returned, c.version, c.current_coupon, c.code_spec, c.code_count, k.highest_id,
  o.unrelayed, g.*, s.*
FROM campaigns AS c
CROSS JOIN (SELECT COALESCE(MAX(id), 0) AS highest_id FROM coupons WHERE campaign_id = ${id}) AS k
CROSS JOIN ${unrelayedCoupons(id)}
CROSS JOIN ${logFacts(id)} CROSS JOIN ${redemptionHeads(id)} WHERE c.id = ${id}`
    )
    if (campaign === undefined) return undefined
    const highest = integer(BigInt(campaign.highest_id as number | bigint))

    /** How many of those coupons there are along an order, and how many different values they have in it. */
    const countAlong = (column: Column) =>
      Effect.gen(function*() {
        const sum = { coupons: 0, different: 0 }
        let after = ""
        for (;;) {
          const [row] = yield* read(
            `SELECT COUNT(*) AS passed, COUNT(*) FILTER (WHERE id <= ${highest}) AS coupons,
COUNT(DISTINCT ${column}) FILTER (WHERE id <= ${highest}) AS different, MAX(${column}) AS last FROM (
  SELECT id, ${column} FROM coupons ${indexes[column]} WHERE campaign_id = ${id}${after}
  ORDER BY ${column} LIMIT ${integer(page)}
)`
          )
          sum.coupons += Number(row!.coupons)
          sum.different += Number(row!.different)
          if (Number(row!.passed) < page) return sum
          after = ` AND ${column} > ${literalOf(column, row!.last)}`
        }
      })
    const { coupons } = yield* countAlong("id")
    const erasures = Effect.map(
      read(
        "SELECT COUNT(*) AS erased, COUNT(*) FILTER (WHERE user_id <> -id) AS userless FROM coupons " +
          `${indexes.user_id} WHERE campaign_id = ${id} AND user_id <= 0`
      ),
      ([row]) => ({ erased: Number(row!.erased), userless: Number(row!.userless) })
    )
    // An erasure moves a coupon along this index while it is counted.
    const countUsers: Effect.Effect<{ readonly users: number; readonly userless: number }, unknown> = Effect.gen(
      function*() {
        const { erased, userless } = yield* erasures
        const users = (yield* countAlong("user_id")).different
        return (yield* erasures).erased === erased ? { users, userless } : yield* countUsers
      }
    )
    const { userless, users } = yield* countUsers
    const codes = (yield* countAlong("code")).different
    /** Adds the counts of pages of numbers up to this one. */
    const sumUp = (upTo: number, text: (from: string, to: string) => string) =>
      Effect.gen(function*() {
        let sum = 0
        for (let from = 1; from <= upTo; from += page) {
          const [row] = yield* read(text(integer(from), integer(Math.min(upTo, from + page - 1))))
          sum += Number(row!.counted)
        }
        return sum
      })
    const poolCodes = yield* sumUp(Number(campaign.code_count), (from, to) =>
      `SELECT COUNT(*) AS counted FROM code_pool WHERE campaign_id = ${id} AND number BETWEEN ${from} AND ${to}`)
    const otherCodes = !isPool(codesOf(campaign)) ? 0 : yield* sumUp(Number(highest), (from, to) =>
      `SELECT COUNT(*) AS counted FROM coupons AS h
LEFT JOIN code_pool AS p ON p.campaign_id = h.campaign_id AND p.number = h.id
WHERE h.campaign_id = ${id} AND h.id BETWEEN ${from} AND ${to} AND p.code IS NOT h.code`)
    const row: Row = { ...campaign, coupons, users, userless, codes, pool_codes: poolCodes, other_codes: otherCodes }
    return { row, redemptions: yield* redemptionFacts(read, campaignId, campaign, page) }
  })

/** `page`: coupons that one statement counts at most. */
export const make = (page = PAGE): Effect.Effect<LedgerFacts["Type"], never, SqlClient> =>
  Effect.map(SqlClient, (sql) =>
    SqlLedgerFacts.make({
      read: (text) => Effect.mapError(sql.unsafe<Row>(text).unprepared, unavailable),
      time: Number,
      factsRow: factsInPages(sql, page),
      now: "SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) AS now",
      settings: Effect.succeed({}),
      session: Effect.succeed([])
    }))

/** The facts of the embedded ledger. */
export const layer: Layer.Layer<LedgerFacts, never, SqlClient> = Layer.effect(LedgerFacts, make())
