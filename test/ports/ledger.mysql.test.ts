import { MysqlClient } from "@effect/sql-mysql2/MysqlClient"
import { it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as MySqlDriver from "mysql2/promise"
import { readFileSync } from "node:fs"
import { afterAll, describe, expect } from "vitest"
import * as AppConfig from "../../src/config/AppConfig.ts"
import type { CampaignDraft } from "../../src/domain/Campaign.ts"
import { CampaignStore } from "../../src/ports/CampaignStore.ts"
import { Ledger } from "../../src/ports/Ledger.ts"
import { Outbox } from "../../src/ports/Outbox.ts"
import { groupCommit } from "../../src/sql/mysql/GroupCommitText.ts"
import * as Migrations from "../../src/sql/Migrations.ts"
import * as MySql from "../../src/sql/mysql/connection/MySql.ts"
import * as MySqlCampaignStore from "../../src/sql/mysql/MySqlCampaignStore.ts"
import * as MySqlCodeImports from "../../src/sql/mysql/MySqlCodeImports.ts"
import * as MySqlErasures from "../../src/sql/mysql/admin/MySqlErasures.ts"
import * as MySqlEventLog from "../../src/sql/mysql/MySqlEventLog.ts"
import * as MySqlLedger from "../../src/sql/mysql/MySqlLedger.ts"
import * as RecentBatches from "../../src/sql/mysql/RecentBatches.ts"
import { sessionSettings } from "../../src/sql/mysql/connection/SessionState.ts"
import * as MySqlAuditLog from "../../src/sql/mysql/admin/MySqlAuditLog.ts"
import * as MySqlCampaignPhases from "../../src/sql/mysql/MySqlCampaignPhases.ts"
import * as MySqlDeployment from "../../src/sql/mysql/admin/MySqlDeployment.ts"
import * as MySqlLedgerFacts from "../../src/sql/mysql/admin/MySqlLedgerFacts.ts"
import * as MySqlOutbox from "../../src/sql/mysql/MySqlOutbox.ts"
import * as MySqlRedemptions from "../../src/sql/mysql/redemptions/MySqlRedemptions.ts"
import { wholeBatchCall, wholeBatchFacts } from "../../src/sql/mysql/WholeBatchCall.ts"
import { startProxy, type FaultProxy } from "../support/FaultProxy.ts"
import { availableDatabases, databaseOn, type DatabaseKind } from "../support/servers.ts"
import * as AuditLogExercise from "./auditLog.exercise.ts"
import * as CampaignPhasesExercise from "./campaignPhases.exercise.ts"
import * as CampaignsExercise from "./campaigns.exercise.ts"
import * as CodeEventsExercise from "./codeEvents.exercise.ts"
import * as CodeImportsExercise from "./codeImports.exercise.ts"
import * as DeploymentExercise from "./deployment.exercise.ts"
import * as ErasuresExercise from "./erasures.exercise.ts"
import * as EventLogExercise from "./eventLog.exercise.ts"
import * as LedgerExercise from "./ledger.exercise.ts"
import { batchId, batchOf, createCampaign, draft, expectConsistent, tagsOf, users } from "./ledger.exercise.ts"
import * as OutboxExercise from "./outbox.exercise.ts"
import * as RedemptionsExercise from "./redemptions.exercise.ts"
import * as RevocationsExercise from "./revocations.exercise.ts"
import { migratedDatabases } from "./migratedDatabase.ts"
import { expectMarkers } from "./outboxMarkers.ts"

const config = (url: string, more: Record<string, string> = {}) =>
  AppConfig.layerTest({ MYSQL_URL: url, REDIS_URL: "redis://127.0.0.1:1", ...more })

const layerOn = (url: string, more: Record<string, string> = {}) =>
  Layer.mergeAll(
    MySqlCampaignStore.layer,
    MySqlLedger.layer,
    MySqlCodeImports.layer,
    MySqlAuditLog.layer,
    MySqlCampaignPhases.layer,
    MySqlDeployment.layer,
    MySqlErasures.layer,
    MySqlEventLog.layer,
    MySqlOutbox.layer,
    MySqlRedemptions.layer
  ).pipe(
    Layer.provide(RecentBatches.layer),
    Layer.provideMerge(MySql.layer),
    Layer.provideMerge(config(url, more))
  )

/** For tests of migrations: a database that has none. */
const unmigrated = (kind: DatabaseKind) =>
  Effect.acquireRelease(Effect.promise(() => databaseOn(kind)), (db) => Effect.promise(db.drop))

const migrated = migratedDatabases()
afterAll(migrated.drop)

const layerFor = (kind: DatabaseKind) =>
  Layer.unwrapEffect(Effect.map(Effect.promise(() => migrated.emptied(kind)), (url) => layerOn(url)))

/** A session of another client. */
const session = (url: string) =>
  Effect.acquireRelease(
    Effect.promise(() => MySqlDriver.createConnection({ uri: url, multipleStatements: true })),
    (connection) => Effect.sync(() => connection.destroy())
  ).pipe(Effect.map((connection) => ({
    run: (text: string) =>
      Effect.promise(async () => (await connection.query(text))[0] as ReadonlyArray<Record<string, unknown>>)
  })))

const until = <A, E, R>(effect: Effect.Effect<A, E, R>, holds: (a: A) => boolean): Effect.Effect<A, E | Error, R> => {
  const loop: Effect.Effect<A, E, R> = Effect.flatMap(
    effect,
    (a) => holds(a) ? Effect.succeed(a) : Effect.delay(loop, "5 millis")
  )
  return Effect.timeoutFail(loop, { duration: "60 seconds", onTimeout: () => new Error("it did not come true") })
}

/** Ids of sessions on this database that wait for the lock of a campaign's row. */
const waiting = (other: Effect.Effect.Success<ReturnType<typeof session>>) =>
  Effect.map(
    other.run(
      "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID() " +
        "AND info LIKE 'SELECT%FROM campaigns%FOR UPDATE%'"
    ),
    (rows) => rows.map((row) => Number(row["id"] ?? row["ID"]))
  )

/** What creates the procedure of the usual commit. */
const procedure = readFileSync(
  new URL("../../migrations/mysql/0021_issue_dated_batch.optional.sql", import.meta.url),
  "utf8"
)

for (const kind of availableDatabases()) {
  LedgerExercise.exercise(`Ledger on ${kind}`, layerFor(kind))
  OutboxExercise.exercise(`Outbox on ${kind}`, layerFor(kind))
  EventLogExercise.exercise(`EventLog on ${kind}`, layerFor(kind))
  RedemptionsExercise.exercise(`Redemptions on ${kind}`, layerFor(kind))
  RevocationsExercise.exercise(`Revocations on ${kind}`, layerFor(kind))
  ErasuresExercise.exercise(`Erasures on ${kind}`, layerFor(kind))
  AuditLogExercise.exercise(`AuditLog on ${kind}`, layerFor(kind))
  CampaignsExercise.exercise(`Campaigns on ${kind}`, layerFor(kind))
  CampaignPhasesExercise.exercise(`CampaignPhases on ${kind}`, layerFor(kind))
  CodeImportsExercise.exercise(`CodeImports on ${kind}`, layerFor(kind))
  CodeEventsExercise.exercise(`CodeEvents on ${kind}`, layerFor(kind))
  DeploymentExercise.exercise(`on ${kind}`, layerFor(kind))

  describe(`the ledger's transactions on ${kind}`, () => {
    /** The ledger on an empty database, and how to get more sessions there. */
    const scene = (more: Record<string, string> = {}, adapt: (url: string) => string = (url) => url) =>
      Effect.gen(function*() {
        const url = yield* Effect.promise(() => migrated.emptied(kind))
        const context = yield* Layer.build(layerOn(adapt(url), more))
        return {
          url,
          context,
          campaigns: Context.get(context, CampaignStore),
          create: (of: CampaignDraft) => Effect.provide(createCampaign(of), context),
          ledger: Context.get(context, Ledger),
          outbox: Context.get(context, Outbox),
          sql: Context.get(context, MysqlClient)
        }
      })

    it.scopedLive("decides the window by the clock after the lock was granted", () =>
      Effect.gen(function*() {
        const { context, create, ledger, url } = yield* scene()
        const other = yield* session(url)
        const { campaignId } = yield* create(draft())
        yield* other.run(`START TRANSACTION; SELECT id FROM campaigns WHERE id = ${campaignId} FOR UPDATE`)
        const fiber = yield* Effect.fork(ledger.issue(batchOf(campaignId, [1])))
        yield* until(waiting(yield* session(url)), (ids) => ids.length === 1)
        // The batch was sent before this end, and waits across it.
        yield* other.run(`UPDATE campaigns SET end_time = UTC_TIMESTAMP(6) WHERE id = ${campaignId}; COMMIT`)
        expect(tagsOf(yield* Fiber.join(fiber))).toEqual(["CampaignEnded"])
        yield* expectConsistent(campaignId, 0).pipe(Effect.provide(context))
      }))

    it.scopedLive("marks a creation by a kind of its own", () =>
      Effect.gen(function*() {
        const { context } = yield* scene()
        yield* Effect.provide(expectMarkers((id) => `x'${id}'`), context)
      }))

    it.scopedLive("tries again after a lock wait timeout, with a transaction that is new", () =>
      Effect.gen(function*() {
        const { context, create, ledger, url } = yield* scene({ MYSQL_REPLY_TIMEOUT: "3500 millis" })
        const other = yield* session(url)
        const { campaignId } = yield* create(draft())
        yield* other.run(`START TRANSACTION; SELECT id FROM campaigns WHERE id = ${campaignId} FOR UPDATE`)
        const fiber = yield* Effect.fork(ledger.issue(batchOf(campaignId, users(1, 5))))
        const watcher = yield* session(url)
        // A second or more lies between two waits, so each begins at a time of its own. A client that asks more often
        // than every 100 ms gets the same again and again: InnoDB leaves this table as it is while it is being read.
        const waitingSince = Effect.delay(Effect.map(
          watcher.run(
            "SELECT CAST(t.trx_wait_started AS CHAR) AS since FROM information_schema.innodb_trx t " +
              "JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id " +
              "WHERE p.db = DATABASE() AND t.trx_state = 'LOCK WAIT'"
          ),
          ([row]) => row?.["since"] as string | undefined
        ), "200 millis")
        const first = yield* until(waitingSince, (since) => since !== undefined)
        yield* until(waitingSince, (since) => since !== undefined && since !== first)
        yield* other.run("ROLLBACK")
        expect(tagsOf(yield* Fiber.join(fiber))).toEqual(Array(5).fill("Issued"))
        yield* expectConsistent(campaignId, 5).pipe(Effect.provide(context))
        expect(yield* ledger.tally(campaignId)).toEqual({ issued: 5, unrelayed: 5, version: 1 })
      }))

    it.scopedLive("gives up on a lock that is never released, and has issued nothing", () =>
      Effect.gen(function*() {
        const { context, create, ledger, url } = yield* scene({ MYSQL_REPLY_TIMEOUT: "2 seconds" })
        const other = yield* session(url)
        const { campaignId } = yield* create(draft())
        yield* other.run(`START TRANSACTION; SELECT id FROM campaigns WHERE id = ${campaignId} FOR UPDATE`)
        expect((yield* Effect.flip(ledger.issue(batchOf(campaignId, [1]))))._tag).toBe("LedgerUnavailable")
        yield* other.run("ROLLBACK")
        yield* expectConsistent(campaignId, 0).pipe(Effect.provide(context))
      }))

    it.scopedLive("is in doubt when its connection is killed, and resolves to nothing issued", () =>
      Effect.gen(function*() {
        const { context, create, ledger, url } = yield* scene()
        const other = yield* session(url)
        const killer = yield* session(url)
        const { campaignId } = yield* create(draft())
        yield* other.run(`START TRANSACTION; SELECT id FROM campaigns WHERE id = ${campaignId} FOR UPDATE`)
        const batch = batchOf(campaignId, [1, 2])
        const fiber = yield* Effect.fork(ledger.issue(batch))
        const [id] = yield* until(waiting(killer), (ids) => ids.length === 1)
        yield* killer.run(`KILL CONNECTION ${id}`)
        expect((yield* Effect.flip(Fiber.join(fiber)))._tag).toBe("CommitInDoubt")
        yield* other.run("ROLLBACK")
        expect((yield* ledger.resolve(batch)).map((verdict) => verdict._tag)).toEqual(["NotIssued", "NotIssued"])
        yield* expectConsistent(campaignId, 0).pipe(Effect.provide(context))
      }))

    type Text = (...batch: Parameters<typeof wholeBatchCall>) => string
    /** Each as it is before its COMMIT. */
    const uncommitted: ReadonlyArray<readonly [name: string, textOf: Text, prepare: string]> = [
      ["sorting", (...batch) => groupCommit(sessionSettings(2), ...batch).text.replace(/COMMIT$/, ""), "DO 0"],
      ["whole", wholeBatchCall, procedure.replace("COMMIT;", "")]
    ]
    it.scopedLive.each(uncommitted)("resolve waits for a live transaction: %s", ([, textOf, prepare]) =>
      Effect.gen(function*() {
        const { context, create, ledger, url } = yield* scene()
        const zombie = yield* session(url)
        const { campaignId } = yield* create(draft())
        const batch = batchOf(campaignId, [1, 2])
        yield* Effect.addFinalizer(() => zombie.run(procedure))
        yield* zombie.run(prepare)
        yield* zombie.run(textOf(batch.batchId, campaignId, batch.claims))
        const fiber = yield* Effect.fork(ledger.resolve(batch))
        yield* until(
          (yield* session(url)).run(
            "SELECT id FROM information_schema.processlist " +
              "WHERE db = DATABASE() AND id <> CONNECTION_ID() AND info LIKE '%INSERT INTO outbox%VOID%'"
          ),
          (rows) => rows.length === 1
        )
        yield* zombie.run("COMMIT")
        expect((yield* Fiber.join(fiber)).map((verdict) => verdict._tag)).toEqual(["Issued", "Issued"])
        yield* expectConsistent(campaignId, 2).pipe(Effect.provide(context))
      }))

    it.scopedLive("cannot commit a counter that moved by anything but the coupons it inserted", () =>
      Effect.gen(function*() {
        const { context, create, ledger, sql } = yield* scene()
        const { campaignId } = yield* create(draft({ couponLimit: 10 }))
        const batch = batchOf(campaignId, [1, 2])
        const text = groupCommit(sessionSettings(2), batch.batchId, campaignId, batch.claims).text
        const tooMany = groupCommit(
          sessionSettings(2),
          batch.batchId,
          campaignId,
          batchOf(campaignId, users(1, 11)).claims
        ).text
          .replace("w.n <= c.coupon_limit - c.current_coupon", "w.n > 0")
        const count = /SET @inserted = .*$/m
        const guard =
          `IF(current_coupon + @inserted = (SELECT COALESCE(MAX(id), 0) FROM coupons WHERE campaign_id = ${campaignId})`
        const broken = [
          text.replace(count, "SET @inserted = 11"), // more than there are
          text.replace(count, "SET @inserted = 1"), // fewer than there are
          text.replace(count, "SET @inserted = NULL"), // a subquery of it was killed
          text.replace(guard, "IF(current_coupon + @inserted = NULL"), // the subquery of the guard was killed
          // The counter is not written.
          text.replace(`updated_at)\nWHERE id = ${campaignId}`, "updated_at)\nWHERE id = 0"),
          tooMany,
          tooMany.replace(" AND current_coupon + @inserted <= coupon_limit", "") // CHECK alone
        ]
        expect(new Set([text, ...broken]).size).toBe(broken.length + 1)
        for (const bad of broken) {
          yield* Effect.scoped(Effect.gen(function*() {
            const connection = yield* sql.reserve
            yield* Effect.flip(MySql.runText(connection, bad))
            yield* MySql.runText(connection, "ROLLBACK")
          }))
          yield* expectConsistent(campaignId, 0).pipe(Effect.provide(context))
        }
        expect(tagsOf(yield* ledger.issue(batch))).toEqual(["Issued", "Issued"])
      }))

    it.scopedLive("is audited page by page, and as of one moment, while coupons are issued", () =>
      Effect.gen(function*() {
        const { campaigns, context, create, ledger, sql } = yield* scene()
        const { campaignId } = yield* create(draft({ couponLimit: 1_000 }))
        const largest = 2n ** 63n - 1n
        yield* ledger.issue(batchOf(campaignId, [largest, ...users(1, 119)]))
        const factsBy = (page: number) =>
          Effect.flatMap(Effect.provide(MySqlLedgerFacts.make(page), context), (audit) => audit.facts(campaignId))
        const exact = (issued: number) => ({
          counter: issued,
          coupons: issued,
          users: issued,
          codes: issued,
          highestId: issued
        })
        for (const page of [1, 7, 100, 120, 121]) {
          expect(yield* factsBy(page)).toMatchObject({ ...exact(120), unrelayed: 120, couponLimit: 1_000 })
        }

        const counting = yield* Effect.fork(factsBy(1))
        let next = 1_000
        while ((yield* Fiber.status(counting))._tag !== "Done") yield* ledger.issue(batchOf(campaignId, [next++]))
        const facts = (yield* Fiber.join(counting))!
        expect(facts).toMatchObject(exact(facts.counter))
        expect((yield* campaigns.find(campaignId))!.issuedCount).toBeGreaterThan(facts.counter)

        yield* sql.unsafe(`UPDATE coupons SET id = 5000 WHERE campaign_id = ${campaignId} AND id = 3`).unprepared
        expect(yield* factsBy(50)).toMatchObject({ highestId: 5_000 })
        expect(
          yield* Effect.flatMap(
            Effect.provide(MySqlLedgerFacts.make(50), context),
            (audit) => audit.facts(campaignId + 1)
          )
        ).toBeUndefined()
      }))

    it.scopedLive("reads no more of a large campaign than it was asked for, whatever the statistics say", () =>
      Effect.gen(function*() {
        // Two connections, whose status counts what the ledger reads.
        const { create, ledger, outbox, sql } = yield* scene({ MYSQL_POOL_SIZE: "2" })
        const { campaignId } = yield* create(draft({ couponLimit: 100_000 }))
        for (let id = 0; id < 20_000; id += 10_000) {
          const rows = Array.from(
            { length: 10_000 },
            (_, k) => `(${campaignId}, ${id + k + 1}, ${500_000 + id + k}, '${id + k}', SYSDATE(6))`
          )
          yield* sql.unsafe(`INSERT INTO coupons (campaign_id, id, user_id, code, issued_at) VALUES ${rows.join(",")}`)
            .unprepared
        }
        yield* sql.unsafe(`UPDATE campaigns SET current_coupon = 20000 WHERE id = ${campaignId}`).unprepared
        const [first, second] = [batchId(), batchId()]
        yield* sql.unsafe(
          "INSERT INTO outbox (batch_id, kind, campaign_id, first_id, last_id, created_at) VALUES " +
            `(x'${first}', 'ISSUED', ${campaignId}, 101, 200, SYSDATE(6)), ` +
            `(x'${second}', 'ISSUED', ${campaignId}, 10001, 10100, SYSDATE(6))`
        ).unprepared
        yield* sql.unsafe("ANALYZE TABLE coupons").unprepared
        const onEach = (text: string) =>
          Effect.scoped(
            Effect.flatMap(Effect.all([sql.reserve, sql.reserve]), (both) =>
              Effect.forEach(both, (one) =>
                MySql.runText(one, text)))
          )
        const rowsReadBy = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
          Effect.gen(function*() {
            yield* onEach("FLUSH STATUS")
            yield* effect
            const counts = yield* onEach("SHOW SESSION STATUS WHERE Variable_name LIKE 'Handler_read%'")
            return counts.flat().reduce<number>(
              (sum, row) => sum + Number((row as { readonly Value: string }).Value),
              0
            )
          })
        expect(yield* rowsReadBy(ledger.listCoupons(campaignId, 1_000, 5_000))).toBeLessThan(5_100)
        expect(yield* rowsReadBy(ledger.listCoupons(campaignId, 10_000, 1_000))).toBeLessThan(1_100)
        expect(yield* rowsReadBy(ledger.findCoupons(campaignId, users(500_001, 300)))).toBeLessThan(1_000)
        const batch = batchOf(campaignId, [1, 2, 3])
        const text = groupCommit(sessionSettings(2), batch.batchId, campaignId, batch.claims).text
        expect(yield* rowsReadBy(Effect.scoped(Effect.flatMap(sql.reserve, (one) => MySql.runText(one, text)))))
          .toBeLessThan(100)
        expect(yield* rowsReadBy(outbox.poll(10, (events) => Effect.succeed(events.map(({ id }) => id)))))
          .toBeLessThan(1_000)
      }))

    it.scopedLive.each([
      ["has no room for all", "coupon_limit = 1"],
      ["is paused", "status = 'PAUSED'"],
      ["has not started", "start_time = SYSDATE(6) + INTERVAL 1 HOUR"],
      ["has ended", "end_time = SYSDATE(6)"],
      ["is about to end", "end_time = SYSDATE(6) + INTERVAL 500000 MICROSECOND"],
      ["does not exist", "id = id + 1"]
    ])("the procedure issues nothing, and says so, if the campaign %s", ([, change]) =>
      Effect.gen(function*() {
        const { context, create, ledger, sql, url } = yield* scene()
        const { campaignId } = yield* create(draft())
        const other = yield* session(url)
        yield* other.run(`UPDATE campaigns SET ${change} WHERE id = ${campaignId}`)
        yield* Effect.scoped(Effect.gen(function*() {
          const batch = batchOf(campaignId, [1, 2])
          const results = yield* MySql.runText(
            yield* sql.reserve,
            wholeBatchCall(batch.batchId, campaignId, batch.claims)
          )
          expect(wholeBatchFacts(results)).toBeUndefined()
          expect(
            yield* other.run(
              "SELECT COUNT(*) AS n FROM coupons UNION ALL SELECT COUNT(*) FROM outbox WHERE kind = 'ISSUED'"
            )
          ).toEqual([{ n: 0 }, { n: 0 }])
          // No transaction is open: no other one has to wait for the row.
          yield* other.run(
            `UPDATE campaigns SET id = ${campaignId}, coupon_limit = 10, status = 'ACTIVE', ` +
              "start_time = '2025-01-01', end_time = NULL"
          )
          expect(tagsOf(yield* ledger.issue(batch))).toEqual(["Issued", "Issued"])
        }))
        yield* expectConsistent(campaignId, 2).pipe(Effect.provide(context))
      }))

    it.scopedLive("does without the procedure where it cannot be called", () =>
      Effect.gen(function*() {
        const { context, create, ledger, url } = yield* scene()
        const { campaignId } = yield* create(draft())
        const other = yield* session(url)
        yield* Effect.addFinalizer(() => other.run(procedure))
        yield* other.run("DROP PROCEDURE issue_dated_batch")
        expect(tagsOf(yield* ledger.issue(batchOf(campaignId, [1, 2])))).toEqual(["Issued", "Issued"])
        expect(tagsOf(yield* ledger.issue(batchOf(campaignId, [2, 3])))).toEqual(["CouponAlreadyClaimed", "Issued"])
        yield* expectConsistent(campaignId, 3).pipe(Effect.provide(context))
      }))

    it.scopedLive("catches up on an optional migration when it starts", () =>
      Effect.gen(function*() {
        const url = yield* Effect.promise(() => migrated.emptied(kind))
        const other = yield* session(url)
        const optional = (yield* Migrations.load("mysql")).filter(({ isOptional }) => isOptional)
        expect(optional.map(({ name }) => name)).toEqual([
          "issue_batch", "issue_batch_by", "issue_pool_batch", "issue_dated_batch"
        ])
        yield* other.run(
          "DROP PROCEDURE issue_dated_batch; DELETE FROM schema_migrations WHERE name = 'issue_dated_batch'"
        )
        yield* Effect.scoped(Layer.build(layerOn(url)))
        expect(
          yield* other.run(
            "SELECT routine_name AS name FROM information_schema.routines WHERE routine_schema = DATABASE()"
          )
        )
          .toEqual([
            { name: "issue_batch" },
            { name: "issue_batch_by" },
            { name: "issue_dated_batch" },
            { name: "issue_dated_pool_batch" },
            { name: "issue_pool_batch" }
          ])
      }))

    it.scopedLive("gives a ledger keys of its own in Redis, but one that is older those that its instances use", () =>
      Effect.gen(function*() {
        const { url } = yield* unmigrated(kind)
        const endpoint = MySql.parseUrl(Redacted.make(url))
        yield* MySql.migrate(endpoint)
        const other = yield* session(url)
        const identities = new Set<unknown>()
        const rowAfter = (...statements: ReadonlyArray<string>) =>
          Effect.gen(function*() {
            // As it was before the migration.
            yield* other.run(
              ["DROP TABLE deployment", "DELETE FROM schema_migrations WHERE name = 'deployment'", ...statements]
                .join(";")
            )
            yield* MySql.migrate(endpoint)
            const [row] = yield* other.run("SELECT * FROM deployment")
            identities.add(row!["identity"])
            return row
          })
        const fresh = yield* rowAfter()
        expect(fresh).toMatchObject({ redis_key_prefix: `coupon:${String(fresh!["identity"])}:` })
        const campaign = "INSERT INTO campaigns (name, coupon_limit, start_time, created_at, updated_at) " +
          "VALUES ('x', 1, NOW(), NOW(), NOW())"
        expect(yield* rowAfter(campaign)).toMatchObject({ redis_key_prefix: "" })
        const older = "UPDATE schema_migrations SET applied_at = applied_at - INTERVAL 11 MINUTE"
        expect(yield* rowAfter("DELETE FROM campaigns", older)).toMatchObject({ redis_key_prefix: "" })
        expect(identities.size).toBe(3)
      }))

    it.scopedLive("keeps polls apart and lets commits through while events are being published", () =>
      Effect.gen(function*() {
        const { create, ledger, outbox, url } = yield* scene()
        const second = Context.get(yield* Layer.build(Layer.fresh(layerOn(url))), Outbox)
        const { campaignId } = yield* create(draft())
        const batches = [batchOf(campaignId, [1]), batchOf(campaignId, [2]), batchOf(campaignId, [3])]
        yield* Effect.forEach(batches, (batch) => ledger.issue(batch))
        const none = Effect.dieMessage("these events are taken")
        const settled = yield* outbox.poll(2, (events) =>
          Effect.gen(function*() {
            const mine = events.map((event) => event.id)
            const theirs: Array<string> = []
            yield* second.poll(10, (others) => Effect.sync(() => {
              theirs.push(...others.map((event) => event.id))
              return theirs
            }))
            expect([...mine, ...theirs].toSorted()).toEqual(batches.map((batch) => batch.batchId).toSorted())
            // Nothing is left to take, yet a poll says so without waiting and leaves no lock that a commit would wait
            // for.
            expect(yield* second.poll(10, () => none)).toMatchObject({ taken: 0, settled: 0 })
            yield* second.poll(10, () => Effect.zipRight(ledger.issue(batchOf(campaignId, [4])), Effect.succeed([])))
            expect(tagsOf(yield* ledger.issue(batchOf(campaignId, [5])))).toEqual(["Issued"])
            return mine
          }))
        expect(settled).toMatchObject({ taken: 2, settled: 2 })
      }))

    it.scopedLive("migrates once when instances start together, and refuses a schema that lacks a part", () =>
      Effect.gen(function*() {
        const { url } = yield* unmigrated(kind)
        const endpoint = MySql.parseUrl(Redacted.make(url))
        const ran = yield* Effect.all(Array.from({ length: 4 }, () => MySql.migrate(endpoint)), { concurrency: 4 })
        const names = (yield* Migrations.load("mysql")).map(({ name }) => name)
        expect(ran.flat()).toEqual(names)
        const other = yield* session(url)
        const deployment = other.run("SELECT * FROM deployment")
        const made = yield* deployment
        expect(made).toEqual([{
          id: 1,
          identity: expect.stringMatching(/^[0-9a-f]{16}$/),
          redis_key_prefix: `coupon:${String(made[0]!["identity"])}:`,
          served_in_production_at: null
        }])
        // A crash between a migration and its record: it runs again.
        yield* other.run("DELETE FROM schema_migrations")
        expect(yield* MySql.migrate(endpoint)).toEqual(names)
        expect(yield* deployment).toEqual(made)
        // A newer program's, which only adds.
        yield* other.run("INSERT INTO schema_migrations VALUES (-98, 'more', UTC_TIMESTAMP(6))")
        expect(yield* MySql.migrate(endpoint)).toEqual([])
        yield* Effect.scoped(Layer.build(layerOn(url)))
        yield* other.run("INSERT INTO schema_migrations VALUES (99, 'less', UTC_TIMESTAMP(6))")
        const refused = yield* Effect.flip(Effect.scoped(Layer.build(layerOn(url))))
        expect(refused).toBeInstanceOf(Migrations.SchemaUnfit)
        expect(refused.message).toContain("99")
      }))
  })

  describe(`connections to ${kind} that fail`, () => {
    /** The ledger behind a proxy. */
    const behind = (more: Record<string, string> = {}) =>
      Effect.gen(function*() {
        const url = yield* Effect.promise(() => migrated.emptied(kind))
        const proxy: FaultProxy = yield* Effect.acquireRelease(
          Effect.promise(() => startProxy(Number(new URL(url).port || 3306))),
          (proxy) => Effect.promise(proxy.stop)
        )
        const context = yield* Layer.build(layerOn(proxy.url(url), more))
        const direct = Context.get(yield* Layer.build(Layer.fresh(layerOn(url))), Ledger)
        return {
          url,
          proxy,
          context,
          direct,
          campaigns: Context.get(context, CampaignStore),
          create: (of: CampaignDraft) => Effect.provide(createCampaign(of), context),
          ledger: Context.get(context, Ledger)
        }
      })

    it.scopedLive("a commit whose reply is lost is in doubt, and resolves to issued", () =>
      Effect.gen(function*() {
        const { context, create, direct, ledger, proxy } = yield* behind()
        const { campaignId } = yield* create(draft())
        const batch = batchOf(campaignId, [1, 2])
        const held = proxy.holdReplies((bytes) => bytes.includes(batch.batchId))
        const fiber = yield* Effect.fork(ledger.issue(batch))
        const reply = yield* Effect.promise(() => held)
        yield* until(direct.tally(campaignId), (tally) => tally?.issued === 2)
        reply.drop()
        expect((yield* Effect.flip(Fiber.join(fiber)))._tag).toBe("CommitInDoubt")
        expect((yield* ledger.resolve(batch)).map((verdict) => verdict._tag)).toEqual(["Issued", "Issued"])
        yield* expectConsistent(campaignId, 2).pipe(Effect.provide(context))
      }))

    it.scopedLive("a batch whose bytes arrive only after it was resolved issues nothing", () =>
      Effect.gen(function*() {
        const { context, create, direct, ledger, proxy } = yield* behind({ MYSQL_REPLY_TIMEOUT: "2 seconds" })
        const { campaignId } = yield* create(draft())
        const batch = batchOf(campaignId, [1, 2])
        // The client gives up, but its bytes are on their way: a proxy that keeps the server's side open stands for the
        // network.
        const held = proxy.holdRequests((bytes) => bytes.includes(batch.batchId))
        const fiber = yield* Effect.fork(ledger.issue(batch))
        const request = yield* Effect.promise(() => held)
        expect((yield* direct.resolve(batch)).map((verdict) => verdict._tag)).toEqual(["NotIssued", "NotIssued"])
        request.release()
        expect((yield* Effect.flip(Fiber.join(fiber)))._tag).toBe("CommitInDoubt")
        expect((yield* ledger.resolve(batch)).map((verdict) => verdict._tag)).toEqual(["NotIssued", "NotIssued"])
        yield* expectConsistent(campaignId, 0).pipe(Effect.provide(context))
      }))

    it.scopedLive("a server that falls silent costs no place in the pool", () =>
      Effect.gen(function*() {
        const { campaigns, context, create, ledger, proxy } = yield* behind({
          MYSQL_REPLY_TIMEOUT: "2 seconds",
          MYSQL_POOL_SIZE: "3"
        })
        const { campaignId } = yield* create(draft())
        const batches = Array.from({ length: 12 }, (_, i) => batchOf(campaignId, users(1 + i * 2, 2)))
        // Connections that are open, and those still to be opened, receive nothing any more.
        proxy.delay(3_600_000)
        const failures = yield* Effect.forEach(batches, (batch) => Effect.flip(ledger.issue(batch)), {
          concurrency: "unbounded"
        })
        expect(
          failures.map((failure) => failure._tag).filter((tag) =>
            tag === "LedgerUnavailable" || tag === "CommitInDoubt"
          ).length
        ).toBe(12)
        expect((yield* Effect.flip(campaigns.find(campaignId)))._tag).toBe("LedgerUnavailable")
        proxy.delay(0)
        // At once they fail until a probe has found that the server answers again.
        const untilThere = Schedule.spaced("50 millis")
        const resolved = yield* Effect.forEach(batches, (batch) => Effect.retry(ledger.resolve(batch), untilThere), {
          concurrency: "unbounded"
        })
        expect(new Set(resolved.flat().map((verdict) => verdict._tag))).toEqual(new Set(["NotIssued"]))
        const again = batches.map((batch) => ({ ...batch, batchId: batchId() }))
        const verdicts = yield* Effect.forEach(
          again,
          (batch) =>
            Effect.retry(ledger.issue(batch), {
              schedule: untilThere,
              while: ({ _tag }) => _tag === "LedgerUnavailable"
            }),
          { concurrency: "unbounded" }
        )
        expect(new Set(tagsOf(verdicts.flat()))).toEqual(new Set(["Issued"]))
        yield* expectConsistent(campaignId, 24).pipe(Effect.provide(context))
      }))

    it.scopedLive("idle connections that are closed, by us or by the server, are replaced unnoticed", () =>
      Effect.gen(function*() {
        const { campaigns, context, create, ledger, proxy } = yield* behind({ MYSQL_REPLY_TIMEOUT: "2 seconds" })
        const { campaignId } = yield* create(draft())
        yield* until(Effect.sync(proxy.connections), (open) => open === 0)
        expect(tagsOf(yield* ledger.issue(batchOf(campaignId, [1])))).toEqual(["Issued"])
        expect(proxy.connections()).toBe(1)
        proxy.cut()
        yield* until(
          Effect.either(Effect.suspend(() => campaigns.find(campaignId))),
          (found) => found._tag === "Right" && found.right?.issuedCount === 1
        )
        expect(tagsOf(yield* ledger.issue(batchOf(campaignId, [2])))).toEqual(["Issued"])
        yield* expectConsistent(campaignId, 2).pipe(Effect.provide(context))
      }))

    it.scopedLive("a server that refuses connections is unavailable, at the start and later", () =>
      Effect.gen(function*() {
        const { create, ledger, proxy, url } = yield* behind()
        const { campaignId } = yield* create(draft())
        proxy.refuse()
        proxy.cut()
        yield* until(Effect.sync(proxy.connections), (open) => open === 0)
        const batch = batchOf(campaignId, [1])
        // The pool may still think that a connection is open: a batch given to it is in doubt, the next one is not.
        yield* until(
          Effect.flip(Effect.suspend(() => ledger.issue({ ...batch, batchId: batchId() }))),
          (failure) => failure._tag === "LedgerUnavailable"
        )
        expect(yield* Effect.flip(Effect.scoped(Layer.build(Layer.fresh(layerOn(proxy.url(url))))))).toMatchObject({
          _tag: "LedgerUnavailable"
        })
        proxy.accept()
        // After a connection that failed the next is not tried at once.
        const verdicts = yield* until(
          Effect.either(Effect.suspend(() => ledger.issue(batchOf(campaignId, [2])))),
          (issued) => issued._tag === "Right"
        )
        expect(tagsOf(Either.getOrThrow(verdicts))).toEqual(["Issued"])
      }))
  })
}

describe("MYSQL_URL", () => {
  const parse = (url: string) => MySql.parseUrl(Redacted.make(url))

  it("is taken apart", () => {
    const endpoint = parse("mysql://a%40b:p%3Ass%2F@db.example:3307/my%2Ddb?ssl-mode=verify_identity")
    expect({ ...endpoint, password: Redacted.value(endpoint.password) }).toEqual({
      hosts: [{ host: "db.example", port: 3307 }], database: "my-db", username: "a@b", password: "p:ss/",
      ssl: { rejectUnauthorized: true, verifyIdentity: true }
    })
    expect(parse("mysql://root@[::1]/coupon")).toMatchObject({ hosts: [{ host: "::1", port: 3306 }], ssl: undefined })
    expect(parse("mysql://root@a,b:3307,[::1]:3308/coupon").hosts)
      .toEqual([{ host: "a", port: 3306 }, { host: "b", port: 3307 }, { host: "::1", port: 3308 }])
    expect(MySql.address(Redacted.make("mysql://root:secret@db:3307/coupon"))).toBe("db:3307")
  })

  it("is refused without repeating what it says", () => {
    for (
      const url of [
        "mysql://u:secret@h:1", "mysql://u:secret@h:1/", "mysql://u:secret@h/d?ssl-mode=secret",
        "mysql://u:secret@h/d?charset=secret", "mysql://u:secret@127.0.0.1/d?ssl-mode=VERIFY_IDENTITY"
      ]
    ) {
      const refusal = (() => {
        try {
          return void parse(url)
        } catch (error) {
          return error as Error
        }
      })()
      expect(refusal?.message).toMatch(/^MYSQL_URL: /)
      expect(refusal?.message).not.toContain("secret")
    }
  })
})
