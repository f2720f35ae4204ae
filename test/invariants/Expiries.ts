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

const DAY_MILLIS = 86_400_000

/** Zones of the harness and of the contract, whose clocks are never changed: so far ahead of UTC. */
const AHEAD_MILLIS: Readonly<Record<string, number>> = { "Asia/Seoul": 9 * 3_600_000 }

/** The expiry of a coupon, by arithmetic of its own; only of validities as the harness and the contract set them. */
const expiryOf = ({ issuedAt, validities }: ExpiryView, couponId: number): number | undefined => {
  const policy = validities.findLast(({ firstId }) => firstId <= couponId)?.policy
  if (policy === undefined || policy === null) return undefined
  const { after = "", until, zone } = JSON.parse(policy) as {
    readonly until?: number
    readonly after?: string
    readonly zone?: { readonly name: string }
  }
  if (until !== undefined) return until
  const [, days, seconds] = /^P(?:(\d+)D|T(\d+)S)$/.exec(after) ?? []
  const ahead = zone === undefined ? 0 : AHEAD_MILLIS[zone.name]
  if ((days ?? seconds) === undefined || ahead === undefined) {
    throw new Error(`this check knows no such validity: ${policy}`)
  }
  const reached = issuedAt.get(couponId)! + (days === undefined ? Number(seconds) * 1_000 : Number(days) * DAY_MILLIS)
  return zone === undefined ? reached : (Math.floor((reached + ahead) / DAY_MILLIS) + 1) * DAY_MILLIS - ahead
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
