import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { CampaignId } from "../../domain/CampaignId.ts"
import { LedgerUnavailable } from "../../ports/Ledger.ts"
import { Outbox } from "../../ports/Outbox.ts"
import {
  changedCampaigns, couponRanges, exceptText, outboxEvents, type OutboxRow, outboxRow, settledRedemptions,
  withoutRedemptions
} from "../OutboxRows.ts"
import { couponColumns, makeRows, type Row } from "../Rows.ts"
import { appendStatements, campaignsOf, findCandidates } from "../events/SqlEventLog.ts"
import { untilKnown } from "../UntilKnown.ts"
import { LibSqlDriver } from "./LibSql.ts"
import { eventLogDialect, lockHeads } from "./LibSqlEventLog.ts"
import { runBatch } from "./Statements.ts"

const rowsOf = makeRows(Number)

const unavailable = (cause: unknown) => new LedgerUnavailable({ cause })

export const make: Effect.Effect<Outbox["Type"], never, SqlClient | LibSqlDriver> = Effect.gen(function*() {
  const sql = yield* SqlClient
  const driver = yield* LibSqlDriver
  const dialect = eventLogDialect(driver)
  const logOf = { text: dialect, time: Number }
  // One process owns the file, so a lock of its own keeps two polls from taking the same event; no transaction stays
  // open while events are published, which would stop every commit.
  const polling = yield* Effect.makeSemaphore(1)

  const run = (
    text: string,
    args: ReadonlyArray<string | number> = []
  ): Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable> =>
    Effect.mapError(sql.unsafe<Row>(text, args), unavailable)

  /** Appends to the logs, and deletes what is settled, in one transaction. */
  const finish = (
    campaignIds: ReadonlyArray<CampaignId>,
    published: ReadonlyArray<string>,
    redemptions: ReadonlyArray<OutboxRow> = []
  ) =>
    Effect.gen(function*() {
      const candidates = yield* findCandidates(logOf, { read: run, settled: new Set<CampaignId>() }, campaignIds)
      const settled = [...published, ...settledRedemptions(redemptions, candidates).map(({ id }) => id)]
      const statements = [
        ...appendStatements(candidates, dialect, lockHeads(driver)),
        ...(settled.length === 0 ? [] : [{
          sql: "DELETE FROM outbox WHERE batch_id IN (SELECT value FROM json_each(?))",
          args: [JSON.stringify(settled)]
        }])
      ]
      if (statements.length > 0) {
        yield* untilKnown(runBatch(driver, () => statements, () => undefined), { attempts: 1 }).pipe(
          Effect.catchTag("CommitInDoubt", ({ cause }) => Effect.fail(unavailable(cause)))
        )
      }
      return { settled: settled.length, appended: campaignsOf(candidates) }
    })

  const poll: Outbox["Type"]["poll"] = (limit, publish, except = []) =>
    polling.withPermits(1)(Effect.gen(function*() {
      const taken = (yield* run(
        "SELECT batch_id, kind, campaign_id, first_id, last_id FROM outbox " +
          `WHERE kind IN ('ISSUED', 'CHANGED')${exceptText(except)} LIMIT ?`,
        [limit]
      )).map(outboxRow)
      if (taken.length === 0) return { taken: 0, ...yield* finish(except, []) }
      const { facts, redemptions } = withoutRedemptions(taken)
      const ranges = couponRanges(facts)
      const changed = changedCampaigns(facts)
      const coupons = ranges === "" ? [] : yield* run(`SELECT ${couponColumns} FROM coupons WHERE ${ranges}`)
      const campaigns = changed === "" ? [] : yield* run(`SELECT * FROM campaigns WHERE id IN (${changed})`)
      const events = outboxEvents(facts, coupons.map(rowsOf.coupon), campaigns.map(rowsOf.terms))
      const published = new Set(yield* publish(events))
      const settled = events.map((event) => event.id).filter((id) => published.has(id))
      const logs = [...new Set([...taken.map(({ campaignId }) => campaignId), ...except])]
      return { taken: taken.length, ...yield* finish(logs, settled, redemptions) }
    }))

  const waiting = (condition: string, parameters: ReadonlyArray<number>): Outbox["Type"]["backlog"] =>
    Effect.map(
      Effect.suspend(() =>
        run(
          `SELECT COUNT(*) AS events, MIN(created_at) AS oldest FROM outbox
WHERE kind IN ('ISSUED', 'CHANGED')${condition}`,
          parameters
        )
      ),
      ([row]) => ({
        events: Number(row!.events),
        oldestAgeMillis: row!.oldest === null ? 0 : Math.max(0, driver.now() - Number(row!.oldest))
      })
    )
  const backlog = waiting("", [])
  const backlogOf: Outbox["Type"]["backlogOf"] = (campaignId) => waiting(" AND campaign_id = ?", [campaignId])

  const purgeVoid: Outbox["Type"]["purgeVoid"] = (olderThanMillis) =>
    Effect.map(
      Effect.suspend(() =>
        run(
          `DELETE FROM outbox WHERE batch_id IN (
  SELECT batch_id FROM outbox WHERE kind = 'VOID' AND created_at < ? ORDER BY created_at LIMIT 1000
) RETURNING batch_id`,
          [driver.now() - olderThanMillis]
        )
      ),
      (rows) => rows.length
    )

  return Outbox.of({ poll, backlog, backlogOf, purgeVoid })
})

/** The outbox in the embedded ledger's file. */
export const layer: Layer.Layer<Outbox, never, SqlClient | LibSqlDriver> = Layer.effect(Outbox, make)
