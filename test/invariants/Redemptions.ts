import type { LedgerView } from "./Snapshot.ts"

/** What was done to a campaign's coupons after they were issued, as the ledger's rows have it. */
export interface RedemptionView {
  /** Of the campaign: how many slots were returned. */
  readonly returned: number
  /** Every request with its answer; those that were done come in the order of their sequences. */
  readonly answers: ReadonlyArray<{
    /** `undefined`: it was refused. */
    readonly sequence: number | undefined
    readonly couponId: number
    readonly action: string
    readonly outcome: string
    readonly requestId: string
    readonly slotReturned: boolean
  }>
  readonly states: ReadonlyMap<number, { readonly state: string; readonly sequence: number }>
}

/** One attempt of a till or an operator, as they saw it. */
export interface RedemptionAttempt {
  /** As in `Attempt`. */
  readonly askedAt: number
  readonly answeredAt: number
  readonly campaignId: number
  readonly userId: string
  readonly action: "REDEEM" | "UNDO" | "REVOKE"
  readonly returnSlot: boolean
  readonly requestId: string
  /** `OK`, or a failure's message, or `NO_ANSWER`. */
  readonly outcome: string
  /** The whole answer. */
  readonly text: string
}

/** Answers that the ledger keeps, and how it names them. */
const KEPT: Readonly<Record<string, string>> = {
  OK: "DONE",
  COUPON_REDEEMED: "REDEEMED",
  COUPON_REVOKED: "REVOKED",
  COUPON_EXPIRED: "EXPIRED",
  RECORD_NOT_FOUND: "ABSENT"
}

/** Answers that nothing was done, now or later, by this attempt. */
const NOTHING_DONE = new Set(["UNAVAILABLE", "OVERLOADED", "CODES_EXHAUSTED"])

/** Whether an answer is the one for good; otherwise the request is to be repeated. */
export const isDefinite = (outcome: string): boolean => outcome in KEPT || outcome === "CODES_EXHAUSTED"

const types: Readonly<Record<string, string>> = {
  REDEEM: "coupon.redeemed",
  UNDO: "coupon.redemption_undone",
  REVOKE: "coupon.revoked"
}

/** R1, R2, R4 and R5 by the rows alone, always; the log may lack what comes last. */
export const redemptionViolations = (
  { campaignId, log, redemptions }: LedgerView
): ReadonlyArray<string> => {
  if (redemptions === undefined) return []
  const violations: Array<string> = []
  const say = (name: string, text: string) => violations.push(`${name} campaign ${campaignId}: ${text}`)
  const { answers, returned, states } = redemptions
  const done = answers.filter(({ sequence }) => sequence !== undefined)
  const left = new Map<number, { readonly state: string; readonly sequence: number }>()
  for (const [k, { action, couponId, sequence }] of done.entries()) {
    if (sequence !== k + 1) say("R4", `act ${k + 1} has the sequence ${sequence}`)
    const before = left.get(couponId)?.state
    if (before !== (action === "UNDO" ? "REDEEMED" : undefined)) {
      say("R1", `coupon ${couponId} was ${before ?? "ISSUED"} before the ${action} ${sequence}`)
    }
    if (action === "UNDO") left.delete(couponId)
    else left.set(couponId, { state: action === "REDEEM" ? "REDEEMED" : "REVOKED", sequence: sequence! })
  }
  for (const couponId of new Set([...left.keys(), ...states.keys()])) {
    const [expected, stored] = [left.get(couponId), states.get(couponId)]
    if (expected?.state !== stored?.state || expected?.sequence !== stored?.sequence) {
      say("R4", `coupon ${couponId} is ${stored?.state ?? "ISSUED"}, its acts leave ${expected?.state ?? "ISSUED"}`)
    }
  }
  const requests = new Set(answers.map(({ requestId }) => requestId))
  if (requests.size !== answers.length) say("R2", `${answers.length} answers were given to ${requests.size} requests`)
  const slots = done.filter(({ action, slotReturned }) => action === "REVOKE" && slotReturned).length
  if (slots !== returned) say("R5", `returned is ${returned}, ${slots} revocations have returned their slot`)
  const logged = (log?.events ?? []).filter(({ redemption }) => redemption !== undefined)
  logged.forEach(({ redemption, type }, k) => {
    const act = done[k]
    if (redemption !== k + 1 || act === undefined || types[act.action] !== type) {
      say("R4", `the log has ${type} of act ${redemption} as its ${k + 1}th, the ledger ${act?.action ?? "nothing"}`)
    }
  })
  return violations
}

/** R4 at rest: the log has every act. */
export const redemptionRestViolations = ({ campaignId, log, redemptions }: LedgerView): ReadonlyArray<string> => {
  if (log === undefined || redemptions === undefined) return []
  const acts = redemptions.answers.filter(({ sequence }) => sequence !== undefined).length
  const logged = log.events.filter(({ redemption }) => redemption !== undefined).length
  return acts === logged ? [] : [`R4 campaign ${campaignId}: the log has ${logged} of ${acts} acts`]
}

/** R2 and R3: what tills and operators received against the rows. */
export const redemptionHistoryViolations = (
  { campaignId, redemptions }: LedgerView,
  history: ReadonlyArray<RedemptionAttempt>
): ReadonlyArray<string> => {
  if (redemptions === undefined) return []
  const violations: Array<string> = []
  const say = (name: string, text: string) => violations.push(`${name} campaign ${campaignId}: ${text}`)
  const stored = new Map(redemptions.answers.map((of) => [of.requestId, of]))
  const requests = Map.groupBy(history.filter((of) => of.campaignId === campaignId), ({ requestId }) => requestId)
  for (const [requestId, attempts] of requests) {
    const row = stored.get(requestId)
    const answers = attempts.filter(({ outcome }) => outcome in KEPT)
    const [first] = answers
    if (answers.some(({ text }) => text !== first!.text)) {
      say("R2", `request ${requestId} was answered ${[...new Set(answers.map(({ outcome }) => outcome))].join(", ")}`)
    }
    if (first !== undefined && row?.outcome !== KEPT[first.outcome]) {
      say("R3", `request ${requestId} was answered ${first.outcome}, the ledger has ${row?.outcome ?? "nothing"}`)
    }
    if (row !== undefined && attempts.every(({ outcome }) => NOTHING_DONE.has(outcome))) {
      say("R3", `request ${requestId} was answered that nothing was done, the ledger has ${row.outcome}`)
    }
  }
  const strangers = redemptions.answers.filter(({ requestId }) => !requests.has(requestId))
  if (strangers.length > 0) say("R3", `the ledger has answers to requests that no one sent: ${strangers[0]!.requestId}`)
  return violations
}
