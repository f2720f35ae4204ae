import { it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { randomBytes, randomUUID } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { afterAll, beforeAll, describe, expect } from "vitest"
import { named } from "../../src/domain/Actor.ts"
import * as AppConfig from "../../src/config/AppConfig.ts"
import { LEAST_SECRET_BITS, secretBits } from "../../src/config/Setting.ts"
import { changeBy } from "../../src/domain/ChangeRecord.ts"
import * as CredentialMetrics from "../../src/metrics/CredentialMetrics.ts"
import { AuditLog } from "../../src/ports/AuditLog.ts"
import { ApiKeys, KeysUnavailable } from "../../src/security/ApiKeys.ts"
import { ApiKeyStore, type KeyChange, type NewKey } from "../../src/security/ApiKeyStore.ts"
import { type LimitsChange, unlimited } from "../../src/security/KeyLimits.ts"
import * as KeyRing from "../../src/security/KeyRing.ts"
import * as Posture from "../../src/security/Posture.ts"
import { ProductionNote } from "../../src/security/ProductionNote.ts"
import { hashOf } from "../../src/security/Secret.ts"
import * as TokenBuckets from "../../src/security/TokenBuckets.ts"
import * as LibSql from "../../src/sql/libsql/LibSql.ts"
import * as MySql from "../../src/sql/mysql/connection/MySql.ts"
import * as LibSqlApiKeyStore from "../../src/sql/libsql/admin/LibSqlApiKeyStore.ts"
import * as LibSqlAuditLog from "../../src/sql/libsql/admin/LibSqlAuditLog.ts"
import * as MySqlApiKeyStore from "../../src/sql/mysql/admin/MySqlApiKeyStore.ts"
import * as MySqlAuditLog from "../../src/sql/mysql/admin/MySqlAuditLog.ts"
import { availableDatabases, databaseOn } from "../support/servers.ts"
import { memoryNote, memoryStore } from "./Secured.ts"

/** A client's address, where none matters. */
const anywhere = () => "192.0.2.1"

const directory = mkdtempSync(Path.join(tmpdir(), "coupon-keys-"))
afterAll(() => rmSync(directory, { recursive: true }))

const adapters: Record<string, Layer.Layer<ApiKeyStore | AuditLog, unknown>> = {
  libSQL: Layer.merge(LibSqlApiKeyStore.layer, LibSqlAuditLog.layer).pipe(
    Layer.provide(LibSql.layer),
    Layer.provide(AppConfig.layerTest({ DATA_DIR: directory }))
  ),
  ...Object.fromEntries(availableDatabases().map((kind) => [
    kind,
    Layer.unwrapScoped(Effect.map(
      Effect.acquireRelease(Effect.promise(() => databaseOn(kind)), (db) => Effect.promise(db.drop)),
      ({ url }) =>
        Layer.merge(MySqlApiKeyStore.layer, MySqlAuditLog.layer).pipe(
          Layer.provide(MySql.layer),
          Layer.provide(AppConfig.layerTest({ MYSQL_URL: url, REDIS_URL: "redis://127.0.0.1:1" }))
        )
    ))
  ]))
}

describe.each(Object.entries(adapters))("ApiKeyStore on %s", (_, layer) => {
  let context: Context.Context<ApiKeyStore | AuditLog>
  const scope = Effect.runSync(Scope.make())
  beforeAll(async () => {
    context = await Effect.runPromise(Layer.buildWithScope(layer, scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  it.scopedLive("keeps keys, hashed, and who made and revoked them", () =>
    Effect.gen(function*() {
      const [store, audit] = [Context.get(context, ApiKeyStore), Context.get(context, AuditLog)]
      const keys = Context.get(yield* Layer.build(KeyRing.layer.pipe(Layer.provide([
        Layer.succeed(ApiKeyStore, store),
        Layer.succeed(ProductionNote, memoryNote()),
        AppConfig.layerTest()
      ]))), ApiKeys)
      expect(yield* keys.configured).toBe(false)
      const before = Date.now()
      const first = yield* keys.create({ name: "쿠폰 'ops' \\ \"x\"", role: "OPERATOR" }, named("bootstrap"))
      const second = yield* keys.create(
        { name: "shop", role: "ISSUER", requestsPerSecond: 1_000_000 },
        named("anonymous")
      )
      expect(yield* keys.configured).toBe(true)
      expect(first.secret).toMatch(new RegExp(`^cpn_${first.id}_[A-Za-z0-9_-]{43}$`))
      const rows = (yield* store.all).keys
      expect(rows.map(({ id, name, requestsPerSecond, role }) => ({ id, name, requestsPerSecond, role }))).toEqual([
        { id: first.id, name: "쿠폰 'ops' \\ \"x\"", role: "OPERATOR", requestsPerSecond: undefined },
        { id: second.id, name: "shop", role: "ISSUER", requestsPerSecond: 1_000_000 }
      ])
      expect(Math.abs(rows[0]!.createdAt - before)).toBeLessThan(60_000)
      // Neither secret nor anything of it but a hash.
      const secretPart = first.secret.split("_").slice(2).join("_")
      expect(JSON.stringify(rows)).not.toContain(secretPart)
      expect(Object.keys((yield* keys.list)[0]!)).not.toContain("secretHash")

      expect(yield* keys.revoke("0000000000000000", named("test"))).toBe(false)
      expect(yield* keys.revoke(first.id, named("the ADMIN"))).toBe(true)
      const revokedAt = (yield* store.all).keys[0]!.revokedAt
      expect(yield* keys.revoke(first.id, named("test"))).toBe(true)
      expect((yield* store.all).keys[0]!.revokedAt).toBe(revokedAt)
      expect(yield* keys.authenticate(first.secret, anywhere)).toBe("revoked")
      expect(yield* keys.authenticate(second.secret, anywhere)).toEqual({
        name: "shop",
        role: "ISSUER",
        keyId: second.id,
        requestsPerSecond: 1_000_000
      })
      expect(yield* keys.configured).toBe(true)

      const acts = yield* audit.list({ beforeId: undefined, limit: 10, campaignId: undefined })
      expect(acts.map(({ action, actor }) => [action, actor.name])).toEqual([
        ["key.revoke", "the ADMIN"],
        ["key.create", "anonymous"],
        ["key.create", "bootstrap"]
      ])
      expect(JSON.stringify(acts)).not.toContain(rows[0]!.secretHash)
    }))

  it.scopedLive("records what was done, once, and nothing that was not", () =>
    Effect.gen(function*() {
      const [store, audit] = [Context.get(context, ApiKeyStore), Context.get(context, AuditLog)]
      const [newest] = yield* audit.list({ beforeId: undefined, limit: 1, campaignId: undefined })
      const since = Effect.map(audit.list({ beforeId: undefined, limit: 10, campaignId: undefined }), (acts) =>
        acts.filter(({ id }) =>
          id > (newest?.id ?? 0)
        ).map(({ action, after, before }) => ({ action, after, before })))
      const key = {
        id: "fedcba9876543210",
        name: "twice",
        role: "VIEWER",
        requestsPerSecond: 7,
        limits: unlimited,
        secretHash: "0".repeat(64)
      } as const
      const { limits: _, secretHash: __, ...shown } = key
      const revoke = Effect.suspend(() => store.revoke(key.id, by()))
      expect(yield* store.insert(key, changeBy(named("test")))).toBe(true)
      // The name is taken; and of another name, the id.
      expect(yield* store.insert(key, changeBy(named("test")))).toBe(false)
      const sameId = store.insert({ ...key, name: "thrice" }, changeBy(named("test")))
      expect((yield* Effect.flip(sameId))._tag).toBe("KeysUnavailable")
      expect(yield* since).toEqual([{ action: "key.create", before: undefined, after: shown }])
      expect(yield* Effect.all([revoke, revoke], { concurrency: 2 })).toEqual([true, true])
      expect((yield* since)[0]).toEqual({ action: "key.revoke", before: shown, after: undefined })
      expect(yield* since).toHaveLength(2)
    }))

  it.scopedLive("gives a name to one valid key alone, however many ask at the same time", () =>
    Effect.gen(function*() {
      const [store, audit] = [Context.get(context, ApiKeyStore), Context.get(context, AuditLog)]
      const race = (name: string) =>
        Effect.all(Array.from({ length: 8 }, () => Effect.suspend(() => store.insert(newKey({ name }), by()))), {
          concurrency: "unbounded"
        })
      const won = (outcomes: ReadonlyArray<boolean>) => outcomes.filter((one) => one).length
      expect(won(yield* race("one name"))).toBe(1)
      // A name is compared letter for letter.
      expect(yield* store.insert(newKey({ name: "One name" }), by())).toBe(true)
      const named_ = Effect.map(store.all, ({ keys }) => keys.filter(({ name }) => name === "one name"))
      const [first] = yield* named_
      yield* store.revoke(first!.id, by())
      expect(won(yield* race("one name"))).toBe(1)
      // An expired key has given up its name.
      const soon = (yield* store.all).now + 1_000
      yield* store.limit((yield* named_).at(-1)!, { ...unlimited, expiresAt: soon }, by())
      expect(won(yield* race("one name"))).toBe(0)
      yield* Effect.repeat(store.all, { until: ({ now }) => now > soon, schedule: Schedule.spaced("20 millis") })
      expect(won(yield* race("one name"))).toBe(1)
      const acts = yield* audit.list({ beforeId: undefined, limit: 100, campaignId: undefined })
      const created = acts.filter(({ action, after }) =>
        action === "key.create" && (after as { readonly name: string }).name === "one name")
      expect(created).toHaveLength(3)
    }))

  it.scopedLive("keeps limits, each change of them, and what replaced a key", () =>
    Effect.gen(function*() {
      const [store, audit] = [Context.get(context, ApiKeyStore), Context.get(context, AuditLog)]
      const { now } = yield* store.all
      const limits = {
        expiresAt: now + 86_400_000,
        networks: ["10.0.0.0/8", "2001:db8::/32"],
        campaigns: [1, 2_147_483_647]
      }
      const key = newKey({ name: "limited", limits })
      expect(yield* store.insert(key, by())).toBe(true)
      const stored = (id: string) => Effect.map(store.all, ({ keys }) => keys.find((one) => one.id === id)!)
      const first = yield* stored(key.id)
      expect(first).toMatchObject({ limits, limitsVersion: 1, replaced: undefined, lastUsedOn: undefined })

      const wider = { ...unlimited, campaigns: [1] }
      expect(yield* store.limit(first, wider, by())).toBe(true)
      // By what was read before the change, nothing is done, and nothing recorded.
      expect(yield* store.limit(first, unlimited, by())).toBe(false)
      const successor = newKey({ name: "limited", limits: wider })
      expect(yield* store.rotate(first, { successor, endsAt: now + 1_000 }, by())).toBe(false)
      const second = yield* stored(key.id)
      expect(second).toMatchObject({ limits: wider, limitsVersion: 2 })

      const rotations = yield* Effect.all(
        [1, 2].map((k) =>
          store.rotate(second, { successor: newKey({ name: "limited", limits: wider }), endsAt: now + k }, by())),
        { concurrency: 2 }
      )
      expect(rotations.toSorted()).toEqual([false, true])
      const replaced = yield* stored(key.id)
      const next = yield* stored(replaced.replaced!.by)
      expect(next).toMatchObject({ name: "limited", limits: wider, limitsVersion: 1, replaced: undefined })
      expect(yield* store.limit(replaced, unlimited, by())).toBe(false)
      expect(yield* store.revoke(next.id, by())).toBe(true)
      expect(yield* store.limit(next, unlimited, by())).toBe(false)

      const acts = yield* audit.list({ beforeId: undefined, limit: 4, campaignId: undefined })
      const of = (state: unknown) => state as { readonly [field: string]: unknown }
      expect(acts.map(({ action, after, before }) => [action, of(before)?.["id"], of(after)?.["id"]])).toEqual([
        ["key.revoke", next.id, undefined],
        ["key.rotate", key.id, next.id],
        ["key.limit", key.id, key.id],
        ["key.create", undefined, key.id]
      ])
      expect(of(acts[2]!.before)).toMatchObject({ networks: limits.networks, campaigns: limits.campaigns })
      expect(of(acts[2]!.after)).toEqual({ id: key.id, name: "limited", campaigns: [1] })
      expect(of(acts[1]!.after)).toHaveProperty("formerEndsAt")
      expect(JSON.stringify(acts)).not.toContain(successor.secretHash)
    }))

  it.scopedLive("keeps one ADMIN key, however many end at the same time", () =>
    Effect.gen(function*() {
      const [store, audit] = [Context.get(context, ApiKeyStore), Context.get(context, AuditLog)]
      const keeping = () => ({ ...by(), keepsAdmin: true })
      const admin = (name: string, limits = unlimited) => {
        const key = newKey({ name, role: "ADMIN", limits })
        return Effect.as(store.insert(key, by()), key.id)
      }
      const stored = (id: string) => Effect.map(store.all, ({ keys }) => keys.find((one) => one.id === id)!)
      const refusal = <A, E>(write: Effect.Effect<A, E>) => Effect.map(Effect.either(write), (either) => either._tag)
      const recorded = Effect.map(audit.list({ beforeId: undefined, limit: 1_000, campaignId: undefined }), (acts) =>
        acts.length)
      for (const key of (yield* store.all).keys) yield* store.revoke(key.id, by())

      // Two revocations of the last two, and then one more.
      for (let k = 0; k < 4; k++) {
        const ids = yield* Effect.all([admin(`last a${k}`), admin(`last b${k}`)])
        const outcomes = yield* Effect.all(
          ids.map((id) => refusal(Effect.suspend(() => store.revoke(id, keeping())))),
          { concurrency: 2 }
        )
        expect(outcomes.toSorted(), `round ${k}`).toEqual(["Left", "Right"])
        const left = ids[outcomes.indexOf("Left")]!
        expect((yield* stored(left)).revokedAt).toBeUndefined()
        const before = yield* recorded
        expect(yield* Effect.flip(store.revoke(left, keeping()))).toMatchObject({ _tag: "LastAdminKey" })
        expect(yield* recorded).toBe(before)
        yield* store.revoke(left, by())
      }

      // By limits, and by a successor that ends earlier.
      const { now } = yield* store.all
      const [soon, later] = [now + 60_000, now + 3_600_000]
      const only = yield* stored(yield* admin("only"))
      const ending = (expiresAt: number) => ({ ...unlimited, expiresAt })
      const rotation = (expiresAt: number | undefined) => ({
        successor: newKey({ name: "next", role: "ADMIN", limits: { ...unlimited, expiresAt } }),
        endsAt: soon
      })
      expect(yield* Effect.flip(store.limit(only, ending(later), keeping()))).toMatchObject({ _tag: "LastAdminKey" })
      expect(yield* Effect.flip(store.rotate(only, rotation(later), keeping()))).toMatchObject({ _tag: "LastAdminKey" })
      // Another one that ends before is none.
      yield* admin("short", ending(soon))
      expect(yield* Effect.flip(store.limit(only, ending(later), keeping()))).toMatchObject({ _tag: "LastAdminKey" })
      // Other limits, and ends that come no earlier, are free.
      expect(yield* store.limit(only, { ...unlimited, networks: ["10.0.0.0/8"] }, keeping())).toBe(true)
      const limited = yield* stored(only.id)
      expect(yield* store.rotate(limited, rotation(undefined), keeping())).toBe(true)
      // What is replaced ends by itself, so it does not count, nor does the one that ends within a minute for long.
      const next = (yield* store.all).keys.find(({ name }) => name === "next")!
      expect(yield* Effect.flip(store.limit(next, ending(later), keeping()))).toMatchObject({ _tag: "LastAdminKey" })
      expect(yield* store.revoke(only.id, keeping())).toBe(true)
      // Keys of other roles are free.
      const viewer = newKey({ name: "viewer of last" })
      yield* store.insert(viewer, by())
      expect(yield* store.revoke(viewer.id, keeping())).toBe(true)
      // With another one that lives as long, it may end.
      yield* admin("second")
      expect(yield* store.limit(next, ending(later), keeping())).toBe(true)
      expect(yield* store.revoke(next.id, keeping())).toBe(true)
    }))

  it.scopedLive("knows the last day on which a key was used", () =>
    Effect.gen(function*() {
      const store = Context.get(context, ApiKeyStore)
      const keys = [newKey({ name: "used a" }), newKey({ name: "used b" })]
      for (const key of keys) yield* store.insert(key, changeBy(named("test")))
      const ids = keys.map(({ id }) => id)
      yield* Effect.all(Array.from({ length: 4 }, () => store.noteUse(ids)), { concurrency: 4 })
      yield* store.noteUse([])
      const { keys: stored, now } = yield* store.all
      const day = new Date(now).toISOString().slice(0, 10)
      expect(stored.filter(({ id }) => ids.includes(id)).map(({ lastUsedOn }) => lastUsedOn)).toEqual([day, day])
    }))
})

let keysMade = 0

/** As of an instance that has an ADMIN_API_KEY. */
const by = (): KeyChange => ({ ...changeBy(named("test")), keepsAdmin: false })

const newKey = (key: Partial<NewKey> & { readonly name: string }): NewKey => ({
  id: (++keysMade).toString(16).padStart(16, "a"),
  role: "VIEWER",
  requestsPerSecond: undefined,
  limits: unlimited,
  secretHash: "b".repeat(64),
  ...key
})

/** Two instances over one store that can be away. */
const scene = Effect.gen(function*() {
  const memory = memoryStore()
  let away = false
  const store = ApiKeyStore.of({
    ...memory.store,
    all: Effect.suspend(() =>
      away
        ? Effect.zipRight(Effect.sync(() => memory.reads++), Effect.fail(new KeysUnavailable({ cause: "away" })))
        : memory.store.all
    )
  })
  const note = memoryNote()
  const instance = Effect.map(
    Layer.build(KeyRing.layer.pipe(
      Layer.provide([Layer.succeed(ApiKeyStore, store), Layer.succeed(ProductionNote, note), AppConfig.layerTest()])
    )),
    (context) => Context.get(context, ApiKeys)
  )
  return {
    here: yield* instance,
    there: yield* instance,
    memory,
    note,
    leave: () => (away = true),
    comeBack: () => (away = false)
  }
})

describe("keys held in the process", () => {
  it.scoped("the last ADMIN key stays, unless ADMIN_API_KEY is another way in", () =>
    Effect.gen(function*() {
      for (const ADMIN_API_KEY of ["", "a-key-of-the-settings-0123456789"]) {
        const { store } = memoryStore()
        const keys = Context.get(yield* Layer.build(KeyRing.layer.pipe(Layer.provide([
          Layer.succeed(ApiKeyStore, store),
          Layer.succeed(ProductionNote, memoryNote()),
          AppConfig.layerTest(ADMIN_API_KEY === "" ? {} : { ADMIN_API_KEY })
        ]))), ApiKeys)
        const { id } = yield* keys.create({ name: "last", role: "ADMIN" }, named("test"))
        const { now } = yield* store.all
        const ends = yield* Effect.all([
          keys.limit(id, { expiresAt: now + 60_000 }, named("test")),
          keys.revoke(id, named("test"))
        ].map(Effect.exit))
        expect(ends.map(({ _tag }) => _tag)).toEqual(
          ADMIN_API_KEY === "" ? ["Failure", "Failure"] : ["Success", "Success"]
        )
      }
    }))

  it.scoped("a key made elsewhere is known within a second, one revoked elsewhere is gone within ten", () =>
    Effect.gen(function*() {
      const { here, there } = yield* scene
      expect(yield* there.authenticate("cpn_0123456789abcdef_" + "A".repeat(43), anywhere)).toBe("unknown")
      const { id, secret } = yield* here.create({ name: "k", role: "VIEWER" }, named("test"))
      yield* TestClock.adjust("1001 millis")
      expect(yield* there.authenticate(secret, anywhere)).toMatchObject({ name: "k" })
      yield* here.revoke(id, named("test"))
      yield* TestClock.adjust("10001 millis")
      expect(yield* there.authenticate(secret, anywhere)).toBe("revoked")
    }))

  it.scoped("that holds while the store is away, too: what is older than ten seconds is not believed", () =>
    Effect.gen(function*() {
      const { here, leave, there } = yield* scene
      const { secret } = yield* here.create({ name: "k", role: "VIEWER" }, named("test"))
      expect(yield* there.authenticate(secret, anywhere)).toMatchObject({ name: "k" })
      leave()
      yield* TestClock.adjust("9 seconds")
      expect(yield* there.authenticate(secret, anywhere)).toMatchObject({ name: "k" })
      yield* TestClock.adjust("2 seconds")
      expect((yield* Effect.flip(there.authenticate(secret, anywhere)))._tag).toBe("KeysUnavailable")
      // What has closed stays closed without asking; what was never read is not known.
      expect(yield* there.configured).toBe(true)
    }))

  it.scoped("whatever closes administration elsewhere is known within a second, and nothing opens it again", () =>
    Effect.gen(function*() {
      for (const close of ["a key", "production"] as const) {
        const { comeBack, here, leave, note, there } = yield* scene
        leave()
        expect((yield* Effect.flip(there.configured))._tag).toBe("KeysUnavailable")
        comeBack()
        yield* TestClock.adjust("1001 millis")
        expect(yield* there.configured, close).toBe(false)
        if (close === "production") yield* note.leave
        else yield* here.revoke((yield* here.create({ name: "k", role: "VIEWER" }, named("test"))).id, named("test"))
        yield* TestClock.adjust("1001 millis")
        expect(yield* there.configured, close).toBe(true)
        leave()
        yield* TestClock.adjust("1 minute")
        expect(yield* there.configured, close).toBe(true)
      }
    }))

  it.scoped("guessing is no lever: a thousand unknown keys ask the store once a second, also while it is away", () =>
    Effect.gen(function*() {
      const { comeBack, here, leave, memory } = yield* scene
      const guess = (k: number) =>
        Effect.either(here.authenticate(`cpn_${k.toString(16).padStart(16, "0")}_${"A".repeat(43)}`, anywhere))
      yield* Effect.forEach(Array.from({ length: 1_000 }, (_, k) => k), guess, { concurrency: "unbounded" })
      expect(memory.reads).toBe(1)
      leave()
      yield* TestClock.adjust("11 seconds")
      const before = memory.reads
      yield* Effect.forEach(Array.from({ length: 1_000 }, (_, k) => k), guess, { concurrency: "unbounded" })
      expect(memory.reads - before).toBe(1)
      comeBack()
    }))

  it.scoped("an expired key is refused at that moment, also while the store is away, and whatever clock is wrong", () =>
    Effect.gen(function*() {
      const { here, leave, memory, there } = yield* scene
      // The store's clock decides.
      memory.ahead = 3_600_000
      const expiresAt = Date.now() + memory.ahead + 8_000
      const { secret } = yield* here.create({ name: "k", role: "VIEWER", limits: { expiresAt } }, named("test"))
      for (const at of [here, there]) expect(yield* at.authenticate(secret, anywhere)).toMatchObject({ name: "k" })
      leave()
      yield* TestClock.adjust("7 seconds")
      for (const at of [here, there]) expect(yield* at.authenticate(secret, anywhere)).toMatchObject({ name: "k" })
      yield* TestClock.adjust("1001 millis")
      for (const at of [here, there]) expect(yield* at.authenticate(secret, anywhere)).toBe("expired")
    }))

  it.scoped("a replaced key ends after the overlap, or when it would have expired", () =>
    Effect.gen(function*() {
      const { here, memory, there } = yield* scene
      const day = 86_400_000
      const former = yield* here.create(
        {
          name: "k",
          role: "ISSUER",
          requestsPerSecond: 9,
          limits: { campaigns: [7], expiresAt: Date.now() + 30 * day }
        },
        named("test")
      )
      const next = yield* here.rotate(former.id, { overlap: Duration.hours(24) }, named("test"))
      const [, row] = [...memory.rows.values()]
      expect(row).toMatchObject({ name: "k", role: "ISSUER", requestsPerSecond: 9, limits: { campaigns: [7] } })
      // It lives as long as the former one was to.
      expect(Math.abs(next.expiresAt! - Date.now() - 30 * day)).toBeLessThan(60_000)
      expect(yield* there.authenticate(former.secret, anywhere)).toMatchObject({ keyId: former.id })
      expect(yield* there.authenticate(next.secret, anywhere)).toMatchObject({ keyId: next.id })
      expect((yield* Effect.flip(here.rotate(former.id, { overlap: Duration.zero }, named("test"))))._tag)
        .toBe("KeyConflict")
      memory.ahead = day
      yield* TestClock.adjust("24 hours")
      expect(yield* there.authenticate(former.secret, anywhere)).toBe("expired")
      expect(yield* there.authenticate(next.secret, anywhere)).toMatchObject({ keyId: next.id })

      const short = yield* here.create(
        { name: "short", role: "VIEWER", limits: { expiresAt: Date.now() + day + 5_000 } },
        named("test")
      )
      const { expiresAt, formerEndsAt } = yield* here.rotate(
        short.id,
        { overlap: Duration.hours(1), expiresAt: null },
        named("test")
      )
      expect(formerEndsAt - Date.now() - day).toBeLessThanOrEqual(5_000)
      expect(expiresAt).toBeUndefined()
      const tooLong = here.rotate(next.id, { overlap: Duration.days(31) }, named("test"))
      expect((yield* Effect.flip(tooLong))._tag).toBe("KeyRejected")
      expect((yield* Effect.flip(here.rotate("0".repeat(16), { overlap: Duration.zero }, named("test"))))._tag)
        .toBe("KeyNotFound")
    }))

  it.scoped("a key is refused from elsewhere than its networks, in whichever form the address comes", () =>
    Effect.gen(function*() {
      const { here, there } = yield* scene
      const networks = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]
      const { secret } = yield* here.create({ name: "k", role: "VIEWER", limits: { networks } }, named("test"))
      const from = (address: string) => there.authenticate(secret, () => address)
      for (const address of ["10.1.2.3", "::ffff:10.1.2.3", "::ffff:a01:203", "192.0.2.7", "2001:db8:1::9"]) {
        expect(yield* from(address), address).toMatchObject({ name: "k" })
      }
      const others = [
        "11.0.0.1", "192.0.2.8", "::ffff:11.0.0.1", "2001:db9::1", "::10.1.2.3", "64:ff9b::a01:203", "::1", "", "unix",
        "10.1.2.3, 1.1.1.1", "fe80::1%eth0"
      ]
      for (const address of others) expect(yield* from(address), address).toBe("network")
      // A wrong secret learns nothing of the key.
      expect(yield* there.authenticate(`${secret.slice(0, -3)}abc`, () => "10.1.2.3")).toBe("unknown")
    }))

  it.scoped("a key without the row of its limits, or with one that cannot be read, opens nothing", () =>
    Effect.gen(function*() {
      const { here, memory } = yield* scene
      const limits = { networks: ["10.0.0.0/8"] }
      const { id, secret } = yield* here.create({ name: "k", role: "VIEWER", limits }, named("test"))
      const row = memory.rows.get(id)!
      memory.rows.set(id, { ...row, limits: unlimited, limitsVersion: 0 })
      yield* TestClock.adjust("11 seconds")
      expect(yield* here.authenticate(secret, () => "10.1.2.3")).toBe("unknown")
      // What an earlier version, which knows no limits, compares.
      expect(row.secretHash).not.toBe(hashOf(secret).toString("hex"))
      memory.rows.set(id, { ...row, limits: { ...row.limits, networks: ["everywhere"] } })
      yield* TestClock.adjust("11 seconds")
      expect(yield* here.authenticate(secret, () => "10.1.2.3")).toBe("network")
    }))

  it.scoped("limits change at once here, within ten seconds elsewhere, and not those of a key that is over", () =>
    Effect.gen(function*() {
      const { here, there } = yield* scene
      const { id, secret } = yield* here.create({ name: "k", role: "VIEWER" }, named("test"))
      expect(yield* there.authenticate(secret, anywhere)).toMatchObject({ name: "k" })
      yield* here.limit(id, { networks: ["10.0.0.0/8"] }, named("test"))
      expect(yield* here.authenticate(secret, anywhere)).toBe("network")
      yield* TestClock.adjust("10001 millis")
      expect(yield* there.authenticate(secret, anywhere)).toBe("network")
      // What is not given stays; null takes a limit away.
      yield* here.limit(id, { campaigns: [3] }, named("test"))
      expect(yield* here.authenticate(secret, anywhere)).toBe("network")
      yield* here.limit(id, { networks: null }, named("test"))
      expect(yield* here.authenticate(secret, anywhere)).toMatchObject({ campaigns: new Set([3]), limitsVersion: 3 })
      yield* here.revoke(id, named("test"))
      expect((yield* Effect.flip(here.limit(id, { campaigns: null }, named("test"))))._tag).toBe("KeyConflict")
      expect((yield* Effect.flip(here.limit("0".repeat(16), {}, named("test"))))._tag).toBe("KeyNotFound")
    }))

  it.scoped("a second valid key of a name, and limits that are none, are refused", () =>
    Effect.gen(function*() {
      const { here } = yield* scene
      yield* here.create({ name: "shop", role: "ISSUER" }, named("test"))
      const same = here.create({ name: "shop", role: "VIEWER" }, named("test"))
      expect((yield* Effect.flip(same))._tag).toBe("KeyConflict")
      const day = 86_400_000
      const wrong: ReadonlyArray<LimitsChange> = [
        { expiresAt: Date.now() - 1 },
        { expiresAt: Date.now() + 4_000 * day },
        { expiresAt: Number.NaN },
        { networks: [] },
        { networks: ["10.0.0.0/33"] },
        { networks: ["example.com"] },
        { networks: Array.from({ length: 33 }, (_, k) => `10.0.0.${k}`) },
        { campaigns: [] },
        { campaigns: [0] },
        { campaigns: [1.5] },
        { campaigns: Array.from({ length: 101 }, (_, k) => k + 1) }
      ]
      for (const limits of wrong) {
        const rejected = yield* Effect.flip(here.create({ name: "k", role: "VIEWER", limits }, named("test")))
        expect(rejected._tag, JSON.stringify(limits)).toBe("KeyRejected")
      }
      const admin = here.create({ name: "k", role: "ADMIN", limits: { campaigns: [1] } }, named("test"))
      expect((yield* Effect.flip(admin))._tag).toBe("KeyRejected")
    }))

  it.scoped("use is recorded once a day and key, by no call, and again after a failure", () =>
    Effect.gen(function*() {
      const { here, memory } = yield* scene
      const keys = [
        yield* here.create({ name: "a", role: "VIEWER" }, named("test")),
        yield* here.create(
          { name: "b", role: "VIEWER", limits: { expiresAt: Date.now() + 86_400_000 } },
          named("test")
        ),
        yield* here.create({ name: "c", role: "VIEWER", limits: { networks: ["10.0.0.0/8"] } }, named("test"))
      ]
      const useAll = Effect.forEach([...keys, ...keys], ({ secret }) => here.authenticate(secret, anywhere))
      yield* useAll
      expect(memory.uses).toEqual([])
      yield* here.upkeep
      yield* useAll
      yield* here.upkeep
      const ids = keys.slice(0, 2).map(({ id }) => id).toSorted()
      expect(memory.uses).toEqual([ids])
      expect(CredentialMetrics.expiring.value()).toBe(1)
      memory.ahead = 86_400_000
      yield* useAll
      yield* here.upkeep
      expect(memory.uses).toEqual([ids, ids])
      expect(CredentialMetrics.expiring.value()).toBe(0)
    }))

  it.scoped("a name that the audit log uses for others, or a rate that is none, is refused", () =>
    Effect.gen(function*() {
      const { here } = yield* scene
      for (
        const name of [
          "",
          " x",
          "x\n",
          "bootstrap",
          "Anonymous",
          "user 7",
          "x".repeat(101),
          "\u3164",
          "\u2800",
          "\u202ex",
          // They look like names of others, to a reader of the log.
          "B00TSTRAP",
          "\u0412ootstrap",
          "b\u043e\u043etstr\u0430p",
          "boot\u200bstrap",
          "boot-strap",
          "\uff42\uff4f\uff4f\uff54\uff53\uff54\uff52\uff41\uff50",
          "an\u03bfnym\u03bfus",
          "unauthentlcated",
          "us\u0435r 7",
          // In capitals of Greek, in Lisu, Cherokee and Coptic.
          "\u0392\u039f\u039f\u03a4\u0405\u03a4R\u0391\u03a1",
          "\ua4d0\ua4f3\ua4f3\ua4d4\ua4e2\ua4d4\ua4e3\ua4ee\ua4d1",
          "\u13f4ootst\u13a1ap",
          "an\u2c9fnym\u2c9eus",
          "AN\u039fNY\u039cOUS",
          "user\u00a017"
        ]
      ) {
        const rejected = yield* Effect.flip(here.create({ name, role: "VIEWER" }, named("test")))
        expect(rejected._tag, name).toBe("KeyRejected")
      }
      for (const name of ["boot", "strap", "user", "users", "user service", "useful 7", "쿠폰", "Ανώνυμος", "deploy 7"]) {
        expect(yield* Effect.either(here.create({ name, role: "VIEWER" }, named("test"))), name)
          .toMatchObject({ _tag: "Right" })
      }
      for (const requestsPerSecond of [0, -1, 1.5, Number.NaN, 1_000_001]) {
        expect((yield* Effect.flip(here.create({ name: "k", role: "VIEWER", requestsPerSecond }, named("test"))))._tag)
          .toBe("KeyRejected")
      }
    }))
})

describe("the posture at start", () => {
  const check = (
    environment: Record<string, string>,
    keys: ReadonlyArray<"ADMIN" | "OPERATOR">,
    note: ProductionNote["Type"] = memoryNote()
  ) =>
    Effect.gen(function*() {
      const context = yield* Layer.build(KeyRing.layer.pipe(
        Layer.provideMerge(AppConfig.layerTest(environment)),
        Layer.provideMerge(Layer.succeed(ProductionNote, note)),
        Layer.provide(Layer.succeed(ApiKeyStore, memoryStore().store))
      ))
      for (const role of keys) yield* Context.get(context, ApiKeys).create({ name: role, role }, named("test"))
      return yield* Effect.provide(Effect.either(Posture.check), context)
    })

  it.scoped("production needs an ADMIN key, from a setting or made before", () =>
    Effect.gen(function*() {
      const production = { NODE_ENV: "production", PUBLIC_ACCESS: "open" }
      expect(yield* check(production, [])).toMatchObject({
        _tag: "Left",
        left: { message: expect.stringContaining("openssl rand -base64 32") }
      })
      expect(yield* check(production, ["OPERATOR"])).toMatchObject({ _tag: "Left" })
      expect(yield* check(production, ["ADMIN"])).toMatchObject({ _tag: "Right" })
      expect(yield* check({ ...production, ADMIN_API_KEY: randomBytes(32).toString("base64") }, [])).toMatchObject({
        _tag: "Right"
      })
      expect(yield* check({}, [])).toMatchObject({ _tag: "Right" })
    }))

  it.scoped("an instance whose ADMIN keys have all expired starts and serves users, and says so", () =>
    Effect.gen(function*() {
      const memory = memoryStore()
      const lines: Array<string> = []
      const write = Logger.make(({ message }) => void lines.push(String(message)))
      const logger = Logger.replace(Logger.defaultLogger, write)
      const started = Effect.gen(function*() {
        const context = yield* Layer.build(KeyRing.layer.pipe(
          Layer.provideMerge(AppConfig.layerTest({ NODE_ENV: "production", PUBLIC_ACCESS: "open" })),
          Layer.provideMerge(Layer.succeed(ProductionNote, memoryNote())),
          Layer.provide(Layer.succeed(ApiKeyStore, memory.store))
        ))
        return yield* Effect.provide(Effect.either(Posture.check), context)
      }).pipe(Effect.provide(logger))
      yield* memory.store.insert(newKey({ name: "admin", role: "ADMIN" }), changeBy(named("test")))
      expect(yield* started).toMatchObject({ _tag: "Right" })
      expect(lines).toEqual([])
      for (const [id, key] of memory.rows) memory.rows.set(id, { ...key, limits: { ...unlimited, expiresAt: -1 } })
      expect(yield* started).toMatchObject({ _tag: "Right" })
      expect(lines).toEqual([expect.stringContaining("every ADMIN key has expired")])
    }))

  it.scoped("notes that the ledger is served in production, and only if it is", () =>
    Effect.gen(function*() {
      const note = memoryNote()
      yield* check({}, [], note)
      yield* check({ NODE_ENV: "test" }, ["ADMIN"], note)
      const production = { NODE_ENV: "production", PUBLIC_ACCESS: "key" }
      yield* check(production, [], note)
      expect(yield* note.found).toBe(false)
      yield* check(production, ["ADMIN"], note)
      expect(yield* note.found).toBe(true)
    }))

  it.effect("NODE_ENV of any other spelling than the three is refused: it would open administration", () =>
    Effect.gen(function*() {
      for (const nodeEnv of ["Production", "prod", "staging", "PRODUCTION", "production ", "live", "dev"]) {
        const { message } = yield* Effect.flip(AppConfig.load({ NODE_ENV: nodeEnv }))
        expect(message).toContain("NODE_ENV: must be development, test or production")
      }
      for (const nodeEnv of ["development", "test", ""]) {
        expect((yield* AppConfig.load({ NODE_ENV: nodeEnv })).production).toBe(false)
      }
      expect((yield* AppConfig.load({ NODE_ENV: "production", PUBLIC_ACCESS: "open" })).production).toBe(true)
    }))

  it.effect("production needs a setting for who may claim, and opens no administration", () =>
    Effect.gen(function*() {
      const undecided = yield* Effect.flip(AppConfig.load({ NODE_ENV: "production" }))
      expect(undecided.message).toContain("PUBLIC_ACCESS: must be set in production")
      for (const meaning of ["`key`: a claim needs an API key", "`open`: all who reach the port may claim"]) {
        expect(undecided.message).toContain(meaning)
      }
      const tokens = { JWT_JWKS_FILE: "keys.json", JWT_ISSUER: "https://login.example", JWT_AUDIENCE: "coupons" }
      for (const decided of [{ PUBLIC_ACCESS: "open" }, { PUBLIC_ACCESS: "key" }, tokens]) {
        const production = { NODE_ENV: "production", ...decided }
        expect((yield* AppConfig.load({ ...production, OPEN_ADMINISTRATION: "loopback" })).mayOpenAdministration)
          .toBe(false)
        expect((yield* Effect.flip(AppConfig.load({ ...production, OPEN_ADMINISTRATION: "yes" }))).message)
          .toContain("OPEN_ADMINISTRATION: must not be `yes` in production")
      }
    }))

  it.effect("a program that serves no caller needs no decision on who may claim", () =>
    Effect.gen(function*() {
      const production = { NODE_ENV: "production", ADMIN_API_KEY: "a".repeat(32) }
      expect((yield* AppConfig.load(production, "works")).production).toBe(true)
      expect((yield* AppConfig.load(production, "works")).mayOpenAdministration).toBe(false)
    }))

  it.effect("production takes no ADMIN_API_KEY that has a pattern", () =>
    Effect.gen(function*() {
      const load = (ADMIN_API_KEY: string, NODE_ENV = "production") =>
        Effect.either(AppConfig.load({ NODE_ENV, PUBLIC_ACCESS: "open", ADMIN_API_KEY }))
      const weak = [
        "a".repeat(64), "ab".repeat(32), "0123456789".repeat(4), "abcdefghijklmnopqrstuvwxyz0123456789",
        "changeme-changeme-changeme-changeme", "passwordpasswordpassword12345678", "12345678901234567890123456789012345"
      ]
      for (const key of weak) {
        const failed = yield* Effect.flip(Effect.flatten(load(key)))
        expect(failed.message).toContain("ADMIN_API_KEY: can be guessed")
        expect(failed.message).not.toContain(key)
        expect(yield* load(key, "development")).toMatchObject({ _tag: "Right" })
      }
      const drawn = () => {
        const bytes = randomBytes(32)
        return [bytes.toString("base64"), bytes.toString("hex"), bytes.toString("base64url"), randomUUID()]
      }
      for (const key of drawn()) expect(yield* load(key), key).toMatchObject({ _tag: "Right" })
      // What that depends on, for many: a whole load takes a hundred times as long.
      for (let k = 0; k < 2_000; k++) {
        for (const key of drawn()) if (secretBits(key) < LEAST_SECRET_BITS) expect.fail(`${key} is refused`)
      }
    }))

  it.effect("a key that can be guessed is refused, and never repeated", () =>
    Effect.gen(function*() {
      const failure = yield* Effect.flip(AppConfig.load({ ADMIN_API_KEY: "hunter2" }))
      expect(failure.message).toContain("ADMIN_API_KEY: must be at least 32 printable ASCII characters")
      expect(failure.message).not.toContain("hunter2")
      expect((yield* Effect.flip(AppConfig.load({ ADMIN_API_KEY_FILE: "/nowhere" }))).message).toContain(
        "ADMIN_API_KEY_FILE: cannot be read"
      )
    }))
})

describe("token buckets", () => {
  it("let through one second's worth at once, then the rate, and say when to come back", () => {
    let time = 0
    const { take } = TokenBuckets.make(() => time)
    const taken = (count: number) =>
      Array.from({ length: count }, () => take("k", 10)).filter((wait) => wait === 0).length
    expect(taken(100)).toBe(10)
    expect(take("k", 10)).toBeCloseTo(0.1)
    time += 500
    expect(taken(100)).toBe(5)
    time += 60_000
    expect(taken(100)).toBe(10)
    expect(take("other", 10)).toBe(0)
  })
})
