import type { Attempt } from "./History.ts"

/**
 * One attempt to change a campaign, as the one operator who changes it saw it; each names the version that it expects.
 */
export interface Change {
  /** As in `Attempt`. */
  readonly askedAt: number
  readonly answeredAt: number
  readonly campaignId: number
  readonly kind: "pause" | "resume" | "raise"
  /** `OK`, or a failure's message, or `NO_ANSWER`. */
  readonly outcome: string
  readonly expectedVersion: number
  /** Of a raise: the limit asked for. */
  readonly couponLimit?: number
}

/**
 * When a change can have happened at the latest: at its acknowledgement; or, if its outcome is open, when one was
 * acknowledged that expected a later version, since by then the campaign was not at this one's any more.
 */
const latest = (changes: ReadonlyArray<Change>, k: number): number =>
  (changes[k]!.outcome === "OK"
    ? changes[k]
    : changes.find(({ expectedVersion, outcome }) => outcome === "OK" && expectedVersion > changes[k]!.expectedVersion))
    ?.answeredAt ?? Infinity

/** I8 and I8b by version, and the strictness of a pause: for a campaign whose changes these are, in order. */
export const changeViolations = (
  campaignId: number,
  holders: ReadonlySet<string>,
  attempts: ReadonlyArray<Attempt>,
  changes: ReadonlyArray<Change>
): ReadonlyArray<string> => {
  const violations: Array<string> = []
  const say = (name: string, text: string) => violations.push(`${name} campaign ${campaignId}: ${text}`)
  const oks = attempts.filter(({ outcome }) => outcome === "OK")
  const soldOuts = attempts.filter(({ outcome }) => outcome === "COUPON_SOLD_OUT")

  for (const [k, { answeredAt, kind, outcome }] of changes.entries()) {
    if (kind !== "pause" || outcome !== "OK") continue
    const resumedAt = changes.slice(k).find((change) => change.kind === "resume")?.askedAt ?? Infinity
    for (const ok of oks) {
      if (ok.askedAt > answeredAt && ok.answeredAt < resumedAt) {
        const late = (ok.askedAt - answeredAt).toFixed(1)
        say("pause", `user ${ok.userId} received OK for a claim sent ${late} ms after a pause was acknowledged`)
      }
    }
  }

  const raises = changes.flatMap((change, k) =>
    change.kind === "raise" ? [{ from: change.askedAt, to: latest(changes, k) }] : []
  )
  for (const soldOut of soldOuts) {
    const later = oks.find(({ answeredAt, askedAt }) =>
      askedAt > soldOut.answeredAt && !raises.some(({ from, to }) => from < answeredAt && to > soldOut.askedAt))
    if (later !== undefined) {
      say("I8", `user ${later.userId} asked after a COUPON_SOLD_OUT, without a raise between them, and received OK`)
      break
    }
  }

  // Who holds a coupon asked for it first: so many there were at most, when a user received that all are gone.
  const firstAsked = new Map<string, number>()
  const heldSince = new Map<string, number>()
  const least = (map: Map<string, number>, userId: string, time: number) =>
    map.set(userId, Math.min(map.get(userId) ?? Infinity, time))
  for (const { answeredAt, askedAt, outcome, userId } of attempts) {
    if (holders.has(userId)) least(firstAsked, userId, askedAt)
    if (outcome === "OK" || outcome === "COUPON_ALREADY_CLAIMED") least(heldSince, userId, answeredAt)
  }
  const asked = [...firstAsked.values()].sort((a, b) => a - b)
  for (const soldOut of soldOuts) {
    const { answeredAt, askedAt, userId } = soldOut
    if ((heldSince.get(userId) ?? Infinity) < askedAt) {
      say("I8b", `user ${userId} held a coupon and received COUPON_SOLD_OUT`)
    }
    const limit = Math.max(
      0,
      ...changes.flatMap((change) =>
        change.kind === "raise" && change.outcome === "OK" && change.answeredAt < askedAt ? [change.couponLimit!] : []
      )
    )
    const issued = asked.findIndex((time) => time >= answeredAt)
    if (limit > (issued === -1 ? asked.length : issued)) {
      say(
        "I8",
        `user ${userId} received COUPON_SOLD_OUT after a raise to ${limit}, of which at most ${issued} were issued`
      )
    }
  }
  return violations
}
