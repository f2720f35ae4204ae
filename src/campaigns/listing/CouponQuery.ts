import * as Either from "effect/Either"
import { createHash } from "node:crypto"
import { type CampaignId, parseCampaignId } from "../../domain/Campaign.ts"
import { parseUserId, type UserId } from "../../domain/Coupon.ts"
import { InvalidArgument } from "../../domain/Failure.ts"
import type { CouponState } from "../../domain/redemption/Redemption.ts"
import { type EpochMillis, parseRfc3339 } from "../../domain/Time.ts"
import type { IssueWindow } from "../../ports/Ledger.ts"

/** Which coupons to list: of a campaign, of a user in all campaigns, or the one of a user in a campaign. */
export interface CouponFilter extends IssueWindow {
  readonly campaignId: CampaignId | undefined
  readonly userId: UserId | undefined
  /** The last coupon first, or the newest campaign. */
  readonly descending: boolean
  /** In one of these states by the ledger's clock; empty: in any. */
  readonly states: ReadonlyArray<CouponState>
}

/** A page of a list, validated by `parseQuery`. */
export interface CouponQuery {
  readonly filter: CouponFilter & ({ readonly campaignId: CampaignId } | { readonly userId: UserId })
  /** What the page before ended with: a number, or a campaign of a user's list; `undefined`: the first page. */
  readonly position: number | undefined
  readonly limit: number
}

/** The most coupons that one page holds, and the number without a page size. */
export const MAX_COUPON_PAGE = 1_000
export const COUPON_PAGE = 100

const reject = (field: string, reason: string) => Either.left(new InvalidArgument({ field, reason }))

// As the token of a list of campaigns: with another filter, coupons would be left out.
export const encodeToken = (filter: CouponFilter, position: number): string => {
  const { before, campaignId, descending, from, states, userId } = filter
  const content = [
    ...[campaignId ?? 0, String(userId ?? 0), descending, from ?? null, before ?? null],
    // Without states the digest is the same as before states existed, so old tokens stay valid.
    ...states.length === 0 ? [] : [[...new Set(states)].sort()]
  ]
  const digest = createHash("sha256").update(JSON.stringify(content))
    .digest("hex").slice(0, 12)
  return Buffer.from(`${position}.${digest}`).toString("base64url")
}

const decodeToken = (filter: CouponFilter, token: string): Either.Either<number | undefined, InvalidArgument> => {
  if (token === "") return Either.right(undefined)
  const match = /^(\d{1,10})\.[0-9a-f]{12}$/.exec(Buffer.from(token, "base64url").toString())
  return match !== null && encodeToken(filter, Number(match[1])) === token
    ? Either.right(Number(match[1]))
    : reject("pageToken", "must be the nextPageToken of a page of this list")
}

const parseTime = (field: string, text: string): Either.Either<EpochMillis | undefined, InvalidArgument> =>
  text === "" ? Either.right(undefined) : parseRfc3339(field, text)

/** Validates the fields of a list as a client sent them. Fails with the first field that breaks its rule. */
export const parseQuery = (input: {
  readonly campaignId: number
  readonly userId: bigint
  readonly pageSize: number
  readonly pageToken: string
  readonly descending: boolean
  readonly issuedFrom: string
  readonly issuedBefore: string
  readonly states: ReadonlyArray<CouponState>
}): Either.Either<CouponQuery, InvalidArgument> =>
  Either.gen(function*() {
    const { descending, pageSize, states } = input
    const campaignId = input.campaignId === 0 ? undefined : yield* parseCampaignId(input.campaignId)
    const userId = input.userId === 0n ? undefined : yield* parseUserId(input.userId)
    const from = yield* parseTime("issuedFrom", input.issuedFrom)
    const before = yield* parseTime("issuedBefore", input.issuedBefore)
    if (from !== undefined && before !== undefined && before <= from) {
      return yield* reject("issuedBefore", "must be later than issuedFrom")
    }
    if (pageSize < 0) return yield* reject("pageSize", `must be 0 to ${MAX_COUPON_PAGE}`)
    const limit = pageSize === 0 ? COUPON_PAGE : Math.min(pageSize, MAX_COUPON_PAGE)
    const rest = { descending, from, before, states }
    const filter: CouponQuery["filter"] = campaignId !== undefined
      ? { campaignId, userId, ...rest }
      : userId !== undefined
      ? { campaignId, userId, ...rest }
      : yield* reject("campaignId", "must be given, or userId, or both")
    return { filter, position: yield* decodeToken(filter, input.pageToken), limit }
  })
