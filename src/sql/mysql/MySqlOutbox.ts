import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../../config/AppConfig.ts"
import type { CampaignId } from "../../domain/Campaign.ts"
import type { Coupon } from "../../domain/Coupon.ts"
import { Outbox } from "../../ports/Outbox.ts"
import { integer } from "../text/Literals.ts"
import { runText } from "./connection/MySql.ts"
import {
  changedCampaigns, couponRanges, exceptText, outboxEvents, type OutboxRow, outboxRow, settledRedemptions,
  withoutRedemptions
} from "../OutboxRows.ts"
import { RecentBatches } from "./RecentBatches.ts"
import { couponColumns, makeRows, type Row } from "../Rows.ts"
import { endTransaction } from "./connection/SentText.ts"
import { named, script } from "./Script.ts"
import * as Transactions from "./Transactions.ts"
import { appendStatements, campaignsOf, findCandidates } from "../events/SqlEventLog.ts"
import { eventLogDialect, lockHeads } from "./MySqlEventLog.ts"
import { unavailable } from "../SqlFailure.ts"
import { literal, timeFromSql } from "./Literals.ts"

const rowsOf = makeRows(timeFromSql)

const logOf = { text: eventLogDialect, time: timeFromSql }

type Needs = SqlClient | AppConfig | RecentBatches

/**
 * Deletes rows that this transaction holds. They are looked up by the ids of the array: `batch_id IN (…)` becomes a
 * scan where the table is small or its statistics are old, and a scan waits for the rows that other relays hold, with
 * the heads of logs locked that those are about to wait for.
 */
const deletion = (ids: ReadonlyArray<string>): ReadonlyArray<string> =>
  ids.length === 0 ? [] : [
    `DELETE o FROM JSON_TABLE(${literal(JSON.stringify(ids))}, '$[*]' COLUMNS (
  id CHAR(32) CHARACTER SET ascii COLLATE ascii_bin PATH '$'
)) AS s STRAIGHT_JOIN outbox AS o FORCE INDEX (PRIMARY) ON o.batch_id = UNHEX(s.id)`
  ]

export const make: Effect.Effect<Outbox["Type"], never, Needs> = Effect.gen(function*() {
  const sql = yield* SqlClient
  const recent = yield* RecentBatches
  const { read, settings } = Transactions.make(sql, yield* AppConfig)

  /** The poll that finds nothing, ten times a second on every instance: one statement, no lock, no transaction. */
  const isEmpty = Effect.map(
    read("SELECT 1 FROM outbox FORCE INDEX (outbox_poll) WHERE kind IN ('ISSUED', 'CHANGED') LIMIT 1"),
    (rows) => rows.length === 0
  )

  // The index leads through a kind by age, so there is nothing to sort: ORDER BY would sort, and lock every row first.
  // Without FORCE INDEX a small table is scanned, and rows of other kinds are locked on the way.
  const taking = (limit: number, except: ReadonlyArray<CampaignId>) =>
    script(
      ...settings,
      "START TRANSACTION",
      named(
        "taken",
        `SELECT LOWER(HEX(batch_id)) AS batch_id, kind, campaign_id, first_id, last_id
FROM outbox FORCE INDEX (outbox_poll)
WHERE kind IN ('ISSUED', 'CHANGED')${exceptText(except)} LIMIT ${integer(limit)} FOR UPDATE SKIP LOCKED`
      )
    )

  const poll: Outbox["Type"]["poll"] = (limit, publish, except) =>
    Effect.flatMap(isEmpty, (empty) =>
      empty ? Effect.succeed({ taken: 0, settled: 0, appended: [] }) : takeAndPublish(limit, publish, except))

  /** The rows stay locked while they are published. If this connection dies, they come back: at least once. */
  const takeAndPublish: Outbox["Type"]["poll"] = (limit, publish, except = []) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.scoped(Effect.gen(function*() {
        const connection = yield* Effect.mapError(sql.reserve, unavailable)
        const run = (text: string) => Effect.mapError(runText(connection, text), unavailable)
        const rowsBy = (text: string) => Effect.map(run(text), (rows) => rows as ReadonlyArray<Row>)
        /** Appends to the logs, and deletes what is settled, in one text: no lock waits for this process. */
        const finish = (
          campaignIds: ReadonlyArray<CampaignId>,
          published: ReadonlyArray<string>,
          redemptions: ReadonlyArray<OutboxRow> = []
        ) =>
          Effect.gen(function*() {
            const finding = { read: rowsBy, settled: new Set<CampaignId>() }
            const candidates = yield* findCandidates(logOf, finding, campaignIds)
            const logged = settledRedemptions(redemptions, candidates)
            const settled = [...published, ...logged.map(({ id }) => id)]
            const appended = appendStatements(candidates, logOf.text, lockHeads)
            yield* run([...appended, ...deletion(settled), "COMMIT"].join(";\n"))
            return { settled: settled.length, appended: campaignsOf(candidates) }
          })
        const work = Effect.gen(function*() {
          const take = taking(limit, except)
          const taken = take.results(yield* run(take.text)).rows("taken").map(outboxRow)
          if (taken.length === 0) return { taken: 0, ...yield* finish(except, []) }
          const { facts, redemptions } = withoutRedemptions(taken)
          const known = new Map<string, ReadonlyArray<Coupon>>()
          for (const { id } of facts) {
            const coupons = recent.take(id)
            if (coupons !== undefined) known.set(id, coupons)
          }
          const ranges = couponRanges(facts.filter(({ id }) => !known.has(id)))
          const changed = changedCampaigns(facts)
          const coupons = ranges === ""
            ? []
            : yield* rowsBy(`SELECT ${couponColumns} FROM coupons FORCE INDEX (PRIMARY) WHERE ${ranges}`)
          const campaigns = changed === "" ? [] : yield* rowsBy(`SELECT * FROM campaigns WHERE id IN (${changed})`)
          const events = outboxEvents(facts, coupons.map(rowsOf.coupon), campaigns.map(rowsOf.terms), known)
          const published = new Set(yield* restore(publish(events)))
          const settled = events.filter((event) => published.has(event.id)).map((event) => event.id)
          const logs = [...new Set([...taken.map(({ campaignId }) => campaignId), ...except])]
          return { taken: taken.length, ...yield* finish(logs, settled, redemptions) }
        })
        return yield* Effect.onError(work, () => endTransaction(connection))
      }))
    )

  const waiting = (condition: string): Outbox["Type"]["backlog"] =>
    Effect.map(
      read(
        "SELECT COUNT(*) AS events, TIMESTAMPDIFF(MICROSECOND, MIN(created_at), UTC_TIMESTAMP(6)) AS age " +
          `FROM outbox WHERE kind IN ('ISSUED', 'CHANGED')${condition}`
      ),
      ([row]) => ({
        events: Number(row!.events),
        oldestAgeMillis: Math.max(0, Math.floor(Number(row!.age ?? 0) / 1_000))
      })
    )
  const backlog = waiting("")
  const backlogOf: Outbox["Type"]["backlogOf"] = (campaignId) => waiting(` AND campaign_id = ${integer(campaignId)}`)

  const purgeVoid: Outbox["Type"]["purgeVoid"] = (olderThanMillis) => {
    const purge = script(
      ...settings,
      named(
        "purged",
        `DELETE FROM outbox
WHERE kind = 'VOID' AND created_at < UTC_TIMESTAMP(6) - INTERVAL ${integer(olderThanMillis * 1_000)} MICROSECOND
ORDER BY created_at LIMIT 1000`
      )
    )
    return Effect.scoped(Effect.flatMap(sql.reserve, (connection) => runText(connection, purge.text))).pipe(
      Effect.uninterruptible,
      Effect.mapBoth({ onFailure: unavailable, onSuccess: (all) => purge.results(all).affectedRows("purged") })
    )
  }

  return Outbox.of({ poll, backlog, backlogOf, purgeVoid })
})

/** The outbox on MySQL or MariaDB. It takes the coupons of this process's own batches from `RecentBatches`. */
export const layer: Layer.Layer<Outbox, never, SqlClient | AppConfig | RecentBatches> = Layer.effect(Outbox, make)
