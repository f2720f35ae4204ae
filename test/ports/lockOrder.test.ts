import { it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { randomBytes } from "node:crypto"
import * as MySqlDriver from "mysql2/promise"
import { afterAll, describe, expect } from "vitest"
import * as AppConfig from "../../src/config/AppConfig.ts"
import { named } from "../../src/domain/Actor.ts"
import { changeBy } from "../../src/domain/ChangeRecord.ts"
import { EventLog } from "../../src/ports/EventLog.ts"
import { Ledger } from "../../src/ports/Ledger.ts"
import { Erasures } from "../../src/ports/operation/Erasures.ts"
import { Outbox, type OutboxEvent } from "../../src/ports/Outbox.ts"
import { WebhookCursors } from "../../src/ports/webhooks/WebhookCursors.ts"
import * as MySqlErasures from "../../src/sql/mysql/admin/MySqlErasures.ts"
import * as MySql from "../../src/sql/mysql/connection/MySql.ts"
import * as MySqlCampaignStore from "../../src/sql/mysql/MySqlCampaignStore.ts"
import * as MySqlEventLog from "../../src/sql/mysql/MySqlEventLog.ts"
import * as MySqlLedger from "../../src/sql/mysql/MySqlLedger.ts"
import * as MySqlOutbox from "../../src/sql/mysql/MySqlOutbox.ts"
import * as RecentBatches from "../../src/sql/mysql/RecentBatches.ts"
import * as MySqlWebhooks from "../../src/sql/mysql/webhooks/MySqlWebhooks.ts"
import { availableDatabases } from "../support/servers.ts"
import { batchOf, createCampaign, draft } from "./ledger.exercise.ts"
import { migratedDatabases } from "./migratedDatabase.ts"

const layerOn = (url: string) =>
  Layer.mergeAll(
    MySqlCampaignStore.layer,
    MySqlErasures.layer,
    MySqlEventLog.layer,
    MySqlLedger.layer,
    MySqlOutbox.layer,
    MySqlWebhooks.layer
  ).pipe(
    Layer.provide(RecentBatches.layer),
    Layer.provide(MySql.layer),
    Layer.provide(AppConfig.layerTest({ MYSQL_URL: url, REDIS_URL: "redis://127.0.0.1:1" }))
  )

const migrated = migratedDatabases()
afterAll(migrated.drop)

const settleAll = (events: ReadonlyArray<OutboxEvent>) => Effect.succeed(events.map((event) => event.id))

// Each test holds one lock, has two transactions come to it with the locks that they take before, and lets it go. Where
// both take their locks in one order, none is sent again.
for (const kind of availableDatabases()) {
  describe(`locks on ${kind}`, () => {
    const scene = Effect.gen(function*() {
      const url = yield* Effect.promise(() => migrated.emptied(kind))
      const session = Effect.acquireRelease(
        Effect.promise(() => MySqlDriver.createConnection({ uri: url, multipleStatements: true })),
        (connection) => Effect.sync(() => connection.destroy())
      )
      const [other, watcher] = [yield* session, yield* session]
      const run = (text: string) => Effect.promise(() => other.query(text))
      const rows = (text: string) =>
        Effect.promise(async () => (await watcher.query(text))[0] as ReadonlyArray<Record<string, unknown>>)
      const count = Effect.map(
        rows(
          "SELECT COUNT(*) AS n FROM information_schema.innodb_trx t JOIN information_schema.processlist p " +
            "ON p.id = t.trx_mysql_thread_id WHERE p.db = DATABASE() AND t.trx_state = 'LOCK WAIT'"
        ),
        ([row]) => Number(row!["n"])
      )
      const again: Array<string> = []
      const logger = Logger.make(({ annotations, message }) => {
        if (String(message).includes("sent again")) again.push(JSON.stringify([...annotations]))
      })
      const context = yield* Layer.build(layerOn(url))
      return {
        run,
        rows,
        /** Transactions that were sent again. */
        again,
        use: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
          effect.pipe(
            Effect.provide(context),
            Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
            Logger.withMinimumLogLevel(LogLevel.Debug)
          ),
        /** InnoDB leaves this table as it is while it is asked for more often than every 100 ms. */
        waiting: (wanted: number) =>
          Effect.repeat(Effect.delay(count, "150 millis"), { until: (n) => n === wanted }).pipe(
            Effect.timeoutFail({ duration: "30 seconds", onTimeout: () => new Error("they do not wait") })
          ),
        outbox: Context.get(context, Outbox)
      }
    })

    it.scopedLive("a relay that publishes keeps no other from settling", () =>
      Effect.gen(function*() {
        const { outbox, run, use } = yield* scene
        yield* use(Effect.gen(function*() {
          const ledger = yield* Ledger
          // The statistics of an empty table, as those of an outbox often are.
          yield* run("ANALYZE TABLE outbox")
          const { campaignId } = yield* createCampaign(draft())
          for (let user = 1; user <= 23; user++) yield* ledger.issue(batchOf(campaignId, [user]))
          const [publishes, published] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
          const slow = yield* Effect.fork(outbox.poll(3, (events) =>
            Deferred.succeed(publishes, undefined).pipe(
              Effect.zipRight(Deferred.await(published)),
              Effect.zipRight(settleAll(events))
            )))
          yield* Deferred.await(publishes)
          expect(yield* outbox.poll(20, settleAll)).toMatchObject({ taken: 20, settled: 20 })
          yield* Deferred.succeed(published, undefined)
          expect(yield* Fiber.join(slow)).toMatchObject({ taken: 3, settled: 3 })
        }))
      }))

    it.scopedLive("two that append to logs of which one has no head", () =>
      Effect.gen(function*() {
        const { again, rows, run, use, waiting } = yield* scene
        yield* use(Effect.gen(function*() {
          const [ledger, log] = [yield* Ledger, yield* EventLog]
          const ids: Array<number> = []
          for (let k = 0; k < 2; k++) ids.push((yield* createCampaign(draft())).campaignId)
          for (const campaignId of ids) yield* ledger.issue(batchOf(campaignId, [1]))
          const older = ids[1]!
          yield* run(`DELETE FROM campaign_events WHERE campaign_id = ${older};
DELETE FROM campaign_event_heads WHERE campaign_id = ${older};
START TRANSACTION;
INSERT INTO campaign_event_heads (campaign_id, moved_at) VALUES (${older}, UTC_TIMESTAMP(6))`)
          const appending = yield* Effect.fork(Effect.all([log.append(ids), log.append(ids)], { concurrency: 2 }))
          yield* waiting(2)
          yield* run("COMMIT")
          yield* Fiber.join(appending)
          expect(again).toEqual([])
          const found = yield* rows(
            `SELECT type FROM campaign_events WHERE campaign_id IN (${ids.join(",")}) ORDER BY campaign_id, sequence`
          )
          const both = ["campaign.created", "coupon.issued"]
          expect(found.map((row) => row["type"])).toEqual([...both, ...both])
        }))
      }))

    /** An endpoint, and cursors of it in these campaigns that `owner` holds. */
    const webhook = (run: (text: string) => Effect.Effect<unknown>, campaignIds: ReadonlyArray<number>) =>
      Effect.gen(function*() {
        const endpointId = randomBytes(8).toString("hex")
        yield* run(
          `INSERT INTO webhook_endpoints (id, version, definition, secrets, status, reason, created_at, updated_at)
VALUES ('${endpointId}', 1, '{}', '[]', 'ENABLED', '', 0, 0)`
        )
        const cursors = yield* WebhookCursors
        const claim = (owner: string, ids: ReadonlyArray<number>) =>
          cursors.claim({
            endpointId,
            campaigns: ids.map((campaignId) => ({ campaignId, since: 0 })),
            concurrency: 10,
            owner,
            leaseMillis: 60_000
          })
        return { endpointId, cursors, claim, held: (yield* claim("one", campaignIds)).held }
      })

    it.scopedLive("one that claims cursors of webhooks, and one that renews some", () =>
      Effect.gen(function*() {
        const { again, run, use, waiting } = yield* scene
        yield* use(Effect.gen(function*() {
          const { claim, cursors, held } = yield* webhook(run, [1, 2, 3])
          yield* run("START TRANSACTION; SELECT token FROM webhook_cursors WHERE campaign_id = 3 FOR UPDATE")
          const claiming = yield* Effect.fork(claim("two", [2, 3, 1]))
          yield* waiting(1)
          const renewing = yield* Effect.fork(cursors.renew(held.filter(({ campaignId }) => campaignId < 3), 60_000))
          yield* waiting(2)
          yield* run("COMMIT")
          expect((yield* Fiber.join(claiming)).held).toEqual([])
          expect(yield* Fiber.join(renewing)).toHaveLength(2)
          expect(again).toEqual([])
        }))
      }))

    it.scopedLive("one that claims a cursor, and the instance that moves it", () =>
      Effect.gen(function*() {
        const { again, run, use, waiting } = yield* scene
        yield* use(Effect.gen(function*() {
          const { claim, cursors, held } = yield* webhook(run, [1])
          yield* run("START TRANSACTION; SELECT token FROM webhook_cursors WHERE campaign_id = 1 FOR UPDATE")
          const claiming = yield* Effect.fork(claim("two", [1]))
          yield* waiting(1)
          const moving = yield* Effect.fork(cursors.advance(held[0]!, { sequence: 5, number: 0 }, undefined))
          yield* waiting(2)
          yield* run("COMMIT")
          expect((yield* Fiber.join(claiming)).held).toEqual([])
          expect(yield* Fiber.join(moving)).toBe(true)
          expect(again).toEqual([])
        }))
      }))

    it.scopedLive("two that set one cursor back", () =>
      Effect.gen(function*() {
        const { again, run, use, waiting } = yield* scene
        yield* use(Effect.gen(function*() {
          const { cursors, endpointId } = yield* webhook(run, [1])
          yield* run("START TRANSACTION; SELECT token FROM webhook_cursors WHERE campaign_id = 1 FOR UPDATE")
          const back = cursors.replay({ ...changeBy(named("ops")), endpointId, campaignId: 1, sequence: 0 })
          const other = cursors.replay({ ...changeBy(named("ops")), endpointId, campaignId: 1, sequence: 0 })
          const replaying = yield* Effect.fork(Effect.all([back, other], { concurrency: 2 }))
          yield* waiting(2)
          yield* run("COMMIT")
          yield* Fiber.join(replaying)
          expect(again).toEqual([])
        }))
      }))

    it.scopedLive("two that forget erased coupons", () =>
      Effect.gen(function*() {
        const { again, rows, run, use, waiting } = yield* scene
        yield* use(Effect.gen(function*() {
          const erasures = yield* Erasures
          // So many that MySQL reads the old ones first.
          const rowsOf = Array.from({ length: 60 }, (_, k) =>
            `(1, ${k + 1}, NULL, x'${"0".repeat(31)}1', '2026-01-01 00:00:${String(k).padStart(2, "0")}')`)
          yield* run(`INSERT INTO erased_coupons (campaign_id, coupon_id, user_id, change_id, at) VALUES ${
            rowsOf.join(",")
          };
ANALYZE TABLE erased_coupons;
START TRANSACTION;
SELECT * FROM erased_coupons WHERE campaign_id = 1 AND coupon_id = 60 FOR UPDATE`)
          const forgetting = yield* Effect.fork(
            Effect.all([erasures.purge(1_000), erasures.purge(1_000)], { concurrency: 2 })
          )
          yield* waiting(2)
          yield* run("COMMIT")
          yield* Fiber.join(forgetting)
          expect(again).toEqual([])
          expect(yield* rows("SELECT * FROM erased_coupons")).toEqual([])
        }))
      }))
  })
}
