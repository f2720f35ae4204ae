import type { RedemptionAttempt } from "./Redemptions.ts"
import type { LedgerView } from "./Snapshot.ts"

/** Until when a campaign's coupons can be redeemed, and what became of requests, as the ledger's rows have it. */
export interface ExpiryView {
  /** In the order in which they were set. `policy`: JSON; `null`: coupons do not expire. */
  readonly validities: ReadonlyArray<{ readonly firstId: number; readonly policy: string | null }>
  /** When each coupon was issued, in milliseconds. */
  readonly issuedAt: ReadonlyMap<number, number>
  readonly requests: ReadonlyArray<{
    readonly requestId: string
    readonly couponId: number
    readonly outcome: string
    readonly at: number
  }>
}

/** The expiry of a coupon. Only of validities as the harness sets them: for some seconds. */
const expiryOf = ({ issuedAt, validities }: ExpiryView, couponId: number): number | undefined => {
  const policy = validities.findLast(({ firstId }) => firstId <= couponId)?.policy
  if (policy === undefined || policy === null) return undefined
  const { after, zone } = JSON.parse(policy) as { readonly after?: string; readonly zone?: unknown }
  const seconds = /^PT(\d+)S$/.exec(after ?? "")?.[1]
  if (seconds === undefined || zone !== undefined) throw new Error(`this check knows no such validity: ${policy}`)
  return issuedAt.get(couponId)! + Number(seconds) * 1_000
}

/** R6 by the rows alone: nothing is redeemed at or after its expiry, and nothing refused as expired before that. */
export const expiryViolations = ({ campaignId, expiry }: LedgerView): ReadonlyArray<string> => {
  if (expiry === undefined) return []
  return expiry.requests.flatMap(({ at, couponId, outcome, requestId }) => {
    const isOver = at >= (expiryOf(expiry, couponId) ?? Infinity)
    if (isOver ? outcome !== "DONE" && outcome !== "REDEEMED" : outcome !== "EXPIRED") return []
    const text = isOver ? "after its expiry" : "before its expiry, or it has none"
    return [`R6 campaign ${campaignId}: ${requestId} on coupon ${couponId} is ${outcome}, ${text}`]
  })
}

/** The coupon that an answer shows, in itself or as the detail of its failure. */
const couponIn = (text: string): { readonly number: number; readonly expiresAt?: string } | undefined => {
  if (text === "") return undefined
  const answer = JSON.parse(text) as {
    readonly coupon?: { readonly number: number }
    readonly details?: ReadonlyArray<{ readonly debug?: { readonly number: number } }>
  }
  return answer.coupon ?? answer.details?.[0]?.debug
}

/** R6 by the answers: whichever instance shows a coupon, and whatever was set since, its expiry is the same. */
export const expiryHistoryViolations = (
  { campaignId, expiry }: LedgerView,
  history: ReadonlyArray<RedemptionAttempt>
): ReadonlyArray<string> => {
  if (expiry === undefined) return []
  return history.filter((of) => of.campaignId === campaignId).flatMap(({ requestId, text }) => {
    const coupon = couponIn(text)
    if (coupon === undefined) return []
    const shown = coupon.expiresAt === undefined ? undefined : Date.parse(coupon.expiresAt)
    const promised = expiryOf(expiry, coupon.number)
    return shown === promised
      ? []
      : [`R6 campaign ${campaignId}: ${requestId} shows ${shown} as the expiry of coupon ${coupon.number}: ${promised}`]
  })
}
