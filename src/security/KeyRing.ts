import { BlockList, isIP } from "node:net"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { AppConfig } from "../config/AppConfig.ts"
import * as Networks from "../config/Networks.ts"
import type { Actor } from "../domain/Actor.ts"
import { changeBy } from "../domain/ChangeRecord.ts"
import { isVisible } from "../domain/DisplayName.ts"
import type { Principal } from "../domain/Principal.ts"
import type { Role } from "../domain/Role.ts"
import type { EpochMillis } from "../domain/Time.ts"
import * as CredentialMetrics from "../metrics/CredentialMetrics.ts"
import type { ApiKey, KeyFlaw, KeysUnavailable } from "./ApiKeys.ts"
import { ApiKeys, endOf, expiresSoon, isValid, KeyConflict, KeyNotFound, KeyRejected } from "./ApiKeys.ts"
import type { KeyChange, NewKey, StoredKey, StoredKeys } from "./ApiKeyStore.ts"
import { ApiKeyStore } from "./ApiKeyStore.ts"
import * as KeyLimits from "./KeyLimits.ts"
import { ProductionNote } from "./ProductionNote.ts"
import * as NameSkeleton from "./names/NameSkeleton.ts"
import { hashOf, idOf, limitedHashOf, newSecret, sameHash } from "./Secret.ts"

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
  /** When its time is over, by the monotonic clock: an instance's time of day may be wrong. */
  readonly endsAt: number
  /** `undefined`: it may be used from anywhere. */
  readonly networks: BlockList | undefined
}

/** All keys at one moment. They are few, so each instance holds them all, and a call with a key needs no query. */
interface Snapshot {
  /** Before the store was asked. */
  readonly at: number
  /** The store's clock less the monotonic one. */
  readonly clockOffset: number
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

/** No address is in it: for networks that cannot be read. */
const nowhere = new BlockList()

const networksOf = ({ networks }: KeyLimits.KeyLimits): BlockList | undefined => {
  if (networks === undefined) return undefined
  const list = Networks.parse(networks)
  return typeof list === "string" ? nowhere : list
}

const isIn = (networks: BlockList, address: string): boolean => {
  const version = isIP(address)
  return version !== 0 && networks.check(address, version === 4 ? "ipv4" : "ipv6")
}

const checkRate = (rate: number | undefined): string | undefined =>
  rate !== undefined && !(Number.isInteger(rate) && rate >= 1 && rate <= 1_000_000)
    ? "requestsPerSecond must be a whole number from 1 to 1000000"
    : undefined

/** A change of limits that another one came before is tried again so many times. */
const ATTEMPTS = 3

const LONGEST_OVERLAP = Duration.days(30)

/** A key as others than its store see it. */
const shown = ({ limitsVersion: _, secretHash: __, ...key }: StoredKey): ApiKey => key

const expiringOf = ({ keys, now }: StoredKeys): ReadonlyArray<ApiKey> =>
  keys.filter((key) => expiresSoon(key, now))
    .toSorted((a, b) => a.limits.expiresAt! - b.limits.expiresAt!)
    .map(shown)

const MOVED = new KeyConflict({ message: "the key was changed meanwhile: look at it, and repeat" })

export const make = Effect.gen(function*() {
  const store = yield* ApiKeyStore
  const production = yield* ProductionNote
  const config = yield* AppConfig
  const scope = yield* Effect.scope
  const bootstrap = Option.map(config.adminApiKey, (key) => hashOf(Redacted.value(key)))
  /** ADMIN_API_KEY is a way in without any ADMIN key of the store. */
  const changeOf = (actor: Actor): KeyChange => ({ ...changeBy(actor), keepsAdmin: Option.isNone(bootstrap) })
  const bootstrapPrincipal: Principal = { name: "bootstrap", role: "ADMIN" }
  /** Held to read the keys and to change them, so that a read from before a change never replaces the change. */
  const turn = yield* Effect.makeSemaphore(1)
  let snapshot: Snapshot = { at: -Infinity, clockOffset: 0, byId: new Map(), closed: false }
  let failedAt = -Infinity
  let failure: KeysUnavailable | undefined
  let refreshing = false
  /** Keys that were used since this was last recorded, and the day for which it was. */
  const used = new Set<string>()
  const recorded = new Map<string, string>()

  const entryOf = (key: StoredKey, clockOffset: number): Entry => {
    const { campaigns } = key.limits
    return {
      hash: Buffer.from(key.secretHash, "hex"),
      isRevoked: key.revokedAt !== undefined,
      endsAt: (endOf(key) ?? Number.POSITIVE_INFINITY) - clockOffset,
      networks: networksOf(key.limits),
      principal: {
        name: key.name,
        role: key.role,
        keyId: key.id,
        ...key.requestsPerSecond === undefined ? {} : { requestsPerSecond: key.requestsPerSecond },
        ...campaigns === undefined ? {} : { campaigns: new Set(campaigns) },
        ...key.limitsVersion === 0 ? {} : { limitsVersion: key.limitsVersion }
      }
    }
  }

  /** All keys, read now; what calls go by is brought up to date with them. */
  const load = Effect.gen(function*() {
    const at = yield* monotonicMillis
    const stored = yield* store.all
    const clockOffset = stored.now - at
    // Closed administration never opens again, so there is no need to ask.
    const closed = snapshot.closed || stored.keys.length > 0 || (yield* production.found)
    const entries = stored.keys.map((key) => [key.id, entryOf(key, clockOffset)] as const)
    snapshot = { at, clockOffset, byId: new Map(entries), closed }
    failure = undefined
    return stored
  }).pipe(Effect.tapError((error) => Effect.map(monotonicMillis, (now) => {
    failedAt = now
    failure = error
  })))

  /** Those that have waited for their turn mostly use the result of another one: its keys, or its failure. */
  const renewed = (millis: number): Effect.Effect<Snapshot, KeysUnavailable> =>
    Effect.gen(function*() {
      const now = yield* monotonicMillis
      if (now - snapshot.at <= millis) return snapshot
      if (failure !== undefined && now - failedAt < UNKNOWN_MILLIS) return yield* failure
      yield* load
      return snapshot
    })

  /** Takes a turn only where the keys are older. */
  const noOlderThan = (millis: number): Effect.Effect<Snapshot, KeysUnavailable> =>
    Effect.flatMap(monotonicMillis, (now) =>
      now - snapshot.at <= millis ? Effect.succeed(snapshot) : turn.withPermits(1)(renewed(millis)))

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

  /** The valid key with this id, and the store's clock. */
  const validOf = ({ keys, now }: StoredKeys, id: string) => {
    const key = keys.find((one) => one.id === id)
    if (key === undefined) return Effect.fail(new KeyNotFound())
    const reason = key.revokedAt !== undefined
      ? "it was revoked"
      : key.replaced !== undefined
      ? `key ${key.replaced.by} has replaced it`
      : isValid(key, now)
      ? undefined
      : "it has expired"
    return reason === undefined
      ? Effect.succeed(key)
      : Effect.fail(new KeyConflict({ message: `the key cannot be changed: ${reason}` }))
  }

  const checkLimits = (limits: KeyLimits.KeyLimits, role: Role, now: EpochMillis) => {
    const flaw = KeyLimits.flawOf(limits, role, now)
    return flaw === undefined ? Effect.void : Effect.fail(new KeyRejected({ message: flaw }))
  }

  const secretFor = (limits: KeyLimits.KeyLimits) => {
    const { id, secret } = newSecret()
    const hash = KeyLimits.isLimited(limits) ? limitedHashOf(secret) : hashOf(secret)
    return { id, secret, secretHash: hash.toString("hex") }
  }

  const inTurn = turn.withPermits(1)

  /** Writes, and makes what was written known to calls at once. */
  const written = <E>(write: Effect.Effect<boolean, E>): Effect.Effect<boolean, E> =>
    // A failure to read what was written does not make it undone; the keys are too old then, and are read again.
    Effect.tap(write, (done) =>
      Effect.catchAll(load, () => Effect.sync(() => {
        snapshot = { ...snapshot, at: -Infinity, closed: snapshot.closed || done }
      })))

  /** The key with this id. It may have been made at another instance a moment ago. */
  const entryWith = (id: string) =>
    Effect.gen(function*() {
      return (yield* recent).byId.get(id) ?? (yield* noOlderThan(UNKNOWN_MILLIS)).byId.get(id)
    })

  /** The holder of a key that was proved, if it may be used now and from this address. */
  const admitted = (id: string, entry: Entry, address: () => string): Effect.Effect<Principal | KeyFlaw> =>
    Effect.gen(function*() {
      if (entry.isRevoked) return "revoked"
      if (entry.endsAt !== Number.POSITIVE_INFINITY && (yield* monotonicMillis) >= entry.endsAt) return "expired"
      if (entry.networks !== undefined && !isIn(entry.networks, address())) return "network"
      used.add(id)
      return entry.principal
    })

  const isHolder = (hash: Buffer, secret: string, { hash: stored, principal }: Entry): boolean =>
    sameHash(hash, stored) || (principal.limitsVersion !== undefined && sameHash(limitedHashOf(secret), stored))

  return ApiKeys.of({
    create: ({ limits: asked = {}, name, requestsPerSecond, role }, actor) =>
      inTurn(Effect.gen(function*() {
        const wrong = checkName(name) ?? checkRate(requestsPerSecond)
        if (wrong !== undefined) return yield* new KeyRejected({ message: wrong })
        const limits = KeyLimits.changed(KeyLimits.unlimited, asked)
        yield* checkLimits(limits, role, KeyLimits.isLimited(limits) ? (yield* load).now : 0)
        const { id, secret, secretHash } = secretFor(limits)
        const key: NewKey = { id, name, role, requestsPerSecond, limits, secretHash }
        if (!(yield* written(store.insert(key, changeBy(actor))))) {
          return yield* new KeyConflict({
            message: `a valid key is named ${name}: choose another name, or replace it by \`coupon keys rotate\``
          })
        }
        return { id, secret }
      })),

    list: Effect.map(store.all, ({ keys }) => keys.map(shown)),

    expiring: Effect.map(store.all, expiringOf),

    revoke: (id, actor) => inTurn(written(store.revoke(id, changeOf(actor)))),

    limit: (id, change, actor) =>
      inTurn(Effect.gen(function*() {
        for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
          const stored = yield* load
          const key = yield* validOf(stored, id)
          const limits = KeyLimits.changed(key.limits, change)
          yield* checkLimits(limits, key.role, stored.now)
          if (yield* written(store.limit(key, limits, changeOf(actor)))) return
        }
        return yield* MOVED
      })),

    rotate: (id, { expiresAt, overlap }, actor) =>
      inTurn(Effect.gen(function*() {
        if (Duration.greaterThan(overlap, LONGEST_OVERLAP)) {
          return yield* new KeyRejected({ message: "the overlap must be at most 30 days" })
        }
        for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
          const stored = yield* load
          const key = yield* validOf(stored, id)
          const former = key.limits.expiresAt
          const same = former === undefined ? undefined : stored.now + former - key.createdAt
          const limits = { ...key.limits, expiresAt: expiresAt === undefined ? same : expiresAt ?? undefined }
          yield* checkLimits(limits, key.role, stored.now)
          const { name, requestsPerSecond, role } = key
          const { id: newId, secret, secretHash } = secretFor(limits)
          const successor: NewKey = { id: newId, name, role, requestsPerSecond, limits, secretHash }
          const overlapMillis = Math.round(Duration.toMillis(overlap))
          const endsAt = Math.min(stored.now + overlapMillis, former ?? Number.POSITIVE_INFINITY)
          if (yield* written(store.rotate(key, { successor, endsAt }, changeOf(actor)))) {
            return { id: newId, secret, formerEndsAt: endsAt, expiresAt: limits.expiresAt }
          }
        }
        return yield* MOVED
      })),

    authenticate: (secret, address) =>
      Effect.gen(function*() {
        const hash = hashOf(secret)
        if (Option.isSome(bootstrap) && sameHash(hash, bootstrap.value)) return bootstrapPrincipal
        const id = idOf(secret)
        if (id === undefined) return "unknown"
        const entry = yield* entryWith(id)
        return entry === undefined || !isHolder(hash, secret, entry) ? "unknown" : yield* admitted(id, entry, address)
      }),

    holder: (keyId, address) =>
      Effect.gen(function*() {
        if (keyId === undefined) return Option.isSome(bootstrap) ? bootstrapPrincipal : "unknown"
        const entry = yield* entryWith(keyId)
        return entry === undefined ? "unknown" : yield* admitted(keyId, entry, address)
      }),

    // Open administration is checked again: another instance may have closed it.
    configured: Effect.suspend(() =>
      Option.isSome(bootstrap) || snapshot.closed
        ? Effect.succeed(true)
        : Effect.map(noOlderThan(UNKNOWN_MILLIS), ({ closed }) => closed)),

    upkeep: Effect.gen(function*() {
      const stored = yield* store.all
      const day = new Date(stored.now).toISOString().slice(0, 10)
      const due = [...used].filter((id) => recorded.get(id) !== day)
      used.clear()
      if (due.length > 0) {
        yield* Effect.tapError(store.noteUse(due.sort()), () => Effect.sync(() => {
          for (const id of due) used.add(id)
        }))
      }
      for (const id of due) recorded.set(id, day)
      CredentialMetrics.expiring.set(expiringOf(stored).length)
    })
  })
})

/** Keys as `ApiKeyStore` has them, held in the process for as long as `ApiKeys` promises. */
export const layer: Layer.Layer<ApiKeys, never, ApiKeyStore | AppConfig | ProductionNote> = Layer.scoped(ApiKeys, make)
