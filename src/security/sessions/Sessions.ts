import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as ClientBudgets from "../../base/ClientBudgets.ts"
import * as Clients from "../../base/Clients.ts"
import * as TokenBucket from "../../base/TokenBucket.ts"
import { AppConfig } from "../../config/AppConfig.ts"
import { type Actor } from "../../domain/Actor.ts"
import { changeBy } from "../../domain/ChangeRecord.ts"
import { RateLimited } from "../../domain/Failure.ts"
import type { Principal } from "../../domain/Principal.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import { KeysUnavailable } from "../ApiKeys.ts"
import { hashOf as secretHashOf } from "../Secret.ts"
import * as TokenBuckets from "../TokenBuckets.ts"
import { BOOTSTRAP, SessionStore, type StoredSession } from "./SessionStore.ts"
import * as SessionToken from "./SessionToken.ts"

/** How long a session lasts, unless it or its key ends before. */
export const LIFE_MILLIS = 12 * 3_600_000

/** Of one key. A further one ends the oldest. */
export const MOST_OF_A_KEY = 128

/** Most sessions that are started with one key in a second, at each instance; each is a row of the audit log. */
const STARTS_PER_SECOND = 20

/** After this long the sessions are read again, in the background. */
const REFRESH_MILLIS = 5_000
/** Older ones are not used: an end takes effect after this long at every instance, even if the store is away. */
const STALE_MILLIS = 10_000

/** Unknown tokens may be of sessions that began at another instance a moment ago. So many of a client are looked up. */
const LOOKUPS_OF_A_CLIENT = { burst: 20, perSecond: 1 }
/** And so many in all, since each reads the store. */
const LOOKUPS = { burst: 50, perSecond: 10 }

/** Tokens of which it is remembered that there is no such session: ended ones are mostly sent more than once. */
const MOST_UNKNOWN = 1_000

/** A session without what opens it. */
export interface Session {
  readonly id: string
  /** The id of its stored key; `undefined`: it is of ADMIN_API_KEY. */
  readonly keyId: string | undefined
  readonly createdAt: EpochMillis
  readonly endsAt: EpochMillis
  /** Where it was started from. */
  readonly address: string
}

/**
 * Sessions of the console. The holder of a session's token may do what the holder of its key may, as long as the key
 * is valid: the session has no rights of its own.
 */
export class Sessions extends Context.Tag("coupon/security/Sessions")<Sessions, {
  /**
   * Starts a session for the holder of a key (`session.start`), for `LIFE_MILLIS`. It is valid at once at every
   * instance. Of a key, the `MOST_OF_A_KEY` latest sessions stay.
   */
  readonly start: (
    holder: Principal,
    actor: Actor
  ) => Effect.Effect<{ readonly token: string; readonly session: Session }, RateLimited | KeysUnavailable>
  /** The session with this token, which is sent from `address`; `undefined`: there is none, or it has ended. */
  readonly find: (token: string, address: () => string) => Effect.Effect<Session | undefined, KeysUnavailable>
  /**
   * Ends a session (`session.end`): at once at this instance, within 10 s at every other one. `false`: there is none.
   */
  readonly end: (id: string, actor: Actor) => Effect.Effect<boolean, KeysUnavailable>
  /** Those whose time is not over, the oldest first. Some may be of keys that are not valid any more. */
  readonly list: Effect.Effect<ReadonlyArray<Session>, KeysUnavailable>
}>() {}

/** All sessions at one moment: they are few, so each instance holds them, and a call with one needs no query. */
interface Snapshot {
  /** Before the store was asked, by the monotonic clock. */
  readonly at: number
  /** The store's clock less the monotonic one. */
  readonly clockOffset: number
  readonly byHash: ReadonlyMap<string, StoredSession>
}

const tooMany = new KeysUnavailable({ cause: "too many unknown sessions are asked for" })

const shown = ({ keyId, tokenHash: _, ...session }: StoredSession): Session =>
  ({ ...session, keyId: keyId === BOOTSTRAP ? undefined : keyId })

/** Not the time of day: setting it back would make ended sessions valid again. */
const monotonicMillis = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos / 1_000_000n))

export const make = Effect.gen(function*() {
  const store = yield* SessionStore
  const config = yield* AppConfig
  const scope = yield* Effect.scope
  /** What sessions of ADMIN_API_KEY are bound to: another ADMIN_API_KEY finds none of them. */
  const binding = Option.map(config.adminApiKey, (key) =>
    secretHashOf(`session ${Redacted.value(key)}`).toString("hex"))
  /** Held to read and to change, so that a read from before a change never replaces the change. */
  const turn = yield* Effect.makeSemaphore(1)
  const starts = TokenBuckets.make()
  let snapshot: Snapshot = { at: -Infinity, clockOffset: 0, byHash: new Map() }
  let isRefreshing = false
  const lookupsOf = ClientBudgets.make(LOOKUPS_OF_A_CLIENT)
  const lookups = TokenBucket.make(LOOKUPS, performance.now())
  /** Hashes of tokens that the store did not have, the latest ones. A token is not known before its session is. */
  const unknown = new Set<string>()

  const load = Effect.gen(function*() {
    const at = yield* monotonicMillis
    const stored = yield* store.all
    const byHash = new Map(stored.sessions.map((session) => [session.tokenHash, session]))
    snapshot = { at, clockOffset: stored.now - at, byHash }
    return stored.sessions
  })

  /** Sessions as they were at `time` or later. Those that wait for their turn mostly use what another one has read. */
  const since = (time: number): Effect.Effect<Snapshot, KeysUnavailable> =>
    turn.withPermits(1)(Effect.suspend(() =>
      snapshot.at >= time ? Effect.succeed(snapshot) : Effect.map(load, () => snapshot)))

  const refreshBehind = Effect.suspend(() => {
    if (isRefreshing) return Effect.void
    isRefreshing = true
    return Effect.forkIn(
      Effect.ensuring(Effect.ignore(since(snapshot.at + 1)), Effect.sync(() => {
        isRefreshing = false
      })),
      scope
    )
  })

  const recent = Effect.flatMap(monotonicMillis, (time) => {
    const age = time - snapshot.at
    if (age <= REFRESH_MILLIS) return Effect.succeed(snapshot)
    return age <= STALE_MILLIS ? Effect.as(refreshBehind, snapshot) : since(time - STALE_MILLIS)
  })

  const lookUp = (token: string, { byHash }: Snapshot): StoredSession | undefined =>
    byHash.get(SessionToken.hashOf(token)) ??
      (Option.isSome(binding) ? byHash.get(SessionToken.hashOf(token, binding.value)) : undefined)

  /** Whether an unknown token may be looked up in the store. */
  const mayAsk = (address: string): boolean => {
    const client = Clients.of(address)
    if (lookupsOf.wait(client) > 0 || TokenBucket.take(lookups, LOOKUPS, performance.now()) > 0) return false
    lookupsOf.charge(client, 1)
    return true
  }

  const noteUnknown = (token: string) => {
    unknown.add(SessionToken.hashOf(token))
    for (const oldest of unknown) {
      if (unknown.size <= MOST_UNKNOWN) break
      unknown.delete(oldest)
    }
  }

  /** Writes, and makes what was written known to calls at once. */
  const written = <A>(write: Effect.Effect<A, KeysUnavailable>): Effect.Effect<A, KeysUnavailable> =>
    turn.withPermits(1)(Effect.tap(write, () =>
      // A failure to read what was written does not make it undone; it is read again before it is used.
      Effect.catchAll(load, () => Effect.sync(() => {
        snapshot = { ...snapshot, at: -Infinity }
      }))))

  return Sessions.of({
    start: (holder, actor) =>
      Effect.gen(function*() {
        const keyId = holder.keyId ?? BOOTSTRAP
        const wait = starts.take(keyId, STARTS_PER_SECOND)
        if (wait > 0) return yield* new RateLimited({ retryAfterSeconds: Math.ceil(wait) })
        const { id, token } = SessionToken.make()
        const bound = keyId === BOOTSTRAP ? Option.getOrElse(binding, () => "") : ""
        const tokenHash = SessionToken.hashOf(token, bound)
        const session = { id, tokenHash, keyId, address: actor.address ?? "" }
        const limits = { lifeMillis: LIFE_MILLIS, most: MOST_OF_A_KEY }
        yield* written(store.insert(session, limits, changeBy(actor)))
        const stored = snapshot.byHash.get(tokenHash) ?? (yield* since(yield* monotonicMillis)).byHash.get(tokenHash)
        // It may have ended already: another start with the key came in between.
        if (stored === undefined) return yield* new KeysUnavailable({ cause: "the session ended as it began" })
        return { token, session: shown(stored) }
      }),

    find: (token, address) =>
      Effect.gen(function*() {
        const arrivedAt = yield* monotonicMillis
        let used = yield* recent
        let found = lookUp(token, used)
        if (found === undefined) {
          if (unknown.has(SessionToken.hashOf(token))) return undefined
          if (!mayAsk(address())) return yield* tooMany
          used = yield* since(arrivedAt)
          found = lookUp(token, used)
          if (found === undefined) noteUnknown(token)
        }
        if (found === undefined) return undefined
        return (yield* monotonicMillis) + used.clockOffset < found.endsAt ? shown(found) : undefined
      }),

    end: (id, actor) => written(store.remove(id, changeBy(actor))),

    list: Effect.map(store.all, ({ sessions }) => sessions.map(shown))
  })
})

/** Sessions as `SessionStore` has them, held in the process for as long as `Sessions` promises. */
export const layer: Layer.Layer<Sessions, never, AppConfig | SessionStore> = Layer.scoped(Sessions, make)
