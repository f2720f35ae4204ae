import { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../config/AppConfig.ts"
import type { CampaignId } from "../domain/Campaign.ts"
import type { LedgerUnavailable } from "../ports/Ledger.ts"
import { LedgerAudit, type LedgerFacts } from "../ports/LedgerFacts.ts"
import { integer, mysqlText } from "./text/Literals.ts"
import * as MySql from "./mysql/connection/MySql.ts"
import { unrelayedCoupons } from "./OutboxRows.ts"
import type { Row } from "./Rows.ts"
import { endTransaction } from "./mysql/connection/SentText.ts"
import { unavailable } from "./SqlFailure.ts"

/** Coupons that one statement on MySQL counts at most: some tenths of a second, far from `MYSQL_REPLY_TIMEOUT` however large the campaign. */
const PAGE = 200_000

/** What is counted along an index of a campaign's coupons: all of them, and the different values of its column. */
interface Count {
  readonly coupons: number
  readonly different: number
  /** The greatest value; `undefined` without coupons. */
  readonly last: unknown
}

const couponOrder = { PRIMARY: "id", coupons_user: "user_id", coupons_code: "code" } as const

/** The next page along an index, from what comes after `last`, a literal. */
const pageText = (index: keyof typeof couponOrder, campaignId: CampaignId, last: string | undefined, page: number): string => {
  const column = couponOrder[index]
  return `SELECT COUNT(*) AS coupons, COUNT(DISTINCT ${column}) AS different, MAX(${column}) AS last FROM (
  SELECT ${column} FROM coupons FORCE INDEX (${index})
  WHERE campaign_id = ${integer(campaignId)}${last === undefined ? "" : ` AND ${column} > ${last}`} ORDER BY ${column} LIMIT ${integer(page)}
) AS page`
}

/** Runs `use` on a connection that sees one moment of the ledger, whatever is committed meanwhile. */
const atOneMoment = <A>(sql: SqlClient, use: (read: (text: string) => Effect.Effect<ReadonlyArray<Row>, SqlError>) => Effect.Effect<A, SqlError>) =>
  Effect.scoped(Effect.flatMap(sql.reserve, (connection) =>
    MySql.runText(connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;\nSTART TRANSACTION WITH CONSISTENT SNAPSHOT").pipe(
      Effect.zipRight(use((text) => Effect.map(MySql.runText(connection, text), (rows) => rows as ReadonlyArray<Row>))),
      Effect.ensuring(endTransaction(connection))
    )))

/** The row of a campaign's facts on MySQL, page by page. */
const factsInPages = (sql: SqlClient, page: number) => (campaignId: CampaignId): Effect.Effect<Row | undefined, SqlError> =>
  atOneMoment(sql, (read) =>
    Effect.gen(function*() {
      const countAlong = (index: keyof typeof couponOrder) =>
        Effect.gen(function*() {
          let sum: Count = { coupons: 0, different: 0, last: undefined }
          for (;;) {
            const last = sum.last === undefined ? undefined : index === "coupons_code" ? mysqlText(String(sum.last)) : integer(BigInt(sum.last as number | string))
            const [row] = yield* read(pageText(index, campaignId, last, page))
            const coupons = Number(row!.coupons)
            if (coupons === 0) return sum
            sum = { coupons: sum.coupons + coupons, different: sum.different + Number(row!.different), last: row!.last }
            if (coupons < page) return sum
          }
        })
      const [campaign] = yield* read(
        `SELECT c.coupon_limit, c.current_coupon, o.unrelayed FROM campaigns AS c CROSS JOIN ${unrelayedCoupons(integer(campaignId))}
WHERE c.id = ${integer(campaignId)}`
      )
      if (campaign === undefined) return undefined
      const all = yield* countAlong("PRIMARY")
      const users = (yield* countAlong("coupons_user")).different
      const codes = (yield* countAlong("coupons_code")).different
      return { ...campaign, coupons: all.coupons, users, codes, highest_id: all.last ?? 0 }
    }))

/** That row on SQLite, by one statement, which sees one moment; there is nobody whose patience could end. */
const factsAtOnce = (sql: SqlClient) => (campaignId: CampaignId): Effect.Effect<Row | undefined, SqlError> =>
  Effect.map(
    sql.unsafe<Row>(
      `SELECT c.coupon_limit, c.current_coupon, k.coupons, k.users, k.codes, k.highest_id, o.unrelayed
FROM campaigns AS c
CROSS JOIN (
  SELECT COUNT(*) AS coupons, COUNT(DISTINCT user_id) AS users, COUNT(DISTINCT code) AS codes, COALESCE(MAX(id), 0) AS highest_id
  FROM coupons WHERE campaign_id = ${integer(campaignId)}
) AS k
CROSS JOIN ${unrelayedCoupons(integer(campaignId))}
WHERE c.id = ${integer(campaignId)}`
    ).unprepared,
    ([row]) => row
  )

const factsOf = (campaignId: CampaignId, row: Row): LedgerFacts => ({
  campaignId,
  couponLimit: Number(row.coupon_limit),
  counter: Number(row.current_coupon),
  coupons: Number(row.coupons),
  users: Number(row.users),
  codes: Number(row.codes),
  highestId: Number(row.highest_id),
  unrelayed: Number(row.unrelayed)
})

/** `page`: coupons that one statement counts at most, where facts are counted in pages. */
export const make = (page = PAGE): Effect.Effect<LedgerAudit["Type"], never, SqlClient | AppConfig> => Effect.gen(function*() {
  const sql = yield* SqlClient
  const config = yield* AppConfig
  const read = (text: string): Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable> => Effect.mapError(sql.unsafe<Row>(text).unprepared, unavailable)
  const factsRow = sql.onDialectOrElse({ sqlite: () => factsAtOnce(sql), orElse: () => factsInPages(sql, page) })

  return LedgerAudit.of({
    campaignIds: (afterId, limit) =>
      Effect.map(
        read(`SELECT id FROM campaigns WHERE id > ${integer(afterId)} ORDER BY id LIMIT ${integer(limit)}`),
        (rows) => rows.map((row) => Number(row.id))
      ),

    facts: (campaignId) =>
      Effect.mapBoth(factsRow(campaignId), {
        onFailure: unavailable,
        onSuccess: (row) => row === undefined ? undefined : factsOf(campaignId, row)
      }),

    now: Effect.map(
      read(sql.onDialectOrElse({
        sqlite: () => "SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) AS now",
        orElse: () => "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000 AS SIGNED) AS now"
      })),
      ([row]) => Number(row!.now)
    ),

    settings: sql.onDialectOrElse({
      sqlite: () => Effect.succeed({}),
      orElse: () =>
        Effect.map(
          read(
            "SHOW GLOBAL VARIABLES WHERE Variable_name IN " +
              "('innodb_flush_log_at_trx_commit', 'innodb_doublewrite', 'innodb_log_writer_threads', 'log_bin', 'sync_binlog')"
          ),
          (rows) => Object.fromEntries(rows.map((row) => [String(row.Variable_name), String(row.Value)]))
        )
    }),

    session: sql.onDialectOrElse({
      sqlite: () => Effect.succeed([]),
      orElse: () =>
        MySql.endpoints.pipe(
          Effect.provideService(AppConfig, config),
          Effect.orDie,
          Effect.flatMap(({ serving }) => Effect.mapError(MySql.sessionFacts(sql, MySql.servingSession(config, serving)), unavailable))
        )
    })
  })
})

/** The audit of the ledger in whichever database the client is connected to. */
export const layer: Layer.Layer<LedgerAudit, never, SqlClient | AppConfig> = Layer.effect(LedgerAudit, make())
