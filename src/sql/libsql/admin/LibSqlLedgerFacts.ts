import { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { CampaignId } from "../../../domain/Campaign.ts"
import { LedgerFacts } from "../../../ports/LedgerFacts.ts"
import { unrelayedCoupons } from "../../OutboxRows.ts"
import type { Row } from "../../Rows.ts"
import { unavailable } from "../../SqlFailure.ts"
import * as SqlLedgerFacts from "../../SqlLedgerFacts.ts"
import { integer } from "../../text/Literals.ts"

/**
 * The row of a campaign's facts by one statement, which sees one moment. The file has no timeout that it could exceed.
 */
const factsAtOnce = (sql: SqlClient) => (campaignId: CampaignId): Effect.Effect<Row | undefined, SqlError> =>
  Effect.map(
    sql.unsafe<Row>(
      `SELECT c.coupon_limit, c.current_coupon, k.coupons, k.users, k.codes, k.highest_id, o.unrelayed
FROM campaigns AS c
CROSS JOIN (
  SELECT COUNT(*) AS coupons, COUNT(DISTINCT user_id) AS users, COUNT(DISTINCT code) AS codes,
    COALESCE(MAX(id), 0) AS highest_id
  FROM coupons WHERE campaign_id = ${integer(campaignId)}
) AS k
CROSS JOIN ${unrelayedCoupons(integer(campaignId))}
WHERE c.id = ${integer(campaignId)}`
    ).unprepared,
    ([row]) => row
  )

const make = Effect.map(SqlClient, (sql) =>
  SqlLedgerFacts.make({
    read: (text) => Effect.mapError(sql.unsafe<Row>(text).unprepared, unavailable),
    factsRow: factsAtOnce(sql),
    now: "SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) AS now",
    settings: Effect.succeed({}),
    session: Effect.succeed([])
  }))

/** The facts of the embedded ledger. */
export const layer: Layer.Layer<LedgerFacts, never, SqlClient> = Layer.effect(LedgerFacts, make)
