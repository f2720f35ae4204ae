import { it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import { randomBytes, randomUUID } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { afterAll, describe, expect } from "vitest"
import { named } from "../../src/domain/Actor.ts"
import * as AppConfig from "../../src/config/AppConfig.ts"
import { changeBy } from "../../src/domain/ChangeRecord.ts"
import { AuditLog } from "../../src/ports/AuditLog.ts"
import { ApiKeys, KeysUnavailable } from "../../src/security/ApiKeys.ts"
import { ApiKeyStore } from "../../src/security/ApiKeyStore.ts"
import * as KeyRing from "../../src/security/KeyRing.ts"
import * as Posture from "../../src/security/Posture.ts"
import { ProductionNote } from "../../src/security/ProductionNote.ts"
import * as TokenBuckets from "../../src/security/TokenBuckets.ts"
import * as LibSql from "../../src/sql/libsql/LibSql.ts"
import * as MySql from "../../src/sql/mysql/connection/MySql.ts"
import * as LibSqlApiKeyStore from "../../src/sql/libsql/admin/LibSqlApiKeyStore.ts"
import * as LibSqlAuditLog from "../../src/sql/libsql/admin/LibSqlAuditLog.ts"
import * as MySqlApiKeyStore from "../../src/sql/mysql/admin/MySqlApiKeyStore.ts"
import * as MySqlAuditLog from "../../src/sql/mysql/admin/MySqlAuditLog.ts"
import { availableDatabases, databaseOn } from "../support/servers.ts"
import { memoryNote, memoryStore } from "./Secured.ts"

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
  it.scopedLive("keeps keys, hashed, and who made and revoked them", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(layer)
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
      const rows = yield* store.all
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
      const revokedAt = (yield* store.all)[0]!.revokedAt
      expect(yield* keys.revoke(first.id, named("test"))).toBe(true)
      expect((yield* store.all)[0]!.revokedAt).toBe(revokedAt)
      expect(yield* keys.authenticate(first.secret)).toBe("revoked")
      expect(yield* keys.authenticate(second.secret)).toEqual({
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
      const context = yield* Layer.build(layer)
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
        secretHash: "0".repeat(64)
      } as const
      const { secretHash: _, ...shown } = key
      const revoke = Effect.suspend(() => store.revoke(key.id, changeBy(named("test"))))
      yield* store.insert(key, changeBy(named("test")))
      expect((yield* Effect.flip(store.insert(key, changeBy(named("test")))))._tag).toBe("KeysUnavailable")
      expect(yield* since).toEqual([{ action: "key.create", before: undefined, after: shown }])
      expect(yield* Effect.all([revoke, revoke], { concurrency: 2 })).toEqual([true, true])
      expect((yield* since)[0]).toEqual({ action: "key.revoke", before: shown, after: undefined })
      expect(yield* since).toHaveLength(2)
    }))
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
  it.scoped("a key made elsewhere is known within a second, one revoked elsewhere is gone within ten", () =>
    Effect.gen(function*() {
      const { here, there } = yield* scene
      expect(yield* there.authenticate("cpn_0123456789abcdef_" + "A".repeat(43))).toBe("unknown")
      const { id, secret } = yield* here.create({ name: "k", role: "VIEWER" }, named("test"))
      yield* TestClock.adjust("1001 millis")
      expect(yield* there.authenticate(secret)).toMatchObject({ name: "k" })
      yield* here.revoke(id, named("test"))
      yield* TestClock.adjust("10001 millis")
      expect(yield* there.authenticate(secret)).toBe("revoked")
    }))

  it.scoped("that holds while the store is away, too: what is older than ten seconds is not believed", () =>
    Effect.gen(function*() {
      const { here, leave, there } = yield* scene
      const { secret } = yield* here.create({ name: "k", role: "VIEWER" }, named("test"))
      expect(yield* there.authenticate(secret)).toMatchObject({ name: "k" })
      leave()
      yield* TestClock.adjust("9 seconds")
      expect(yield* there.authenticate(secret)).toMatchObject({ name: "k" })
      yield* TestClock.adjust("2 seconds")
      expect((yield* Effect.flip(there.authenticate(secret)))._tag).toBe("KeysUnavailable")
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
        else yield* here.revoke((yield* here.create({ name: "k", role: "ADMIN" }, named("test"))).id, named("test"))
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
        Effect.either(here.authenticate(`cpn_${k.toString(16).padStart(16, "0")}_${"A".repeat(43)}`))
      yield* Effect.forEach(Array.from({ length: 1_000 }, (_, k) => k), guess, { concurrency: "unbounded" })
      expect(memory.reads).toBe(1)
      leave()
      yield* TestClock.adjust("11 seconds")
      const before = memory.reads
      yield* Effect.forEach(Array.from({ length: 1_000 }, (_, k) => k), guess, { concurrency: "unbounded" })
      expect(memory.reads - before).toBe(1)
      comeBack()
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
      for (let k = 0; k < 2_000; k++) {
        const bytes = randomBytes(32)
        for (
          const key of [bytes.toString("base64"), bytes.toString("hex"), bytes.toString("base64url"), randomUUID()]
        ) {
          expect(yield* load(key), key).toMatchObject({ _tag: "Right" })
        }
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
