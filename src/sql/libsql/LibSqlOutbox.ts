import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { LedgerUnavailable } from "../../ports/Ledger.ts"
import { Outbox } from "../../ports/Outbox.ts"
import { changedCampaigns, couponRanges, exceptText, outboxEvents, outboxRow } from "../OutboxRows.ts"
import { couponColumns, makeRows, type Row } from "../Rows.ts"

const rowsOf = makeRows(Number)

const unavailable = (cause: unknown) => new LedgerUnavailable({ cause })

export const make: Effect.Effect<Outbox["Type"], never, SqlClient> = Effect.gen(function*() {
  const sql = yield* SqlClient
  // One process owns the file, so a lock of its own keeps two polls from taking the same event; no transaction stays
  // open while events are published, which would stop every commit.
  const polling = yield* Effect.makeSemaphore(1)

  const run = (
    text: string,
    args: ReadonlyArray<string | number> = []
  ): Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable> =>
    Effect.mapError(sql.unsafe<Row>(text, args), unavailable)

  const poll: Outbox["Type"]["poll"] = (limit, publish, except = []) =>
    polling.withPermits(1)(Effect.gen(function*() {
      const taken = (yield* run(
        "SELECT batch_id, kind, campaign_id, first_id, last_id FROM outbox " +
          `WHERE kind IN ('ISSUED', 'CHANGED')${exceptText(except)} LIMIT ?`,
        [limit]
      )).map(outboxRow)
      if (taken.length === 0) return { taken: 0, settled: 0 }
      const ranges = couponRanges(taken)
      const changed = changedCampaigns(taken)
      const coupons = ranges === "" ? [] : yield* run(`SELECT ${couponColumns} FROM coupons WHERE ${ranges}`)
      const campaigns = changed === "" ? [] : yield* run(`SELECT * FROM campaigns WHERE id IN (${changed})`)
      const events = outboxEvents(taken, coupons.map(rowsOf.coupon), campaigns.map(rowsOf.terms))
      const published = new Set(yield* publish(events))
      const settled = events.map((event) => event.id).filter((id) => published.has(id))
      if (settled.length > 0) {
        yield* run("DELETE FROM outbox WHERE batch_id IN (SELECT value FROM json_each(?))", [JSON.stringify(settled)])
      }
      return { taken: taken.length, settled: settled.length }
    }))

  const backlog: Outbox["Type"]["backlog"] = Effect.map(
    Effect.suspend(() =>
      run(
        "SELECT COUNT(*) AS events, MIN(created_at) AS oldest FROM outbox WHERE kind IN ('ISSUED', 'CHANGED')"
      )
    ),
    ([row]) => ({
      events: Number(row!.events),
      oldestAgeMillis: row!.oldest === null ? 0 : Math.max(0, Date.now() - Number(row!.oldest))
    })
  )

  const purgeVoid: Outbox["Type"]["purgeVoid"] = (olderThanMillis) =>
    Effect.map(
      Effect.suspend(() =>
        run(
          `DELETE FROM outbox WHERE batch_id IN (
  SELECT batch_id FROM outbox WHERE kind = 'VOID' AND created_at < ? ORDER BY created_at LIMIT 1000
) RETURNING batch_id`,
          [Date.now() - olderThanMillis]
        )
      ),
      (rows) => rows.length
    )

  return Outbox.of({ poll, backlog, purgeVoid })
})

/** The outbox in the embedded ledger's file. */
export const layer: Layer.Layer<Outbox, never, SqlClient> = Layer.effect(Outbox, make)
