import { SqlClient } from "@effect/sql/SqlClient"
import { layer as withLayer } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { afterAll, expect } from "vitest"
import * as AuditSeal from "../../src/agents/audit/AuditSeal.ts"
import * as AppConfig from "../../src/config/AppConfig.ts"
import { named } from "../../src/domain/Actor.ts"
import { changeBy } from "../../src/domain/ChangeRecord.ts"
import * as ChainVerification from "../../src/operator/audit/ChainVerification.ts"
import { AuditChain, type ChainHead } from "../../src/ports/AuditChain.ts"
import { AuditLog } from "../../src/ports/AuditLog.ts"
import * as LibSqlAuditChain from "../../src/sql/libsql/admin/LibSqlAuditChain.ts"
import * as LibSqlAuditLog from "../../src/sql/libsql/admin/LibSqlAuditLog.ts"
import * as LibSql from "../../src/sql/libsql/LibSql.ts"
import * as MySqlAuditChain from "../../src/sql/mysql/admin/MySqlAuditChain.ts"
import * as MySqlAuditLog from "../../src/sql/mysql/admin/MySqlAuditLog.ts"
import * as MySql from "../../src/sql/mysql/connection/MySql.ts"
import { availableDatabases, databaseOn } from "../support/servers.ts"

const directory = mkdtempSync(Path.join(tmpdir(), "coupon-chain-"))
afterAll(() => rmSync(directory, { recursive: true }))

const ATTEMPTS = 8

/** What every second act is done for. */
const REASON = "고객 요청: '#1024' 취소"

const append = (count: number) =>
  Effect.flatMap(AuditLog, (audit) =>
    Effect.forEach(Array.from({ length: count }, (_, k) => k), (k) =>
      audit.append({
        ...changeBy({ ...named(`운영 ${k}`), address: "192.0.2.1", role: "ADMIN",
          reason: k % 2 === 0 ? REASON : undefined }),
        action: "gate.rebuild",
        outcome: "DONE",
        campaignId: k,
        before: undefined,
        after: { k }
      }), { concurrency: 4 }))

const seal = Effect.flatMap(AuditSeal.make, ({ runOnce }) => runOnce)

/** The flaws that the verification finds, and its last word. */
const verify = (expected?: ChainHead) =>
  Effect.map(Stream.runCollect(ChainVerification.verify(expected)), (events) => {
    const all = Chunk.toReadonlyArray(events)
    return {
      flaws: all.flatMap((event) => event._tag === "Flaw" ? [`${event.kind} ${event.sequence}`] : []),
      done: all.at(-1)
    }
  })

const exercise = (
  name: string,
  layer: Layer.Layer<AuditLog | AuditChain | SqlClient, unknown>,
  { changeId, hexOf, migration, now }: {
    /** A change id as a literal. */
    readonly changeId: (hex: string) => string
    /** A column of change ids, as text. */
    readonly hexOf: (column: string) => string
    /** The file that adds the column of reasons. */
    readonly migration: string
    readonly now: string
  }
) =>
  withLayer(layer, { excludeTestServices: true, timeout: "240 seconds" })(`AuditChain on ${name}`, (it) => {
    it.effect("gives each act its place, those of an earlier version too, while others seal", () =>
      Effect.gen(function*() {
        const chain = yield* AuditChain
        const sql = yield* SqlClient
        expect(yield* chain.head).toEqual({ sequence: 0, hash: "0".repeat(64) })
        yield* append(3)
        // As the previous release writes it.
        yield* sql.unsafe(
          "INSERT INTO admin_audit (change_id, at, actor, action, campaign_id, before_state, after_state) " +
            `VALUES (${changeId("01234567".repeat(4))}, ${now}, 'old', 'key.revoke', NULL, '{"a":1}', NULL)`
        )
        expect(yield* chain.unsealed).toBe(4)
        yield* Effect.all([seal, append(20), seal, seal], { concurrency: 4 })
        yield* seal
        expect(yield* chain.unsealed).toBe(0)
        const links = yield* chain.links(0, 100)
        expect(links.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 24 }, (_, k) => k + 1))
        expect(new Set(links.map(({ record }) => record!.id)).size).toBe(24)
        expect(links.every(({ expected, hash }) => expected === hash)).toBe(true)
        expect(links.find(({ record }) => record!.actor.name === "old")!.record).toMatchObject({
          actor: named("old"), outcome: undefined, before: { a: 1 }, after: undefined
        })
        expect(yield* chain.head).toEqual({ sequence: 24, hash: links.at(-1)!.hash })
        expect((yield* chain.links(20, 2)).map(({ sequence }) => sequence)).toEqual([21, 22])
        expect((yield* chain.links(20, 2)).every(({ expected, hash }) => expected === hash)).toBe(true)
        expect(yield* verify()).toEqual({
          flaws: [],
          done: { _tag: "Done", acts: 24, hash: links.at(-1)!.hash, flaws: 0, unsealed: 0, unsealedReasons: 0 }
        })
      }))

    it.effect("finds an act that was changed or removed, a place that was, and an end that was cut off", () =>
      Effect.gen(function*() {
        const chain = yield* AuditChain
        const sql = yield* SqlClient
        const kept = yield* chain.head
        const of = (sequence: number) =>
          Effect.map(chain.links(sequence - 1, 1), ([link]) => link!.record!)
        /** Does something to the tables, looks, and undoes it. */
        const tampered = (doIt: string, undo: string) =>
          Effect.zipRight(sql.unsafe(doIt), verify()).pipe(Effect.tap(() => sql.unsafe(undo)))
        const { id } = yield* of(5)
        const changes = [["actor", "'else'"], ["action", "'key.create'"], ["after_state", "NULL"]] as const
        for (const [column, value] of changes) {
          const [row] = yield* sql.unsafe<Record<string, string | null>>(
            `SELECT ${column} AS v FROM admin_audit WHERE id = ${id}`
          )
          const before = row!["v"] === null ? "NULL" : `'${row!["v"]}'`
          const { flaws } = yield* tampered(
            `UPDATE admin_audit SET ${column} = ${value} WHERE id = ${id}`,
            `UPDATE admin_audit SET ${column} = ${before} WHERE id = ${id}`
          )
          expect(flaws, column).toEqual(["ActChanged 5"])
        }
        const facts = `change_id = (SELECT change_id FROM admin_audit WHERE id = ${id})`
        expect((yield* tampered(
          `UPDATE admin_audit_facts SET address = '192.0.2.2' WHERE ${facts}`,
          `UPDATE admin_audit_facts SET address = '192.0.2.1' WHERE ${facts}`
        )).flaws).toEqual(["ActChanged 5"])
        const withReason = (yield* Effect.forEach(Array.from({ length: 24 }, (_, k) => k + 1), of))
          .findIndex(({ actor }) => actor.reason === REASON) + 1
        const { id: reasonedId } = yield* of(withReason)
        const reasoned = `change_id = (SELECT change_id FROM admin_audit WHERE id = ${reasonedId})`
        for (const reason of ["'another'", "NULL"]) {
          expect((yield* tampered(
            `UPDATE admin_audit_facts SET reason = ${reason} WHERE ${reasoned}`,
            `UPDATE admin_audit_facts SET reason = '${REASON.replaceAll("'", "''")}' WHERE ${reasoned}`
          )).flaws, reason).toEqual([`ActChanged ${withReason}`])
        }
        const last = (yield* of(24)).id
        expect((yield* tampered(
          `UPDATE admin_audit_chain SET sequence = 30 WHERE sequence = 24`,
          `UPDATE admin_audit_chain SET sequence = 24 WHERE sequence = 30`
        )).flaws).toEqual(["TailMissing 24"])
        expect((yield* tampered(
          `UPDATE admin_audit_chain SET sequence = 99 WHERE sequence = 7`,
          `UPDATE admin_audit_chain SET sequence = 7 WHERE sequence = 99`
        )).flaws).toEqual(["PlaceMissing 7"])
        expect((yield* tampered(
          `UPDATE admin_audit SET id = ${last + 1000} WHERE id = ${id}`,
          `UPDATE admin_audit SET id = ${id} WHERE id = ${last + 1000}`
        )).flaws).toContain("ActMissing 5")
        // That act had become a new one.
        yield* sql.unsafe(`DELETE FROM admin_audit_chain WHERE audit_id = ${last + 1000}`)
        yield* sql.unsafe(`UPDATE admin_audit_head SET sequence = 24, hash = '${kept.hash}', audit_id = ${last}`)
        expect((yield* verify(kept)).flaws).toEqual([])

        // A history that was made anew is sound in itself: only a copy of the last hash shows it.
        yield* sql.unsafe("DELETE FROM admin_audit_chain WHERE sequence >= 24")
        const [before] = yield* chain.links(22, 1)
        yield* sql.unsafe(`UPDATE admin_audit SET actor = 'forger' WHERE id = ${last}`)
        yield* sql.unsafe(`UPDATE admin_audit_head SET sequence = 23, hash = '${before!.hash}', audit_id = 0`)
        yield* seal
        expect((yield* verify()).flaws).toEqual([])
        expect((yield* verify(kept)).flaws).toEqual(["OtherHistory 24"])
      }))

    it.effect("holds for acts that an earlier version sealed, before the migration and beside this one", () =>
      Effect.gen(function*() {
        const chain = yield* AuditChain
        const sql = yield* SqlClient
        /** Seals the newest act as the previous release does: by the columns that it knows. */
        const sealAsBefore = Effect.gen(function*() {
          const { hash: previous, sequence } = yield* chain.head
          const [row] = yield* sql.unsafe<Record<string, unknown>>(
            `SELECT a.id, ${hexOf("a.change_id")} AS change_hex, a.at, a.actor, a.action, a.campaign_id, ` +
              "a.before_state, a.after_state, f.key_id, f.role, f.address, f.request_id, f.outcome FROM admin_audit " +
              "AS a JOIN admin_audit_facts AS f ON f.change_id = a.change_id ORDER BY a.id DESC LIMIT 1"
          )
          const { id, ...columns } = row!
          const texts = Object.values(columns).map((value) => value === null ? null : String(value))
          const hash = createHash("sha256")
            .update(JSON.stringify([1, previous, sequence + 1, Number(id), ...texts])).digest("hex")
          yield* sql.unsafe(
            "INSERT INTO admin_audit_chain (sequence, audit_id, hash, sealed_at) " +
              `VALUES (${sequence + 1}, ${Number(id)}, '${hash}', ${now})`
          )
          yield* sql.unsafe(
            `UPDATE admin_audit_head SET sequence = ${sequence + 1}, hash = '${hash}', audit_id = ${Number(id)}`
          )
        })
        const act = (hex: string) =>
          Effect.zipRight(
            sql.unsafe(
              "INSERT INTO admin_audit (change_id, at, actor, action, campaign_id, before_state, after_state) " +
                `VALUES (${changeId(hex)}, ${now}, '이전', 'key.revoke', 3, '{"a":1}', NULL)`
            ),
            sql.unsafe(
              "INSERT INTO admin_audit_facts (change_id, key_id, role, address, request_id, outcome) " +
                `VALUES (${changeId(hex)}, NULL, 'ADMIN', '192.0.2.9', 'r-1', 'DONE')`
            )
          )
        // The schema of the previous release, and then the migration.
        yield* sql.unsafe("DELETE FROM admin_audit_chain")
        yield* sql.unsafe("DELETE FROM admin_audit_facts")
        yield* sql.unsafe("DELETE FROM admin_audit")
        yield* sql.unsafe(`UPDATE admin_audit_head SET sequence = 0, hash = '${"0".repeat(64)}', audit_id = 0`)
        yield* sql.unsafe("ALTER TABLE admin_audit_facts DROP COLUMN reason")
        for (let k = 0; k < 3; k++) yield* Effect.zipRight(act(`${k}a`.repeat(16)), sealAsBefore)
        const [addColumn] = /ALTER TABLE admin_audit_facts[^;']+/.exec(readFileSync(migration, "utf8"))!
        yield* sql.unsafe(addColumn)
        expect(yield* verify()).toMatchObject({ flaws: [], done: { acts: 3, unsealedReasons: 0 } })
        yield* Effect.zipRight(append(2), seal)
        // An instance of the previous release seals an act of this one.
        yield* append(1)
        yield* sealAsBefore
        yield* Effect.zipRight(append(1), seal)
        const reasons = (yield* chain.links(0, 10)).map(({ record }) => record!.actor.reason)
        expect(reasons.filter((reason) => reason === REASON)).toHaveLength(3)
        expect(yield* verify()).toMatchObject({ flaws: [], done: { acts: 7, unsealedReasons: 1 } })
        // A reason that is put to an old act afterwards shows.
        yield* sql.unsafe(`UPDATE admin_audit_facts SET reason = 'x' WHERE change_id = ${changeId("0a".repeat(16))}`)
        expect(yield* verify()).toMatchObject({ flaws: [], done: { unsealedReasons: 2 } })
      }))

    it.effect("grows by one instance at a time", () =>
      Effect.gen(function*() {
        const chain = yield* AuditChain
        const before = (yield* chain.head).sequence
        for (let k = 0; k < ATTEMPTS; k++) {
          yield* append(3)
          const from = (yield* chain.head).sequence
          const counts = yield* Effect.all(Array.from({ length: 4 }, () => chain.seal(100)), { concurrency: 4 })
          expect((yield* chain.head).sequence).toBe(from + 3)
          expect(counts.filter(({ sealed }) => sealed > 0).length).toBeLessThanOrEqual(4)
        }
        const { done } = yield* verify()
        expect(done).toMatchObject({ acts: before + 3 * ATTEMPTS, flaws: 0, unsealed: 0 })
      }))
  })

exercise(
  "libSQL",
  Layer.merge(LibSqlAuditLog.layer, LibSqlAuditChain.layer).pipe(
    Layer.provideMerge(LibSql.layer),
    Layer.provide(AppConfig.layerTest({ DATA_DIR: directory }))
  ),
  {
    changeId: (hex) => `'${hex}'`,
    hexOf: (column) => column,
    migration: "migrations/libsql/0018_act_reasons.sql",
    now: "1750000000000"
  }
)

for (const kind of availableDatabases()) {
  exercise(
    kind,
    Layer.unwrapScoped(Effect.map(
      Effect.acquireRelease(Effect.promise(() => databaseOn(kind)), (db) => Effect.promise(db.drop)),
      ({ url }) =>
        Layer.merge(MySqlAuditLog.layer, MySqlAuditChain.layer).pipe(
          Layer.provideMerge(MySql.layer),
          Layer.provide(AppConfig.layerTest({ MYSQL_URL: url, REDIS_URL: "redis://127.0.0.1:1" }))
        )
    )),
    {
      changeId: (hex) => `x'${hex}'`,
      hexOf: (column) => `LOWER(HEX(${column}))`,
      migration: "migrations/mysql/0022_act_reasons.sql",
      now: "UTC_TIMESTAMP(6)"
    }
  )
}
