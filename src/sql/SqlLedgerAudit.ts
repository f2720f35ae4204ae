import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { LedgerUnavailable } from "../issuance/Ledger.ts"
import { LedgerAudit } from "../issuance/LedgerAudit.ts"
import { integer } from "./GroupCommitText.ts"
import { unrelayedCoupons } from "./OutboxRows.ts"
import type { Row } from "./Rows.ts"

export const make: Effect.Effect<LedgerAudit["Type"], never, SqlClient> = Effect.map(SqlClient, (sql) => {
  const read = (text: string): Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable> =>
    Effect.mapError(sql.unsafe<Row>(text).unprepared, (cause) => new LedgerUnavailable({ cause }))

  return LedgerAudit.of({
    campaignIds: (afterId, limit) =>
      Effect.map(
        read(`SELECT id FROM campaigns WHERE id > ${integer(afterId)} ORDER BY id LIMIT ${integer(limit)}`),
        (rows) => rows.map((row) => Number(row.id))
      ),

    // One statement, because one statement sees one moment, on MySQL and on SQLite, whatever is committed meanwhile.
    facts: (campaignId) =>
      Effect.map(
        read(
          `SELECT c.coupon_limit, c.current_coupon, k.coupons, k.users, k.codes, k.highest_id, o.unrelayed
FROM campaigns AS c
CROSS JOIN (
  SELECT COUNT(*) AS coupons, COUNT(DISTINCT user_id) AS users, COUNT(DISTINCT code) AS codes, COALESCE(MAX(id), 0) AS highest_id
  FROM coupons WHERE campaign_id = ${integer(campaignId)}
) AS k
CROSS JOIN ${unrelayedCoupons(integer(campaignId))}
WHERE c.id = ${integer(campaignId)}`
        ),
        ([row]) =>
          row === undefined ? undefined : {
            campaignId,
            couponLimit: Number(row.coupon_limit),
            counter: Number(row.current_coupon),
            coupons: Number(row.coupons),
            users: Number(row.users),
            codes: Number(row.codes),
            highestId: Number(row.highest_id),
            unrelayed: Number(row.unrelayed)
          }
      ),

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
            "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_flush_log_at_trx_commit', 'innodb_doublewrite', 'log_bin', 'sync_binlog')"
          ),
          (rows) => Object.fromEntries(rows.map((row) => [String(row.Variable_name), String(row.Value)]))
        )
    })
  })
})

/** The audit of the ledger in whichever database the client is connected to. */
export const layer: Layer.Layer<LedgerAudit, never, SqlClient> = Layer.effect(LedgerAudit, make)
