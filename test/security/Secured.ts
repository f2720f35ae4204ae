import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { type Actor, named } from "../../src/domain/Actor.ts"
import * as AppConfig from "../../src/config/AppConfig.ts"
import type { Mounts } from "../../src/http/Mounts.ts"
import type { Startup, UseCases } from "../../src/rpc/Startup.ts"
import { ApiKeys, isValid, LastAdminKey } from "../../src/security/ApiKeys.ts"
import type { KeyChange, NewKey, StoredKey } from "../../src/security/ApiKeyStore.ts"
import { ApiKeyStore, needsAnotherAdmin } from "../../src/security/ApiKeyStore.ts"
import { Guard } from "../../src/security/Guard.ts"
import { isLimited, type LimitsChange } from "../../src/security/KeyLimits.ts"
import { ProductionNote } from "../../src/security/ProductionNote.ts"
import type { Role } from "../../src/domain/Role.ts"
import { SessionStore, type StoredSession } from "../../src/security/sessions/SessionStore.ts"
import { Sessions } from "../../src/security/sessions/Sessions.ts"
import { RefusedActs, type RefusedAct } from "../../src/security/RefusedActs.ts"
import * as Security from "../../src/security/Security.ts"
import type { Running } from "../transport/Stub.ts"
import { echo, start } from "../transport/Stub.ts"

export const ADMIN = "bootstrap-key-for-tests-0123456789abcdef"

/** Keys in memory: as good as a table for tests of what is in front of it. */
export interface MemoryStore {
  readonly store: ApiKeyStore["Type"]
  readonly rows: Map<string, StoredKey>
  /** Which keys were noted as used, each time. */
  readonly uses: Array<ReadonlyArray<string>>
  /** Milliseconds by which the store's clock is ahead of the process's. */
  ahead: number
  reads: number
}

export const memoryStore = (): MemoryStore => {
  const rows = new Map<string, StoredKey>()
  const now = () => Date.now() + memory.ahead
  const add = (key: NewKey) =>
    void rows.set(key.id, {
      ...key,
      createdAt: now(),
      revokedAt: undefined,
      replaced: undefined,
      lastUsedOn: undefined,
      limitsVersion: isLimited(key.limits) ? 1 : 0
    })
  const isAsRead = (key: StoredKey) => {
    const row = rows.get(key.id)
    return row?.limitsVersion === key.limitsVersion && row.revokedAt === undefined && row.replaced === undefined
  }
  /** As the stores of the databases decide it. */
  const guarded = (key: StoredKey, until: number, change: KeyChange, work: () => boolean) =>
    Effect.suspend(() => {
      const others = [...rows.values()].filter((one) =>
        one.id !== key.id && one.role === "ADMIN" && one.revokedAt === undefined && one.replaced === undefined &&
        (one.limits.expiresAt ?? Infinity) > until)
      return needsAnotherAdmin(key, until, change) && others.length === 0
        ? Effect.fail(new LastAdminKey())
        : Effect.sync(work)
    })
  const memory: MemoryStore = {
    rows,
    uses: [],
    ahead: 0,
    reads: 0,
    store: ApiKeyStore.of({
      insert: (key) =>
        Effect.sync(() => {
          const taken = [...rows.values()].some((row) =>
            row.name === key.name && row.replaced === undefined && isValid(row, now()))
          if (!taken) add(key)
          return !taken
        }),
      all: Effect.sync(() => {
        memory.reads++
        return { now: now(), keys: [...rows.values()] }
      }),
      revoke: (id, change) =>
        Effect.suspend(() => {
          const row = rows.get(id)
          if (row === undefined || row.revokedAt !== undefined) return Effect.succeed(row !== undefined)
          return guarded(row, now(), change, () => {
            rows.set(id, { ...row, revokedAt: now() })
            return true
          })
        }),
      limit: (key, limits, change) =>
        Effect.suspend(() =>
          isAsRead(key)
            ? guarded(key, limits.expiresAt ?? Infinity, change, () => {
              rows.set(key.id, { ...key, limits, limitsVersion: key.limitsVersion + 1 })
              return true
            })
            : Effect.succeed(false)
        ),
      rotate: (key, { endsAt, successor }, change) =>
        Effect.suspend(() =>
          isAsRead(key)
            ? guarded(key, Math.max(endsAt, successor.limits.expiresAt ?? Infinity), change, () => {
              rows.set(key.id, { ...key, replaced: { by: successor.id, endsAt } })
              add(successor)
              return true
            })
            : Effect.succeed(false)
        ),
      noteUse: (ids) => Effect.sync(() => void memory.uses.push(ids))
    })
  }
  return memory
}

/** Sessions in memory, with the store's clock ahead of the process's by `ahead` milliseconds. */
export const memorySessions = (ahead = 0): SessionStore["Type"] => {
  let rows: ReadonlyArray<StoredSession> = []
  const now = () => Date.now() + ahead
  return SessionStore.of({
    insert: (session, { lifeMillis, most }) =>
      Effect.sync(() => {
        const added = { ...session, createdAt: now(), endsAt: now() + lifeMillis }
        const others = rows.filter(({ keyId }) => keyId !== session.keyId)
        const ofKey = [...rows.filter(({ keyId }) => keyId === session.keyId), added].slice(-most)
        rows = [...others, ...ofKey]
      }),
    all: Effect.sync(() => ({ now: now(), sessions: rows.filter(({ endsAt }) => endsAt > now()) })),
    remove: (id) =>
      Effect.sync(() => {
        const left = rows.filter((row) => row.id !== id)
        const wasThere = left.length < rows.length
        rows = left
        return wasThere
      })
  })
}

/** The note of a ledger in memory. */
export const memoryNote = (): ProductionNote["Type"] => {
  let left = false
  return ProductionNote.of({
    found: Effect.sync(() => left),
    leave: Effect.sync(() => {
      left = true
    })
  })
}

export interface Secured extends Running {
  readonly apiKeys: ApiKeys["Type"]
  readonly guard: Guard["Type"]
  readonly sessions: Sessions["Type"]
  /** The secret of a new key. */
  readonly key: (role: Role, requestsPerSecond?: number, limits?: LimitsChange) => Promise<string>
  /** Who created campaigns. */
  readonly actors: ReadonlyArray<Actor>
  /** Administrative acts that were refused. */
  readonly refused: ReadonlyArray<RefusedAct>
}

/** The real server with the real guard over use cases that echo. */
export const startSecured = async (
  environment: Record<string, string> = {},
  store: ApiKeyStore["Type"] = memoryStore().store,
  useCases: UseCases = echo,
  note: ProductionNote["Type"] = memoryNote(),
  shared: {
    readonly sessions?: SessionStore["Type"]
    readonly mountsOf?: Effect.Effect<Mounts, never, AppConfig.AppConfig | Startup>
  } = {}
): Promise<Secured> => {
  const scope = Effect.runSync(Scope.make())
  const refused: Array<RefusedAct> = []
  const context = await Effect.runPromise(Layer.buildWithScope(
    Security.layer.pipe(Layer.provide([
      Layer.succeed(ApiKeyStore, store),
      Layer.succeed(SessionStore, shared.sessions ?? memorySessions()),
      Layer.succeed(RefusedActs, { note: (act) => void refused.push(act) }),
      Layer.succeed(ProductionNote, note),
      AppConfig.layerTest({ OPEN_ADMINISTRATION: "loopback", ...environment })
    ])),
    scope
  ))
  const apiKeys = Context.get(context, ApiKeys)
  const actors: Array<Actor> = []
  const made = new Map<Role, number>()
  const running = await start({
    // What the guard makes of HOST is tried; the server itself stays on loopback.
    environment: { ...environment, HOST: "127.0.0.1" },
    ...shared.mountsOf === undefined ? {} : { mountsOf: shared.mountsOf },
    useCases: () => ({
      ...useCases,
      guard: Context.get(context, Guard),
      apiKeys,
      sessions: Context.get(context, Sessions),
      campaigns: {
        ...useCases.campaigns,
        create: (draft, actor) =>
          Effect.zipRight(Effect.sync(() => void actors.push(actor)), useCases.campaigns.create(draft, actor))
      }
    })
  })
  return {
    ...running,
    apiKeys,
    guard: Context.get(context, Guard),
    sessions: Context.get(context, Sessions),
    actors,
    refused,
    key: async (role, requestsPerSecond, limits) => {
      // Valid keys do not share a name.
      const nth = (made.get(role) ?? 0) + 1
      made.set(role, nth)
      const name = nth === 1 ? `the ${role}` : `the ${role} ${nth}`
      return (await Effect.runPromise(apiKeys.create({ name, role, requestsPerSecond, limits }, named("test")))).secret
    },
    close: async () => {
      await running.close()
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
  }
}

export const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` })
