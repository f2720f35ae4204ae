import { readFileSync } from "node:fs"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { AppConfig } from "../config/AppConfig.ts"
import type { CampaignId } from "../domain/Campaign.ts"
import type { Coupon } from "../domain/Coupon.ts"
import { CampaignStore } from "../ports/CampaignStore.ts"
import { Deployment } from "../ports/operation/Deployment.ts"
import { GateUnavailable } from "../ports/Gate.ts"
import { Ledger, type LedgerUnavailable } from "../ports/Ledger.ts"
import * as GateOwner from "./GateOwner.ts"
import type { Evidence } from "./GateOwner.ts"
import { RedisClient } from "./RedisClient.ts"

/** A campaign's keys. All have the tag in braces, so a cluster keeps them in one slot. */
export const keysOf = (prefix: string, campaignId: CampaignId) => {
  const key = `${prefix}{c${campaignId}}`
  return { meta: `${key}:m`, issued: `${key}:i`, pending: `${key}:p`, events: `${key}:e` }
}

/** A script: one EVALSHA a call. */
export type Script<Reply> = (
  keys: ReadonlyArray<string>,
  args: ReadonlyArray<string | number>
) => Effect.Effect<Reply, GateUnavailable>

/** This deployment's keys in Redis, and what its gate and its event stream share to work on them. */
export class GateKeys extends Context.Tag("coupon/redis/GateKeys")<GateKeys, {
  /** Of this deployment: a campaign's keys carry it, and those with another one are left alone. */
  readonly identity: string
  readonly of: (campaignId: CampaignId) => ReturnType<typeof keysOf>
  /** All four, in the order in which most scripts take them: m, i, p, e. */
  readonly all: (campaignId: CampaignId) => ReadonlyArray<string>
  /** Loads `scripts/<name>.lua`, after others that it uses. A reply that `isReply` does not know counts as none. */
  readonly script: <Reply>(
    name: string,
    numberOfKeys: number,
    isReply: (reply: unknown) => boolean,
    ...uses: ReadonlyArray<string>
  ) => Script<Reply>
  /** Runs a call to a script that checks the owner. `foreign` is the result where the keys are another deployment's. */
  readonly guarded: <A>(
    campaignId: CampaignId,
    call: Effect.Effect<A, GateUnavailable>,
    foreign: A
  ) => Effect.Effect<A, GateUnavailable>
}>() {}

export interface GateKeysOptions {
  /** What all keys begin with. */
  readonly keyPrefix: string
  readonly identity: string
  /** Whether keys that carry no identity come from this deployment's ledger. */
  readonly owns: (campaignId: CampaignId, evidence: Evidence) => Effect.Effect<boolean, GateUnavailable>
}

/** A reply that the script cannot have returned counts as no reply. */
export const noAnswer = (cause?: unknown) =>
  new GateUnavailable({ cause: new Error("Redis answered what is no answer of the gate", { cause }) })

export const decode = <Reply, A>(
  reply: Effect.Effect<Reply, GateUnavailable>,
  read: (reply: Reply) => A
): Effect.Effect<A, GateUnavailable> =>
  Effect.flatMap(reply, (value) => {
    try {
      return Effect.succeed(read(value))
    } catch (cause) {
      return noAnswer(cause)
    }
  })

// What scripts return, checked before it is read: a loop over pages must end, whatever answers.
export const isNumber = (reply: unknown): reply is number => typeof reply === "number"
export const isText = (reply: unknown): reply is string => typeof reply === "string"
/** A list that begins with these. */
export const isList = (...kinds: ReadonlyArray<(item: unknown) => boolean>) => (reply: unknown): boolean =>
  Array.isArray(reply) && kinds.every((isKind, k) => isKind(reply[k]))

/** A coupon as scripts that write events take it. */
export const eventArguments = (coupon: Coupon): ReadonlyArray<string | number> => [
  coupon.id,
  coupon.userId.toString(),
  coupon.code,
  coupon.issuedAt
]

type EvidenceReply = [
  generation: string,
  version: number,
  couponLimit: number,
  startTime: number,
  issued: number,
  newestEvent: string,
  ...coupons: Array<string>
]

const readEvidence = (
  [generation, version, couponLimit, startTime, issued, newestEvent, ...fields]: EvidenceReply
): Evidence => ({
  generation,
  version,
  couponLimit,
  startTime,
  issued,
  newestEvent,
  coupons: Array.from({ length: fields.length / 3 }, (_, k) => ({
    id: Number(fields[3 * k]),
    userId: BigInt(fields[3 * k + 1]!),
    code: fields[3 * k + 2]!
  }))
})

/** Events looked at from either end for the owner of keys that have none. */
const EVIDENCE_EVENTS = 100

export const make = (options: GateKeysOptions): Effect.Effect<GateKeys["Type"], never, RedisClient> =>
  Effect.map(RedisClient, ({ redis, send }) => {
    const { identity } = options
    const keys = (campaignId: CampaignId) => keysOf(options.keyPrefix, campaignId)
    const textOf = (name: string) => readFileSync(new URL(`./scripts/${name}.lua`, import.meta.url), "utf8")

    /** ioredis sends EVAL once a connection (of a cluster: a node), EVALSHA from then on, and EVAL after NOSCRIPT. */
    const script = <Reply>(
      name: string,
      numberOfKeys: number,
      isReply: (reply: unknown) => boolean,
      ...uses: ReadonlyArray<string>
    ): Script<Reply> => {
      redis.defineCommand(name, { numberOfKeys, lua: [...uses, name].map(textOf).join("\n") })
      const commands = redis as unknown as Record<string, (...args: ReadonlyArray<unknown>) => Promise<Reply>>
      const run = commands[name]!.bind(redis)
      return (keys, args) => Effect.filterOrFail(send(() => run(keys, args)), isReply, noAnswer)
    }

    const evidence = script<EvidenceReply>(
      "evidence",
      3,
      isList(isText, isNumber, isNumber, isNumber, isNumber, isText)
    )
    const adopt = script<number>("adopt", 2, isNumber)

    const { guarded } = GateOwner.make({
      nameOf: (campaignId) => `${keys(campaignId).meta.slice(0, -1)}*`,
      adopt: (campaignId) =>
        Effect.gen(function*() {
          const { events, issued, meta } = keys(campaignId)
          const found = yield* decode(evidence([meta, issued, events], [EVIDENCE_EVENTS]), readEvidence)
          if (!(yield* options.owns(campaignId, found))) return false
          return (yield* adopt([meta, events], [identity, found.generation, found.newestEvent])) === 1
        })
    })

    return GateKeys.of({
      identity,
      of: keys,
      all: (campaignId) => {
        const { events, issued, meta, pending } = keys(campaignId)
        return [meta, issued, pending, events]
      },
      script,
      guarded
    })
  })

/** The keys of the deployment that the ledger belongs to, in the Redis of `RedisClient`. */
export const layer: Layer.Layer<
  GateKeys,
  LedgerUnavailable,
  RedisClient | AppConfig | Deployment | CampaignStore | Ledger
> = Layer.effect(
  GateKeys,
  Effect.gen(function*() {
    const config = yield* AppConfig
    const campaigns = yield* CampaignStore
    const ledger = yield* Ledger
    const { identity, redisKeyPrefix } = yield* Effect.flatMap(Deployment, ({ facts }) => facts)
    const keyPrefix = Option.getOrElse(config.redisKeyPrefix, () => redisKeyPrefix)
    yield* Effect.logDebug(`the gate's keys in Redis are ${keyPrefix}{c…}:*, of deployment ${identity}`)
    return yield* make({
      keyPrefix,
      identity,
      // Keys whose names carry the identity are this deployment's, whatever is in them.
      owns: keyPrefix.includes(identity)
        ? () => Effect.succeed(true)
        : (campaignId, found) => GateOwner.isFedBy(campaigns, ledger, campaignId, found)
    })
  })
)
