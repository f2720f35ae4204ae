import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import { createHash } from "node:crypto"
import { AppConfig } from "../config/AppConfig.ts"
import type { Campaign, CampaignId, CampaignStatus } from "../domain/Campaign.ts"
import type { CampaignPhase } from "../domain/CampaignPhase.ts"
import type { Coupon, UserId } from "../domain/Coupon.ts"
import { InvalidArgument, Overloaded, RecordNotFound, type Unavailable } from "../domain/Failure.ts"
import { CampaignChanges } from "./CampaignChanges.ts"
import { CouponLookup } from "../claim/CouponLookup.ts"
import { GateRebuilder } from "../agents/GateRebuilder.ts"
import { KnownCampaigns } from "../agents/KnownCampaigns.ts"
import * as CampaignReads from "./CampaignReads.ts"
import * as CouponPages from "./listing/CouponPages.ts"
import { storeDown } from "./StoreDown.ts"
import { CampaignStore } from "../ports/CampaignStore.ts"
import { Ledger } from "../ports/Ledger.ts"
import { PhaseWatch } from "../agents/PhaseWatch.ts"

/** A campaign with one page of its coupons. */
export interface CampaignPage {
  readonly campaign: Campaign
  /** `undefined`: none was asked for. */
  readonly coupons: ReadonlyArray<Coupon> | undefined
  /** The token of the next page; `undefined` on the last one. */
  readonly nextPageToken: string | undefined
}

/** A page of campaigns, newest first. */
export interface CampaignList {
  readonly campaigns: ReadonlyArray<Campaign>
  /** The token of the next page; `undefined` on the last one. */
  readonly nextPageToken: string | undefined
}

/** Which campaigns to list. `status` `undefined`, no `phases` and an empty `namePrefix` do not filter. */
export interface CampaignFilter {
  /** `undefined`: all; else these alone, whatever the rest says. Not part of what a page token is for. */
  readonly only?: ReadonlySet<CampaignId> | undefined
  readonly status: CampaignStatus | undefined
  readonly phases: ReadonlyArray<CampaignPhase>
  readonly namePrefix: string
}

/** The most codes that one page of `get` holds. */
export const MAX_PAGE_SIZE = 10_000

/** And to a caller without a key: each code of a page costs time, and these callers are any number. */
export const MAX_ANONYMOUS_PAGE_SIZE = 1_000

/** The most campaigns that one page of `list` holds, and the number without a page size. */
export const MAX_LIST_SIZE = 1_000
export const LIST_SIZE = 100

/** Creates, changes, reads and lists campaigns, and looks up coupons. */
export class Campaigns extends Context.Tag("coupon/issuance/Campaigns")<Campaigns, {
  /** `OutcomeUnknown`: the campaign may have been stored. */
  readonly create: CampaignChanges["Type"]["create"]
  readonly update: CampaignChanges["Type"]["update"]
  readonly pause: CampaignChanges["Type"]["pause"]
  readonly resume: CampaignChanges["Type"]["resume"]
  readonly end: CampaignChanges["Type"]["end"]
  /** `pageSize` 0 or above `MAX_PAGE_SIZE` means `MAX_PAGE_SIZE`. An empty `pageToken` means the first page. */
  readonly get: (
    campaignId: CampaignId,
    pageSize: number,
    pageToken: string
  ) => Effect.Effect<CampaignPage, InvalidArgument | RecordNotFound | Unavailable | Overloaded>
  /** The campaign alone, for callers who may not list codes. */
  readonly getWithoutCodes: (campaignId: CampaignId) => Effect.Effect<CampaignPage, RecordNotFound | Unavailable>
  /** `pageSize` 0 means `LIST_SIZE`, with at most `MAX_LIST_SIZE`. A `pageToken` is valid only for its own filter. */
  readonly list: (
    filter: CampaignFilter,
    pageSize: number,
    pageToken: string
  ) => Effect.Effect<CampaignList, InvalidArgument | Unavailable>
  /** The coupon that the user holds. */
  readonly getCoupon: (
    campaignId: CampaignId,
    userId: UserId
  ) => Effect.Effect<Coupon, RecordNotFound | Unavailable | Overloaded>
}>() {}

const invalidToken = (reason: string) => Either.left(new InvalidArgument({ field: "pageToken", reason }))

// The token holds the last coupon's number, encoded so that clients do not compute with it.
const encodeToken = (campaignId: CampaignId, afterId: number): string =>
  Buffer.from(`${campaignId}.${afterId}`).toString("base64url")

const decodeToken = (campaignId: CampaignId, token: string): Either.Either<number, InvalidArgument> => {
  if (token === "") return Either.right(0)
  const match = /^(\d{1,10})\.(\d{1,10})$/.exec(Buffer.from(token, "base64url").toString())
  return match !== null && Number(match[1]) === campaignId && encodeToken(campaignId, Number(match[2])) === token
    ? Either.right(Number(match[2]))
    : invalidToken("must be the nextPageToken of a page of this campaign")
}

// The token holds the last campaign's id and a digest of the filter: with another filter, campaigns would be left out.
const encodeListToken = (filter: CampaignFilter, beforeId: CampaignId): string => {
  const digest = createHash("sha256").update(JSON.stringify([
    filter.status ?? null,
    filter.namePrefix,
    // Without phases the digest is the same as before phases existed, so old tokens stay valid.
    ...filter.phases.length === 0 ? [] : [[...new Set(filter.phases)].sort()]
  ])).digest("hex").slice(0, 12)
  return Buffer.from(`${beforeId}.${digest}`).toString("base64url")
}

const decodeListToken = (
  filter: CampaignFilter,
  token: string
): Either.Either<CampaignId | undefined, InvalidArgument> => {
  if (token === "") return Either.right(undefined)
  const match = /^(\d{1,10})\.[0-9a-f]{12}$/.exec(Buffer.from(token, "base64url").toString())
  return match !== null && encodeListToken(filter, Number(match[1])) === token
    ? Either.right(Number(match[1]))
    : invalidToken("must be the nextPageToken of a page of this list")
}

const decodePageSize = (pageSize: number, usual: number, most: number): Either.Either<number, InvalidArgument> =>
  pageSize < 0
    ? Either.left(new InvalidArgument({ field: "pageSize", reason: `must be 0 to ${most}` }))
    : Either.right(pageSize === 0 ? usual : Math.min(pageSize, most))

export const make = Effect.gen(function*() {
  const config = yield* AppConfig
  const { create, end, pause, resume, update } = yield* CampaignChanges
  const known = yield* KnownCampaigns
  const store = yield* CampaignStore
  const ledger = yield* Ledger
  const lookup = yield* CouponLookup
  const find = CampaignReads.forCalls(yield* CampaignReads.CampaignReads, config.requestTimeout)
  const pages = CouponPages.make(ledger.listCoupons)
  const phases = yield* PhaseWatch
  const rebuilder = yield* GateRebuilder
  const scope = yield* Effect.scope
  const requestMillis = Duration.toMillis(config.requestTimeout)

  /** Records the phase before a change, if it was just reached, and the phase after it. */
  const watched = <E>(campaignId: CampaignId, change: Effect.Effect<Campaign, E>): Effect.Effect<Campaign, E> =>
    Effect.zipRight(phases.look(campaignId), Effect.zipLeft(change, phases.look(campaignId)))

  return Campaigns.of({
    create: (order, actor) =>
      // Prepares the gate before the first claim. If that fails, the first claim rebuilds it.
      Effect.tap(create(order, actor), ({ campaignId }) => {
        known.touch(campaignId)
        return Effect.zipRight(Effect.forkIn(rebuilder.ensure(campaignId), scope), phases.look(campaignId))
      }),

    update: (request, patch) => watched(request.campaignId, update(request, patch)),
    pause: (request) => watched(request.campaignId, pause(request)),
    resume: (request) => watched(request.campaignId, resume(request)),
    end: (request) => watched(request.campaignId, end(request)),

    list: (filter, pageSize, pageToken) =>
      Effect.gen(function*() {
        const limit = yield* decodePageSize(pageSize, LIST_SIZE, MAX_LIST_SIZE)
        const beforeId = yield* decodeListToken(filter, pageToken)
        const page = yield* Effect.mapError(store.list({ ...filter, beforeId, limit }), storeDown)
        const { campaigns, nextBeforeId } = page
        const nextPageToken = nextBeforeId === undefined ? undefined : encodeListToken(filter, nextBeforeId)
        return { campaigns, nextPageToken }
      }),

    get: (campaignId, pageSize, pageToken) =>
      Effect.gen(function*() {
        const limit = yield* decodePageSize(pageSize, MAX_PAGE_SIZE, MAX_PAGE_SIZE)
        const afterId = yield* decodeToken(campaignId, pageToken)
        const campaign = yield* find(campaignId)
        // Lists coupons up to the counter just read, so that coupons and counter of one answer agree.
        const left = campaign.issuedCount - afterId
        const coupons = left <= 0
          ? []
          : yield* Effect.mapError(
            pages.read({ campaignId, afterId, count: limit, issued: campaign.issuedCount }),
            (failure) => failure._tag === "Overloaded" ? failure : storeDown(failure)
          )
        const nextPageToken = left > limit ? encodeToken(campaignId, coupons.at(-1)!.id) : undefined
        return { campaign, coupons, nextPageToken }
      }),

    getWithoutCodes: (campaignId) =>
      Effect.map(find(campaignId), (campaign) => ({ campaign, coupons: undefined, nextPageToken: undefined })),

    getCoupon: (campaignId, userId) =>
      Effect.gen(function*() {
        if (lookup.size() >= config.issueQueueLimit) return yield* new Overloaded({ retryAfterSeconds: 1 })
        const expiresAt = performance.now() + requestMillis
        const coupon = yield* Effect.mapError(lookup.find(campaignId, userId, expiresAt), storeDown)
        return coupon ?? (yield* new RecordNotFound())
      })
  })
})

export const layer = Layer.scoped(Campaigns, make)
