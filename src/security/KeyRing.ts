import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { AppConfig } from "../config/AppConfig.ts"
import { changeBy } from "../domain/ChangeRecord.ts"
import { isVisible } from "../domain/DisplayName.ts"
import { ApiKeys, KeyRejected, type KeysUnavailable } from "./ApiKeys.ts"
import type { StoredKey } from "./ApiKeyStore.ts"
import { ApiKeyStore } from "./ApiKeyStore.ts"
import type { Principal } from "../domain/Principal.ts"
import { ProductionNote } from "./ProductionNote.ts"
import * as NameSkeleton from "./NameSkeleton.ts"
import { hashOf, idOf, newSecret, sameHash } from "./Secret.ts"

/** After this long the keys are read again, in the background. */
const REFRESH_MILLIS = 5_000
/** Older keys are not used: a revocation takes effect after this long at every instance, even if the store is away. */
const STALE_MILLIS = 10_000
/** Unknown keys cause one read of the store in this time at most, so that guessing puts no load on the ledger. */
const UNKNOWN_MILLIS = 1_000

/** Not the time of day: setting it back would make revoked keys valid again. */
const monotonicMillis = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos / 1_000_000n))

interface Entry {
  readonly hash: Buffer
  readonly principal: Principal
  readonly isRevoked: boolean
}

/** All keys at one moment. They are few, so each instance holds them all, and a call with a key needs no query. */
interface Snapshot {
  /** Before the store was asked. */
  readonly at: number
  /** Every one that ever was, by id. */
  readonly byId: Map<string, Entry>
  /** Whether administration needs a key: there ever was one, or the ledger was served in production. */
  readonly closed: boolean
}

const NAME = /^[^\p{C}]{1,100}$/u
/** Names that the audit log uses for others, and what looks like them. */
const RESERVED = new Set(["bootstrap", "anonymous", "unauthenticated"].map(NameSkeleton.of))
const USER = new RegExp(`^${NameSkeleton.of("user")}[\\dlos]+$`)

const isReserved = (name: string): boolean => {
  const skeleton = NameSkeleton.of(name)
  return RESERVED.has(skeleton) || (USER.test(skeleton) && /\d/.test(name.normalize("NFKC")))
}

const checkName = (name: string): string | undefined =>
  !NAME.test(name) || name.trim() !== name || !isVisible(name)
    ? "name must have 1 to 100 printable characters, none of them a space at either end"
    : isReserved(name)
    ? `name must not be, or look like, ${name}, which the audit log uses for others`
    : undefined

export const make = Effect.gen(function*() {
  const store = yield* ApiKeyStore
  const production = yield* ProductionNote
  const config = yield* AppConfig
  const scope = yield* Effect.scope
  const bootstrap = Option.map(config.adminApiKey, (key): Entry => ({
    hash: hashOf(Redacted.value(key)),
    principal: { name: "bootstrap", role: "ADMIN" },
    isRevoked: false
  }))
  /** Held to read the keys and to change them, so that a read from before a change never replaces the change. */
  const turn = yield* Effect.makeSemaphore(1)
  let snapshot: Snapshot = { at: -Infinity, byId: new Map(), closed: false }
  let failedAt = -Infinity
  let failure: KeysUnavailable | undefined
  let refreshing = false

  const entryOf = (key: Omit<StoredKey, "createdAt" | "revokedAt">, isRevoked: boolean): Entry => ({
    hash: Buffer.from(key.secretHash, "hex"),
    isRevoked,
    principal: {
      name: key.name,
      role: key.role,
      keyId: key.id,
      ...key.requestsPerSecond === undefined ? {} : { requestsPerSecond: key.requestsPerSecond }
    }
  })

  const load = Effect.gen(function*() {
    const at = yield* monotonicMillis
    const keys = yield* store.all
    // Closed administration never opens again, so there is no need to ask.
    const closed = snapshot.closed || keys.length > 0 || (yield* production.found)
    const entries = keys.map((key) => [key.id, entryOf(key, key.revokedAt !== undefined)] as const)
    snapshot = { at, byId: new Map(entries), closed }
    failure = undefined
  }).pipe(Effect.tapError((error) => Effect.map(monotonicMillis, (now) => {
    failedAt = now
    failure = error
  })))

  /** Calls that wait for their turn mostly use the result of another one: its keys, or its failure. */
  const noOlderThan = (millis: number): Effect.Effect<Snapshot, KeysUnavailable> =>
    turn.withPermits(1)(Effect.gen(function*() {
      const now = yield* monotonicMillis
      if (now - snapshot.at <= millis) return snapshot
      if (failure !== undefined && now - failedAt < UNKNOWN_MILLIS) return yield* failure
      yield* load
      return snapshot
    }))

  const refreshBehind = Effect.suspend(() => {
    if (refreshing) return Effect.void
    refreshing = true
    return Effect.forkIn(Effect.ensuring(Effect.ignore(noOlderThan(REFRESH_MILLIS)), Effect.sync(() => {
      refreshing = false
    })), scope)
  })

  const recent = Effect.flatMap(monotonicMillis, (now) => {
    const age = now - snapshot.at
    if (age <= REFRESH_MILLIS) return Effect.succeed(snapshot)
    return age <= STALE_MILLIS ? Effect.as(refreshBehind, snapshot) : noOlderThan(STALE_MILLIS)
  })

  return ApiKeys.of({
    create: ({ name, requestsPerSecond, role }, actor) =>
      Effect.gen(function*() {
        const wrong = checkName(name)
        if (wrong !== undefined) return yield* new KeyRejected({ message: wrong })
        const rate = requestsPerSecond
        if (rate !== undefined && !(Number.isInteger(rate) && rate >= 1 && rate <= 1_000_000)) {
          return yield* new KeyRejected({ message: "requestsPerSecond must be a whole number from 1 to 1000000" })
        }
        const { id, secret } = newSecret()
        const key = { id, name, role, requestsPerSecond, secretHash: hashOf(secret).toString("hex") }
        yield* turn.withPermits(1)(Effect.zipRight(store.insert(key, changeBy(actor)), Effect.sync(() => {
          snapshot.byId.set(id, entryOf(key, false))
          snapshot = { ...snapshot, closed: true }
        })))
        return { id, secret }
      }),

    list: Effect.map(store.all, (keys) => keys.map(({ secretHash: _, ...key }) => key)),

    revoke: (id, actor) =>
      turn.withPermits(1)(
        Effect.tap(store.revoke(id, changeBy(actor)), () => Effect.sync(() => {
          const entry = snapshot.byId.get(id)
          if (entry !== undefined) snapshot.byId.set(id, { ...entry, isRevoked: true })
        }))
      ),

    authenticate: (secret) =>
      Effect.gen(function*() {
        const hash = hashOf(secret)
        if (Option.isSome(bootstrap) && sameHash(hash, bootstrap.value.hash)) return bootstrap.value.principal
        const id = idOf(secret)
        if (id === undefined) return "unknown"
        // It may have been made at another instance a moment ago.
        const entry = (yield* recent).byId.get(id) ?? (yield* noOlderThan(UNKNOWN_MILLIS)).byId.get(id)
        if (entry === undefined || !sameHash(hash, entry.hash)) return "unknown"
        return entry.isRevoked ? "revoked" : entry.principal
      }),

    // Open administration is checked again: another instance may have closed it.
    configured: Effect.suspend(() =>
      Option.isSome(bootstrap) || snapshot.closed
        ? Effect.succeed(true)
        : Effect.map(noOlderThan(UNKNOWN_MILLIS), ({ closed }) => closed))
  })
})

/** Keys as `ApiKeyStore` has them, held in the process for as long as `ApiKeys` promises. */
export const layer: Layer.Layer<ApiKeys, never, ApiKeyStore | AppConfig | ProductionNote> = Layer.scoped(ApiKeys, make)
