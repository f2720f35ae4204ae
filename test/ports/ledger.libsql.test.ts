import { SqlClient } from "@effect/sql/SqlClient"
import { it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { createInterface } from "node:readline"
import { afterAll, describe, expect } from "vitest"
import * as AppConfig from "../../src/config/AppConfig.ts"
import * as Steps from "../../src/base/Steps.ts"
import { named } from "../../src/domain/Actor.ts"
import { CampaignStore } from "../../src/ports/CampaignStore.ts"
import { CodeImports, MAX_CHUNK_CODES } from "../../src/ports/CodeImports.ts"
import { Ledger } from "../../src/ports/Ledger.ts"
import * as LibSql from "../../src/sql/libsql/LibSql.ts"
import * as LibSqlCampaignStore from "../../src/sql/libsql/LibSqlCampaignStore.ts"
import * as LibSqlCodeImports from "../../src/sql/libsql/LibSqlCodeImports.ts"
import * as LibSqlErasures from "../../src/sql/libsql/admin/LibSqlErasures.ts"
import * as LibSqlEventLog from "../../src/sql/libsql/LibSqlEventLog.ts"
import * as LibSqlLedger from "../../src/sql/libsql/LibSqlLedger.ts"
import * as LibSqlAuditLog from "../../src/sql/libsql/admin/LibSqlAuditLog.ts"
import * as LibSqlCampaignPhases from "../../src/sql/libsql/LibSqlCampaignPhases.ts"
import * as LibSqlLedgerFacts from "../../src/sql/libsql/admin/LibSqlLedgerFacts.ts"
import * as LibSqlDeployment from "../../src/sql/libsql/admin/LibSqlDeployment.ts"
import * as LibSqlOutbox from "../../src/sql/libsql/LibSqlOutbox.ts"
import * as LibSqlRedemptions from "../../src/sql/libsql/LibSqlRedemptions.ts"
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
import { expectMarkers } from "./outboxMarkers.ts"
import * as OutboxExercise from "./outbox.exercise.ts"
import * as RedemptionsExercise from "./redemptions.exercise.ts"
import * as RevocationsExercise from "./revocations.exercise.ts"

const root = mkdtempSync(Path.join(tmpdir(), "coupon-ledger-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const directory = (name: string) => Path.join(root, name, "한글 %20 dir")

const ledgerIn = (dataDir: string) =>
  Layer.mergeAll(
    LibSqlCampaignStore.layer,
    LibSqlLedger.layer,
    LibSqlCodeImports.layer,
    LibSqlAuditLog.layer,
    LibSqlCampaignPhases.layer,
    LibSqlDeployment.layer,
    LibSqlErasures.layer,
    LibSqlEventLog.layer,
    LibSqlOutbox.layer,
    LibSqlRedemptions.layer
  ).pipe(
    Layer.provideMerge(LibSql.layer),
    Layer.provide(AppConfig.layerTest({ DATA_DIR: dataDir }))
  )

LedgerExercise.exercise("Ledger on libSQL", ledgerIn(directory("ledger")))
OutboxExercise.exercise("Outbox on libSQL", ledgerIn(directory("outbox")))
EventLogExercise.exercise("EventLog on libSQL", ledgerIn(directory("events")))
RedemptionsExercise.exercise("Redemptions on libSQL", ledgerIn(directory("redemptions")))
RevocationsExercise.exercise("Revocations on libSQL", ledgerIn(directory("revocations")))
ErasuresExercise.exercise("Erasures on libSQL", ledgerIn(directory("erasures")))
AuditLogExercise.exercise("AuditLog on libSQL", ledgerIn(directory("audit")))
CampaignsExercise.exercise("Campaigns on libSQL", ledgerIn(directory("campaigns")))
CampaignPhasesExercise.exercise("CampaignPhases on libSQL", ledgerIn(directory("phases")))
CodeImportsExercise.exercise("CodeImports on libSQL", ledgerIn(directory("codes")))
CodeEventsExercise.exercise("CodeEvents on libSQL", ledgerIn(directory("codeEvents")))
DeploymentExercise.exercise("on libSQL", ledgerIn(directory("deployment")))

/** A process that holds a data directory from the moment this resolves until it is killed. */
const holder = async (dataDir: string) => {
  const child = spawn(process.execPath, ["--input-type=module", "-e", `
    import * as Effect from "effect/Effect"
    import * as Layer from "effect/Layer"
    import * as AppConfig from "${new URL("../../src/config/AppConfig.ts", import.meta.url).href}"
    import * as LibSql from "${new URL("../../src/sql/libsql/LibSql.ts", import.meta.url).href}"
    await Effect.runPromise(Effect.scoped(Effect.zipRight(
      Layer.build(Layer.provide(LibSql.layer, AppConfig.layerTest({ DATA_DIR: process.argv[1] }))),
      Effect.zipRight(Effect.sync(() => console.log("holding")), Effect.never)
    )))`, dataDir], { stdio: ["ignore", "pipe", "inherit"], cwd: Path.resolve(import.meta.dirname, "../..") })
  for await (const line of createInterface({ input: child.stdout })) if (line === "holding") break
  return {
    kill: async () => {
      const exited = once(child, "exit")
      child.kill("SIGKILL")
      await exited
    }
  }
}

describe("the embedded ledger's file", () => {
  it.live("is durable by setting, also on the connection that commits", () =>
    Effect.gen(function*() {
      const ledger = yield* Ledger
      const sql = yield* SqlClient
      const { campaignId } = yield* createCampaign(draft())
      yield* ledger.issue(batchOf(campaignId, users(1, 10)))
      expect(Object.values((yield* sql.unsafe<object>("PRAGMA synchronous"))[0]!).map(Number)).toEqual([2])
      expect(Object.values((yield* sql.unsafe<object>("PRAGMA journal_mode"))[0]!)).toEqual(["wal"])
    }).pipe(Effect.provide(ledgerIn(directory("pragmas")))))

  it.effect("marks a creation by a kind of its own", () =>
    Effect.provide(expectMarkers((id) => `'${id}'`), ledgerIn(directory("markers"))))

  it.live("is verified page by page, as of one moment, while coupons are issued, and leaves the loop to others", () =>
    Effect.gen(function*() {
      const campaigns = yield* CampaignStore
      const ledger = yield* Ledger
      const sql = yield* SqlClient
      const { campaignId } = yield* createCampaign(draft({ couponLimit: 10_000 }))
      const largest = 2n ** 63n - 1n
      yield* ledger.issue(batchOf(campaignId, [largest, ...users(1, 299)]))
      const factsBy = (page: number) => Effect.flatMap(LibSqlLedgerFacts.make(page), ({ facts }) => facts(campaignId))
      const exact = (issued: number) => ({
        counter: issued,
        coupons: issued,
        users: issued,
        codes: issued,
        highestId: issued
      })
      for (const page of [7, 100, 300, 301]) {
        expect(yield* factsBy(page)).toMatchObject({ ...exact(300), unrelayed: 300, couponLimit: 10_000 })
      }

      // A claim is a turn of the loop: it finds its time between any two pages.
      const counting = yield* Effect.fork(factsBy(10))
      const nextTurn = Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void)))
      let next = 1_000
      while ((yield* Fiber.status(counting))._tag !== "Done") {
        yield* ledger.issue(batchOf(campaignId, [next++]))
        yield* nextTurn
      }
      const facts = (yield* Fiber.join(counting))!
      expect(facts).toMatchObject(exact(facts.counter))
      expect((yield* campaigns.find(campaignId))!.issuedCount - facts.counter).toBeGreaterThan(90)

      yield* sql.unsafe(`UPDATE coupons SET id = 50000 WHERE campaign_id = ${campaignId} AND id = 3`).unprepared
      expect(yield* factsBy(50)).toMatchObject({ highestId: 50_000 })
      yield* sql.unsafe(`UPDATE coupons SET code = 'x' WHERE campaign_id = ${campaignId} AND id = 4`).unprepared
      yield* sql.unsafe(`DELETE FROM coupons WHERE campaign_id = ${campaignId} AND id = 5`).unprepared
      const { counter, coupons } = (yield* factsBy(50))!
      expect(coupons).toBe(counter - 1)
      expect(yield* Effect.flatMap(LibSqlLedgerFacts.make(50), (audit) => audit.facts(campaignId + 1))).toBeUndefined()
    }).pipe(Effect.provide(ledgerIn(directory("facts")))))

  it.live("takes a chunk of codes in steps, and goes on where a crash has left some of one", () =>
    Effect.gen(function*() {
      const campaigns = yield* CampaignStore
      const imports = yield* CodeImports
      const sql = yield* SqlClient
      const { campaignId } = yield* createCampaign(draft({ codes: { _tag: "Pool" }, couponLimit: 10 }))
      const record = () => ({ changeId: batchId(), actor: named("importer") })
      const key = { campaignId, importId: 1 }
      yield* imports.start({ ...record(), campaignId, requestId: "x" })
      const codes = Array.from({ length: MAX_CHUNK_CODES }, (_, k) => `C-${k}`)
      // As a process leaves them that ends between two steps: where the chunk begins, and with its codes.
      const rest = codes.slice(0, 900).map((code, k) => `(${campaignId}, ${k + 1}, '${code}')`)
      yield* sql.unsafe(`INSERT INTO code_pool (campaign_id, number, code) VALUES ${rest.join(",")}`).unprepared
      const appending = yield* Effect.fork(imports.append(key, 0, codes))
      let turns = 0
      while ((yield* Fiber.status(appending))._tag !== "Done") {
        yield* Steps.turn
        turns++
      }
      expect(yield* Fiber.join(appending)).toMatchObject({ result: { accepted: MAX_CHUNK_CODES, rejected: [] } })
      expect(turns).toBeGreaterThanOrEqual(19)
      const pool = Effect.map(
        sql.unsafe<{ readonly n: number; readonly last: number }>(
          `SELECT COUNT(*) AS n, MAX(number) AS last FROM code_pool WHERE campaign_id = ${campaignId}`
        ),
        ([row]) => [Number(row!.n), Number(row!.last)]
      )
      expect(yield* pool).toEqual([MAX_CHUNK_CODES, MAX_CHUNK_CODES])
      // The same, and no chunk follows.
      yield* sql.unsafe(`INSERT INTO code_pool VALUES (${campaignId}, ${MAX_CHUNK_CODES + 1}, 'rest')`).unprepared
      yield* imports.finish({ ...record(), ...key, chunks: 1 })
      expect(yield* pool).toEqual([MAX_CHUNK_CODES, MAX_CHUNK_CODES])
      expect((yield* campaigns.find(campaignId))!.codeCount).toBe(MAX_CHUNK_CODES)
    }).pipe(Effect.provide(ledgerIn(directory("steps")))))

  it.live("begins an import after the codes of one that is finished meanwhile", () =>
    Effect.gen(function*() {
      const imports = yield* CodeImports
      const driver = yield* LibSql.LibSqlDriver
      const { campaignId } = yield* createCampaign(draft({ codes: { _tag: "Pool" } }))
      const record = () => ({ changeId: batchId(), actor: named("importer"), campaignId })
      const first = { campaignId, importId: 1 }
      yield* imports.start({ ...record(), requestId: "first" })
      yield* imports.append(first, 0, ["A-1", "A-2"])
      let finished: Promise<unknown> | undefined
      const other = yield* Effect.provideService(Layer.build(LibSqlCodeImports.layer), LibSql.LibSqlDriver, {
        ...driver,
        // Between two reads of the call that begins the second one.
        execute: async (statement) => {
          if (/ FROM code_imports /.test(JSON.stringify(statement))) {
            await (finished ??= Effect.runPromise(imports.finish({ ...record(), ...first, chunks: 1 })))
          }
          return driver.execute(statement)
        }
      })
      const started = yield* Context.get(other, CodeImports).start({ ...record(), requestId: "second" })
      expect(yield* Effect.promise(() => finished!)).toMatchObject({ _tag: "Ended" })
      expect(started).toMatchObject({ _tag: "Started", codeImport: { importId: 2 } })
      const second = { campaignId, importId: 2 }
      yield* imports.append(second, 0, ["B-1"])
      expect(yield* imports.abort({ ...record(), ...second })).toMatchObject({ codeImport: { state: "ABORTED" } })
      const sql = yield* SqlClient
      const pool = yield* sql.unsafe<object>(
        `SELECT number, code FROM code_pool WHERE campaign_id = ${campaignId} ORDER BY number`
      )
      expect(pool.map((row) => Object.values(row).map(String))).toEqual([
        ["1", expect.stringMatching(/^A-[12]$/)],
        ["2", expect.stringMatching(/^A-[12]$/)]
      ])
    }).pipe(Effect.scoped, Effect.provide(ledgerIn(directory("meanwhile")))))

  it.live("keeps what it has when opened again", () =>
    Effect.gen(function*() {
      const layer = ledgerIn(directory("again"))
      const campaignId = yield* Effect.gen(function*() {
        const ledger = yield* Ledger
        const { campaignId } = yield* createCampaign(draft({ couponLimit: 3 }))
        yield* ledger.issue(batchOf(campaignId, [1, 2]))
        return campaignId
      }).pipe(Effect.provide(Layer.fresh(layer)))
      yield* Effect.gen(function*() {
        const ledger = yield* Ledger
        expect(tagsOf(yield* ledger.issue(batchOf(campaignId, [1, 3, 4])))).toEqual([
          "CouponAlreadyClaimed",
          "Issued",
          "CouponSoldOut"
        ])
        yield* expectConsistent(campaignId, 3)
      }).pipe(Effect.provide(Layer.fresh(layer)))
    }))

  it.live("refuses a second owner in the same process, until the first has closed", () =>
    Effect.gen(function*() {
      const layer = ledgerIn(directory("twice"))
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(Layer.fresh(layer), scope)
      const second = Effect.scoped(Layer.build(Layer.fresh(layer)))
      expect(yield* Effect.flip(second)).toMatchObject({
        _tag: "DataDirInUse",
        message: expect.stringContaining("in use by another process")
      })
      yield* Scope.close(scope, Exit.void)
      yield* second
    }))

  it.live("refuses a second process, until the first has been killed", () =>
    Effect.gen(function*() {
      const dataDir = directory("processes")
      const first = yield* Effect.promise(() => holder(dataDir))
      const second = Effect.scoped(Layer.build(Layer.fresh(ledgerIn(dataDir))))
      expect(yield* Effect.flip(second)).toMatchObject({
        _tag: "DataDirInUse",
        message: expect.stringContaining(dataDir)
      })
      yield* Effect.promise(first.kill)
      yield* second
    }))

  it.live("says so when the directory cannot be one", () =>
    Effect.gen(function*() {
      const file = Path.join(import.meta.dirname, "ledger.libsql.test.ts", "below")
      expect(yield* Effect.flip(Effect.scoped(Layer.build(ledgerIn(file))))).toMatchObject({ _tag: "DataDirUnusable" })
    }))
})
