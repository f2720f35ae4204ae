import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { randomBytes } from "node:crypto"
import { AppConfig } from "../config/AppConfig.ts"
import type { Actor } from "../domain/Actor.ts"
import { parseCampaignId } from "../domain/CampaignId.ts"
import { changeBy } from "../domain/ChangeRecord.ts"
import {
  Conflict, InvalidArgument, OutcomeUnknown, RecordNotFound, Unavailable, WebhooksOff
} from "../domain/Failure.ts"
import type { EpochMillis } from "../domain/Time.ts"
import { MAX_WEBHOOKS, rescoped, type WebhookEndpoint } from "../domain/webhooks/Webhook.ts"
import { AuditLog } from "../ports/AuditLog.ts"
import { CampaignStore } from "../ports/CampaignStore.ts"
import { EventLog } from "../ports/EventLog.ts"
import type { CommitInDoubt, LedgerUnavailable } from "../ports/Ledger.ts"
import { WebhookCursors } from "../ports/webhooks/WebhookCursors.ts"
import { WebhookEndpoints } from "../ports/webhooks/WebhookEndpoints.ts"
import { type NotedAttempt, type ParkedDelivery, WebhookRecords } from "../ports/webhooks/WebhookRecords.ts"
import * as Outbound from "./delivery/Outbound.ts"
import { WebhookDelivery, type WebhookState } from "./delivery/WebhookDelivery.ts"
import * as Examples from "./format/Examples.ts"
import * as StandardWebhooks from "../contract/webhooks/StandardWebhooks.ts"
import * as SecretBox from "./secrets/SecretBox.ts"
import * as EndpointUrl from "./sending/EndpointUrl.ts"
import { WebhookSender } from "./sending/WebhookSender.ts"
import * as Fields from "./WebhookFields.ts"

/** A failure of a call that reads. */
export type ReadFailure = WebhooksOff | RecordNotFound | InvalidArgument | Unavailable
/** A failure of a call that changes something. */
export type WriteFailure = ReadFailure | OutcomeUnknown | Conflict

/** Rows of a page, and the id after which the next one begins; `undefined`: there is none. */
export interface Page<A> {
  readonly rows: ReadonlyArray<A>
  readonly nextId: number | undefined
}

/** The deployment's webhooks, as operators see and change them. Without SECRETS_KEY all fail with `WebhooksOff`. */
export class Webhooks extends Context.Tag("coupon/webhooks/Webhooks")<Webhooks, {
  readonly create: (
    input: Fields.WebhookInput,
    actor: Actor
  ) => Effect.Effect<{ readonly state: WebhookState; readonly secret: string }, WriteFailure>
  readonly get: (id: string) => Effect.Effect<WebhookState, ReadFailure>
  readonly list: Effect.Effect<ReadonlyArray<WebhookState>, ReadFailure>
  /** `expected`: fail with `Conflict` unless it is at this version; 0: it may be at any. */
  readonly update: (
    request: { readonly id: string; readonly expected: bigint; readonly actor: Actor },
    input: Fields.WebhookInput
  ) => Effect.Effect<WebhookState, WriteFailure>
  readonly remove: (
    request: { readonly id: string; readonly expected: bigint; readonly actor: Actor }
  ) => Effect.Effect<void, WriteFailure>
  /** Sends an example, and waits as long as a call may take. */
  readonly test: (id: string, type: string, actor: Actor) => Effect.Effect<Outbound.Outcome, WriteFailure>
  readonly rotateSecret: (
    id: string,
    overlapSeconds: number | undefined,
    actor: Actor
  ) => Effect.Effect<{ readonly secret: string; readonly formerUntil: EpochMillis }, WriteFailure>
  readonly replay: (
    request: { readonly id: string; readonly campaignId: number; readonly afterSequence: bigint; readonly actor: Actor }
  ) => Effect.Effect<void, WriteFailure>
  readonly attempts: (
    request: { readonly id: string; readonly campaignId: number; readonly pageSize: number; readonly pageToken: string }
  ) => Effect.Effect<Page<NotedAttempt>, ReadFailure>
  readonly parked: (
    request: { readonly id: string; readonly pageSize: number; readonly pageToken: string }
  ) => Effect.Effect<Page<ParkedDelivery>, ReadFailure>
  readonly retryParked: (
    request: {
      readonly id: string
      readonly deliveryIds: ReadonlyArray<bigint>
      readonly all: boolean
      readonly actor: Actor
    }
  ) => Effect.Effect<number, WriteFailure>
}>() {}

const storeDown = ({ cause }: LedgerUnavailable) => new Unavailable({ retryAfterSeconds: 1, cause })

const stored = <A, E>(effect: Effect.Effect<A, E | LedgerUnavailable>) =>
  Effect.mapError(effect, (failure) =>
    (isUnavailable(failure) ? storeDown(failure) : failure) as Exclude<E, LedgerUnavailable> | Unavailable)

const isUnavailable = (failure: unknown): failure is LedgerUnavailable =>
  typeof failure === "object" && failure !== null && "_tag" in failure && failure._tag === "LedgerUnavailable"

const written = <A>(
  effect: Effect.Effect<A, LedgerUnavailable | CommitInDoubt>
): Effect.Effect<A, Unavailable | OutcomeUnknown> =>
  Effect.mapError(effect, (failure) =>
    failure._tag === "CommitInDoubt" ? new OutcomeUnknown() : storeDown(failure))

const reject = (field: string, reason: string) => Effect.fail(new InvalidArgument({ field, reason }))

/** How often a change is decided again because the webhook was changed meanwhile. */
const ATTEMPTS = 20

/** A request of a test leaves so much of the call's time for its answer. */
const TEST_MARGIN_MILLIS = 300

const pageOf = <A extends { readonly id: number }>(rows: ReadonlyArray<A>, limit: number): Page<A> => ({
  rows: rows.slice(0, limit),
  nextId: rows.length > limit ? rows[limit - 1]!.id : undefined
})

/** Where there is no SECRETS_KEY. */
export const off: Webhooks["Type"] = {
  create: () => Effect.fail(new WebhooksOff()),
  get: () => Effect.fail(new WebhooksOff()),
  list: Effect.fail(new WebhooksOff()),
  update: () => Effect.fail(new WebhooksOff()),
  remove: () => Effect.fail(new WebhooksOff()),
  test: () => Effect.fail(new WebhooksOff()),
  rotateSecret: () => Effect.fail(new WebhooksOff()),
  replay: () => Effect.fail(new WebhooksOff()),
  attempts: () => Effect.fail(new WebhooksOff()),
  parked: () => Effect.fail(new WebhooksOff()),
  retryParked: () => Effect.fail(new WebhooksOff())
}

const makeOn = (box: SecretBox.SecretBox) =>
  Effect.gen(function*() {
    const config = yield* AppConfig
    const endpoints = yield* WebhookEndpoints
    const cursors = yield* WebhookCursors
    const records = yield* WebhookRecords
    const campaigns = yield* CampaignStore
    const audit = yield* AuditLog
    const log = yield* EventLog
    const sender = yield* WebhookSender
    const delivery = yield* WebhookDelivery
    const testMillis = Duration.toMillis(config.requestTimeout) - TEST_MARGIN_MILLIS

    const stateOf = (endpoint: WebhookEndpoint): WebhookState => {
      const found = delivery.states().find((state) => state.endpoint.id === endpoint.id)
      return { endpoint, backlog: found?.backlog ?? 0, lagMillis: found?.lagMillis ?? 0 }
    }

    const find = (id: string): Effect.Effect<WebhookEndpoint, ReadFailure> =>
      Effect.gen(function*() {
        const known = yield* Fields.parseId(id)
        const found = (yield* stored(endpoints.all)).find((endpoint) => endpoint.id === known)
        return found ?? (yield* new RecordNotFound())
      })

    const parseUrl = (text: string): Effect.Effect<string, InvalidArgument> =>
      Effect.gen(function*() {
        const url = yield* EndpointUrl.parse(text, config.webhookAllowHttp === "on")
        yield* Effect.catchTag(sender.check(url), "AddressRefused", ({ reason }) => reject("url", reason))
        return url.href
      })

    /** The ids, each of a campaign that exists; `undefined`: all. */
    const parseCampaigns = (ids: ReadonlyArray<number>) =>
      Effect.gen(function*() {
        const some = yield* Fields.parseCampaigns(ids)
        if (some === undefined) return undefined
        const found = new Set((yield* stored(campaigns.startTimes(some))).map(({ campaignId }) => campaignId))
        const missing = some.find((id) => !found.has(id))
        return missing === undefined ? some : yield* reject("campaignIds", `must exist, and ${missing} does not`)
      })

    const sealed = (id: string, secret: string) => ({ sealed: box.seal(secret, id), expiresAt: undefined })

    /** Decides a change on the endpoint as it is, and applies it if it still is. */
    const change = (
      { actor, expected, id }: { readonly id: string; readonly expected: bigint; readonly actor: Actor },
      action: string,
      decide: (from: WebhookEndpoint) => Effect.Effect<WebhookEndpoint, ReadFailure>
    ): Effect.Effect<WebhookEndpoint, WriteFailure> =>
      Effect.gen(function*() {
        for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
          const from = yield* find(id)
          if (expected !== 0n && BigInt(from.version) !== expected) return yield* new Conflict()
          const to = yield* decide(from)
          const done = yield* written(endpoints.change({ ...changeBy(actor), action, from, to }))
          if (done) return { ...to, version: from.version + 1 }
        }
        return yield* new Conflict()
      })

    const patched = (from: WebhookEndpoint, input: Fields.WebhookInput): Effect.Effect<WebhookEndpoint, ReadFailure> =>
      Effect.gen(function*() {
        if (Object.values(input).every((value) => value === undefined)) {
          return yield* reject("body", "must set a field that can be changed")
        }
        const set = <A, B>(
          value: A | undefined,
          parse: (value: A) => Either.Either<B, InvalidArgument> | Effect.Effect<B, ReadFailure>,
          before: B
        ): Effect.Effect<B, ReadFailure> =>
          value === undefined ? Effect.succeed(before) : Effect.suspend(() => parse(value))
        const now = yield* stored(endpoints.now)
        const isEnabled = input.enabled ?? from.status === "ENABLED"
        const isSame = isEnabled === (from.status === "ENABLED")
        return {
          ...from,
          url: yield* set(input.url, parseUrl, from.url),
          description: yield* set(input.description, Fields.parseDescription, from.description),
          types: yield* set(input.types, Fields.parseTypes, from.types),
          scope: yield* set(
            input.campaignIds,
            (ids) => Effect.map(parseCampaigns(ids), (some) => rescoped(from.scope, some, now)),
            from.scope
          ),
          mode: yield* set(input.mode, Fields.parseMode, from.mode),
          onFailure: yield* set(input.onFailure, Fields.parseOnFailure, from.onFailure),
          maxAttempts: yield* set(input.maxAttempts, Fields.parseMaxAttempts, from.maxAttempts),
          concurrency: yield* set(input.concurrency, Fields.parseConcurrency, from.concurrency),
          ...(isSame ? {} : {
            status: isEnabled ? "ENABLED" as const : "DISABLED" as const,
            reason: isEnabled ? "" : "an operator has disabled it",
            disabledAt: isEnabled ? undefined : now,
            failingSince: undefined
          }),
          updatedAt: now
        }
      })

    return Webhooks.of({
      create: (input, actor) =>
        Effect.gen(function*() {
          const now = yield* stored(endpoints.now)
          const id = randomBytes(8).toString("hex")
          const secret = StandardWebhooks.makeSecret()
          const draft: WebhookEndpoint = {
            id,
            version: 1,
            url: "",
            description: "",
            types: [],
            scope: { all: undefined, some: [] },
            mode: "BATCH",
            onFailure: "RETRY",
            maxAttempts: 8,
            concurrency: 4,
            status: "ENABLED",
            reason: "",
            disabledAt: undefined,
            failingSince: undefined,
            secrets: [sealed(id, secret)],
            createdAt: now,
            updatedAt: now
          }
          const { campaignIds = [], url = "" } = input
          const endpoint = yield* patched(draft, { ...input, url, campaignIds })
          if (!(yield* written(endpoints.create(endpoint, changeBy(actor))))) {
            return yield* reject("body", `must not add to the ${MAX_WEBHOOKS} webhooks there are: delete one first`)
          }
          return { state: stateOf(endpoint), secret }
        }),
      get: (id) => Effect.map(find(id), stateOf),
      list: Effect.map(stored(endpoints.all), (all) => all.map(stateOf)),
      update: (request, input) =>
        Effect.map(change(request, "webhook.update", (from) => patched(from, input)), stateOf),
      remove: ({ actor, expected, id }) =>
        Effect.gen(function*() {
          for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
            const endpoint = yield* find(id)
            if (expected !== 0n && BigInt(endpoint.version) !== expected) return yield* new Conflict()
            if (yield* written(endpoints.remove(endpoint, changeBy(actor)))) return
          }
          return yield* new Conflict()
        }),
      test: (id, type, actor) =>
        Effect.gen(function*() {
          const known = yield* Fields.parseTestType(type)
          const endpoint = yield* find(id)
          const { body, id: messageId } = Examples.make(known, endpoint.mode, Date.now())
          // The audit log has it before it is sent, as it goes to a system of others.
          yield* written(audit.append({
            ...changeBy(actor),
            action: "webhook.test",
            outcome: "DONE",
            campaignId: undefined,
            before: undefined,
            after: { id, type: known }
          }))
          return yield* Effect.timeoutTo(Outbound.send({ box, sender }, endpoint, messageId, body), {
            duration: testMillis,
            onSuccess: (outcome) => outcome,
            onTimeout: (): Outbound.Outcome => ({
              isDelivered: false,
              isGone: false,
              status: undefined,
              reason: `no answer within ${testMillis / 1_000} s; a delivery waits for 15`,
              answer: "",
              retryAfterMillis: undefined,
              tookMillis: testMillis
            })
          })
        }),
      rotateSecret: (id, overlapSeconds, actor) =>
        Effect.gen(function*() {
          const overlap = yield* Fields.parseOverlap(overlapSeconds)
          const now = yield* stored(endpoints.now)
          const secret = StandardWebhooks.makeSecret()
          const formerUntil = now + overlap
          yield* change({ id, expected: 0n, actor }, "webhook.rotate_secret", (from) =>
            Effect.succeed({
              ...from,
              // Two at most: of a rotation before this one, the older one ends now.
              secrets: [
                sealed(id, secret),
                ...from.secrets.slice(0, 1).map((one) => ({ ...one, expiresAt: formerUntil }))
              ]
            }))
          return { secret, formerUntil }
        }),
      replay: ({ actor, afterSequence, campaignId, id }) =>
        Effect.gen(function*() {
          const campaign = yield* parseCampaignId(campaignId)
          const endpoint = yield* find(id)
          const head = yield* stored(log.head(campaign))
          if (head === 0 && (yield* stored(campaigns.find(campaign))) === undefined) return yield* new RecordNotFound()
          const sequence = Number(afterSequence)
          if (afterSequence < 0n || sequence > head) {
            return yield* reject("afterSequence", `must be 0 to ${head}, the end of the campaign's log`)
          }
          const to = { endpointId: endpoint.id, campaignId: campaign, sequence }
          yield* written(cursors.replay({ ...changeBy(actor), ...to }))
          delivery.noticed([campaign])
        }),
      attempts: ({ campaignId, id, pageSize, pageToken }) =>
        Effect.gen(function*() {
          const { id: beforeId, limit } = yield* Fields.parsePage(pageSize, pageToken)
          const endpoint = yield* find(id)
          const campaign = campaignId === 0 ? undefined : yield* parseCampaignId(campaignId)
          const rows = yield* stored(
            records.attempts({ endpointId: endpoint.id, campaignId: campaign, beforeId, limit: limit + 1 })
          )
          return pageOf(rows, limit)
        }),
      parked: ({ id, pageSize, pageToken }) =>
        Effect.gen(function*() {
          const { id: afterId = 0, limit } = yield* Fields.parsePage(pageSize, pageToken)
          const endpoint = yield* find(id)
          return pageOf(
            yield* stored(records.parked({ endpointId: endpoint.id, afterId, limit: limit + 1 })),
            limit
          )
        }),
      retryParked: ({ actor, all, deliveryIds, id }) =>
        Effect.gen(function*() {
          const ids = yield* Fields.parseDeliveryIds(deliveryIds, all)
          const endpoint = yield* find(id)
          return yield* written(records.retry({ ...changeBy(actor), endpointId: endpoint.id, ids }))
        })
    })
  })

export const make = Effect.flatMap(AppConfig, ({ secretsKey }) =>
  Option.match(secretsKey, {
    onNone: () => Effect.succeed(off),
    onSome: (keys) => makeOn(SecretBox.make(Redacted.value(keys)))
  }))

export const layer = Layer.effect(Webhooks, make)
