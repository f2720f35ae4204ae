import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { type Actor, named } from "../../src/domain/Actor.ts"
import * as AppConfig from "../../src/config/AppConfig.ts"
import type { UseCases } from "../../src/rpc/Startup.ts"
import { ApiKeys } from "../../src/security/ApiKeys.ts"
import type { StoredKey } from "../../src/security/ApiKeyStore.ts"
import { ApiKeyStore } from "../../src/security/ApiKeyStore.ts"
import { Guard } from "../../src/security/Guard.ts"
import { ProductionNote } from "../../src/security/ProductionNote.ts"
import type { Role } from "../../src/domain/Role.ts"
import { RefusedActs, type RefusedAct } from "../../src/security/RefusedActs.ts"
import * as Security from "../../src/security/Security.ts"
import type { Running } from "../transport/Stub.ts"
import { echo, start } from "../transport/Stub.ts"

export const ADMIN = "bootstrap-key-for-tests-0123456789abcdef"

/** Keys in memory: as good as a table for tests of what is in front of it. */
export const memoryStore = (): {
  readonly store: ApiKeyStore["Type"]
  readonly rows: Map<string, StoredKey>
  reads: number
} => {
  const rows = new Map<string, StoredKey>()
  const memory = {
    rows,
    reads: 0,
    store: ApiKeyStore.of({
      insert: (key) =>
        Effect.sync(() => void rows.set(key.id, { ...key, createdAt: Date.now(), revokedAt: undefined })),
      all: Effect.sync(() => {
        memory.reads++
        return [...rows.values()]
      }),
      revoke: (id) =>
        Effect.sync(() => {
          const row = rows.get(id)
          if (row !== undefined) rows.set(id, { ...row, revokedAt: row.revokedAt ?? Date.now() })
          return row !== undefined
        })
    })
  }
  return memory
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
  /** The secret of a new key. */
  readonly key: (role: Role, requestsPerSecond?: number) => Promise<string>
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
  note: ProductionNote["Type"] = memoryNote()
): Promise<Secured> => {
  const scope = Effect.runSync(Scope.make())
  const refused: Array<RefusedAct> = []
  const context = await Effect.runPromise(Layer.buildWithScope(
    Security.layer.pipe(Layer.provide([
      Layer.succeed(ApiKeyStore, store),
      Layer.succeed(RefusedActs, { note: (act) => void refused.push(act) }),
      Layer.succeed(ProductionNote, note),
      AppConfig.layerTest({ OPEN_ADMINISTRATION: "loopback", ...environment })
    ])),
    scope
  ))
  const apiKeys = Context.get(context, ApiKeys)
  const actors: Array<Actor> = []
  const running = await start({
    // What the guard makes of HOST is tried; the server itself stays on loopback.
    environment: { ...environment, HOST: "127.0.0.1" },
    useCases: () => ({
      ...useCases,
      guard: Context.get(context, Guard),
      apiKeys,
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
    actors,
    refused,
    key: async (role, requestsPerSecond) =>
      (await Effect.runPromise(apiKeys.create({ name: `the ${role}`, role, requestsPerSecond }, named("test")))).secret,
    close: async () => {
      await running.close()
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
  }
}

export const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` })
