import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { EventLog } from "../../ports/EventLog.ts"
import * as SqlEventLog from "../events/SqlEventLog.ts"
import { unavailable } from "../SqlFailure.ts"
import { type EventLogDialect, STEP_COLUMNS } from "../text/EventLogText.ts"
import { integer } from "../text/Literals.ts"
import { untilKnown } from "../UntilKnown.ts"
import type { Driver } from "./Driver.ts"
import { LibSqlDriver } from "./LibSql.ts"
import { libsqlText, makeStatements, runBatch } from "./Statements.ts"

const joined = (json: string, others: ReadonlyArray<string>): string =>
  `(SELECT key AS n, ${[...STEP_COLUMNS, ...others].map((name, place) => `value ->> ${place} AS ${name}`).join(", ")}
  FROM json_each(${libsqlText(json)})
) AS e JOIN campaign_event_heads AS h ON h.campaign_id = e.campaign_id
LEFT JOIN redemption_log_heads AS d ON d.campaign_id = h.campaign_id
LEFT JOIN code_log_heads AS k ON k.campaign_id = h.campaign_id`

/** By the driver's clock, which is the ledger's. */
export const eventLogDialect = ({ now }: Pick<Driver, "now">): EventLogDialect => ({
  now: () => integer(now()),
  greater: "MAX",
  least: "MIN",
  time: integer,
  jsonTime: (time) => time,
  candidates: (json) => joined(json, ["type", "first_id", "last_id", "payload", "at"]),
  steps: (json) => joined(json, ["size"]),
  moveHeads: "ON CONFLICT (campaign_id) DO UPDATE SET sequence = excluded.sequence, last_id = excluded.last_id, " +
    "version = excluded.version, ended_version = excluded.ended_version, moved_at = excluded.moved_at",
  moveRedemptions: "ON CONFLICT (campaign_id) DO UPDATE SET sequence = excluded.sequence",
  moveCodes: "ON CONFLICT (campaign_id) DO UPDATE SET code_count = excluded.code_count, low_count = excluded.low_count"
})

/** A transaction has the file to itself: no locks, only the heads that are missing. */
export const lockHeads = ({ now }: Pick<Driver, "now">): SqlEventLog.LockHeads => (_, missing) =>
  missing.length === 0 ? [] : [
    `INSERT OR IGNORE INTO campaign_event_heads (campaign_id, moved_at)
SELECT id, ${integer(now())} FROM campaigns WHERE id IN (${missing.map(integer).join(",")})`
  ]

const MAX_ATTEMPTS = 4

export const make: Effect.Effect<EventLog["Type"], never, LibSqlDriver> = Effect.gen(function*() {
  const driver = yield* LibSqlDriver
  const { read } = makeStatements(driver)
  return SqlEventLog.make({
    text: eventLogDialect(driver),
    time: Number,
    ago: (millis) => integer(driver.now() - millis),
    read,
    // No transaction stays open from one turn of the event loop to the next.
    passLocks: () => Effect.void,
    commit: (statements) =>
      Effect.uninterruptible(untilKnown(
        runBatch(driver, () => [...statements(lockHeads(driver))], () => undefined),
        { attempts: MAX_ATTEMPTS }
      )).pipe(
        Effect.asVoid,
        Effect.catchTag("CommitInDoubt", ({ cause }) => Effect.fail(unavailable(cause)))
      )
  })
})

/** The event log in the embedded ledger's file. */
export const layer: Layer.Layer<EventLog, never, LibSqlDriver> = Layer.effect(EventLog, make)
