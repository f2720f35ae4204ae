import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import { createHash } from "node:crypto"
import { untilResolved } from "../claim/UntilResolved.ts"
import { AppConfig } from "../config/AppConfig.ts"
import { codesText } from "../domain/codes/CampaignCodes.ts"
import type { Actor } from "../domain/Actor.ts"
import type {
  Campaign, CampaignDraft, CampaignId, CampaignOrder, CampaignSettings, CampaignUpdate, ExpectedVersion
} from "../domain/Campaign.ts"
import { belowIssued, ended, patched, paused, resumed, sameSettings } from "../domain/Campaign.ts"
import { validityText } from "../domain/validity/CouponValidity.ts"
import { DEFAULT_UNDO_WINDOW_MILLIS } from "../domain/validity/UndoWindow.ts"
import { changeBy } from "../domain/ChangeRecord.ts"
import type { CampaignEnded, InvalidArgument } from "../domain/Failure.ts"
import { Conflict, OutcomeUnknown, RecordNotFound, Unavailable } from "../domain/Failure.ts"
import { rootMessage } from "../base/RootMessage.ts"
import { EventNews } from "../agents/events/EventNews.ts"
import { HeldCoupons } from "../agents/HeldCoupons.ts"
import { CampaignStore, type CreationRequest } from "../ports/CampaignStore.ts"
import type { CommitInDoubt } from "../ports/Ledger.ts"
import * as GateTerms from "./GateTerms.ts"
import { storeDown } from "./StoreDown.ts"

/** `Unavailable`: nothing was changed, now or later. `OutcomeUnknown`: the ledger could not be asked in time. */
export type ChangeFailure = RecordNotFound | Conflict | CampaignEnded | Unavailable | OutcomeUnknown

/** The campaign that a change is for, and who asks for it. */
export interface ChangeRequest {
  readonly campaignId: CampaignId
  /** Fail with `Conflict` unless the campaign is at this version; `undefined`: it may be at any. */
  readonly expected: ExpectedVersion
  /** For the audit log. */
  readonly actor: Actor
}

/**
 * Creates and changes campaigns (docs/internals/protocol.md, "Changing a campaign"). A change is decided on the
 * campaign's current version and applied only if that version still stands. The answer waits until the gate has the
 * change too, if the gate can be reached. A change that is already in place is not made again. The audit log
 * records each change that is made, with its `actor`.
 */
export class CampaignChanges extends Context.Tag("coupon/issuance/CampaignChanges")<CampaignChanges, {
  /** `Conflict`: a campaign of other settings was made by a call of the same id. */
  readonly create: (
    order: CampaignOrder,
    actor: Actor
  ) => Effect.Effect<Campaign, InvalidArgument | Conflict | Unavailable | OutcomeUnknown>
  readonly update: (
    request: ChangeRequest,
    update: CampaignUpdate
  ) => Effect.Effect<Campaign, ChangeFailure | InvalidArgument>
  /** No coupon is issued any more once this returns. */
  readonly pause: (request: ChangeRequest) => Effect.Effect<Campaign, ChangeFailure>
  readonly resume: (request: ChangeRequest) => Effect.Effect<Campaign, ChangeFailure>
  /** Final. No coupon is issued any more once this returns. */
  readonly end: (request: ChangeRequest) => Effect.Effect<Campaign, ChangeFailure>
}>() {}

/** How often a change is decided again because another operator changed the campaign meanwhile. */
const ATTEMPTS = 20

/** What calls of one id have to agree on. Times are instants, however they were written. */
const contentOf = (
  { codes, couponLimit, endTime, name, startTime, undoWindowMillis, validity }: CampaignDraft
): string => {
  // Defaults are left out, so that the content is what it was before campaigns had these settings.
  const text = codesText(codes)
  const isDefaultWindow = undoWindowMillis === DEFAULT_UNDO_WINDOW_MILLIS
  const content = [
    ...[name, couponLimit, startTime, endTime ?? null],
    ...text === undefined ? [] : [text],
    ...validity === undefined ? [] : ["validity", validityText(validity)],
    ...isDefaultWindow ? [] : ["undoWindow", undoWindowMillis]
  ]
  return createHash("sha256").update(JSON.stringify(content)).digest("hex")
}

/** The server that knew of the campaign is not the one that was asked for it. */
const lostSight = new Unavailable({ retryAfterSeconds: 1, cause: "the campaign of a repeated call is not there" })

export const make = Effect.gen(function*() {
  const config = yield* AppConfig
  const held = yield* HeldCoupons
  const campaigns = yield* CampaignStore
  const { announce, spread } = yield* GateTerms.make
  const news = yield* EventNews

  /** The campaign after a commit in doubt; `undefined`: the commit did not happen and never will. */
  const resolve = (changeId: string, failure: CommitInDoubt): Effect.Effect<Campaign | undefined, OutcomeUnknown> =>
    Effect.logWarning(`a change of a campaign is in doubt; asking the ledger: ${rootMessage(failure.cause)}`).pipe(
      Effect.annotateLogs({ changeId }),
      Effect.zipRight(Effect.retry(campaigns.resolveChange(changeId), untilResolved)),
      Effect.disconnect,
      Effect.timeoutFail({ duration: config.requestTimeout, onTimeout: () => new OutcomeUnknown() }),
      Effect.mapError(() => new OutcomeUnknown())
    )

  const notDone = (failure: CommitInDoubt) => new Unavailable({ retryAfterSeconds: 1, cause: failure.cause })

  /** Makes a campaign, and finds out what became of a commit in doubt. */
  const made = (draft: CampaignDraft, request: CreationRequest | undefined, actor: Actor) =>
    Effect.suspend(() => {
      const record = changeBy(actor)
      return Effect.catchTags(campaigns.create({ ...record, draft, request }), {
        LedgerUnavailable: (failure) => Effect.fail(storeDown(failure)),
        CommitInDoubt: (failure) =>
          Effect.flatMap(resolve(record.changeId, failure), (campaign) =>
            campaign === undefined ? Effect.fail(notDone(failure)) : Effect.succeed(campaign))
      })
    })

  /** The campaign that the same call has made before; `undefined`: there is none. */
  const createdBy = (
    request: CreationRequest | undefined
  ): Effect.Effect<Campaign | undefined, Conflict | Unavailable> =>
    request === undefined
      ? Effect.succeed(undefined)
      : Effect.flatMap(Effect.mapError(campaigns.findCreated(request.id), storeDown), (found) =>
        found === undefined || found.content === request.content
          ? Effect.succeed(found?.campaign)
          : Effect.fail(new Conflict()))

  const change = <E>(
    { actor, campaignId, expected }: ChangeRequest,
    action: string,
    decide: (campaign: Campaign) => Either.Either<CampaignSettings, E>
  ): Effect.Effect<Campaign, ChangeFailure | InvalidArgument | E> =>
    Effect.gen(function*() {
      for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
        const from = yield* Effect.mapError(campaigns.find(campaignId), storeDown)
        if (from === undefined) return yield* new RecordNotFound()
        if (expected !== undefined && from.version !== expected) return yield* new Conflict()
        const to = yield* decide(from)
        if (sameSettings(from, to)) {
          // This may repeat a call whose reply was lost: the gate may not have the change yet.
          yield* spread(from)
          return from
        }
        if (to.couponLimit > from.couponLimit) yield* announce(from, to.couponLimit)
        const record = changeBy(actor)
        const verdict = yield* campaigns.change({ ...record, action, from, to }).pipe(
          Effect.catchTags({
            LedgerUnavailable: (failure) => Effect.fail(storeDown(failure)),
            CommitInDoubt: (failure) =>
              Effect.flatMap(resolve(record.changeId, failure), (campaign) =>
                campaign === undefined
                  ? Effect.fail(notDone(failure))
                  : Effect.succeed({ _tag: "Changed" as const, campaign }))
          })
        )
        if (verdict._tag === "BelowIssued") return yield* belowIssued(verdict.issued)
        if (verdict._tag === "Changed") {
          const { campaign } = verdict
          held.opensAt(campaignId, campaign.startTime)
          yield* spread(campaign)
          const { version } = campaign
          yield* Effect.annotateLogs(Effect.logInfo("a campaign was changed"), { campaignId, action, version })
          return campaign
        }
      }
      return yield* new Unavailable({ retryAfterSeconds: 1, cause: "others changed the campaign all the time" })
    })

  // None of these sets a limit, so none can be rejected for its limit.
  const state = (action: string, decide: (campaign: Campaign) => Either.Either<CampaignSettings, CampaignEnded>) =>
  (request: ChangeRequest): Effect.Effect<Campaign, ChangeFailure> =>
    Effect.catchTag(change(request, action, decide), "InvalidArgument", (failure) => Effect.die(failure))

  return CampaignChanges.of({
    create: ({ draft, requestId, tooLate }, actor) =>
      Effect.gen(function*() {
        const request = requestId === undefined ? undefined : { id: requestId, content: contentOf(draft) }
        const before = yield* createdBy(request)
        if (before !== undefined) return before
        if (tooLate !== undefined) return yield* tooLate
        const campaign = yield* Effect.catchTag(made(draft, request, actor), "RequestRepeated", () =>
          Effect.flatMap(createdBy(request), (campaign) =>
            campaign === undefined ? Effect.fail(lostSight) : Effect.succeed(campaign)))
        // The transaction of its creation has begun its log: no relay does.
        news.publish([campaign.campaignId])
        return campaign
      }),
    update: (request, update) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        change(request, "campaign.update", patched(update, now))),
    pause: state("campaign.pause", paused),
    resume: state("campaign.resume", resumed),
    end: state("campaign.end", ended)
  })
})

export const layer = Layer.scoped(CampaignChanges, make)
