import { setTimeout as pause } from "node:timers/promises"
import { changeViolations, type Change } from "./Changes.ts"
import { expiryHistoryViolations, expiryViolations } from "./Expiries.ts"
import { NOTHING_ISSUED, OPEN, type Attempt } from "./History.ts"
import {
  redemptionHistoryViolations, redemptionRestViolations, redemptionViolations, type RedemptionAttempt
} from "./Redemptions.ts"
import { openStores, type GateView, type LedgerView, type Stores } from "./Snapshot.ts"

// The names I1 to I10, E1, E2, G1 and G2 are those of the protocol's table of invariants.

const some = (what: ReadonlyArray<string>) =>
  what.slice(0, 5).join(", ") + (what.length > 5 ? `, … (${what.length} in all)` : "")

/** What a coupon has for its user once that was erased: its number with a minus. */
const isErased = ({ id, userId }: { readonly id: number; readonly userId: string }): boolean => userId === `-${id}`

/** I1, I2, I3, P1, P2 and the numbering of coupons: what the ledger's rows alone must satisfy, always. */
export const ledgerViolations = ({ campaignId, counter, coupons, limit, pool }: LedgerView): ReadonlyArray<string> => {
  const violations: Array<string> = []
  const say = (name: string, text: string) => violations.push(`${name} campaign ${campaignId}: ${text}`)
  const twice = (values: ReadonlyArray<string>) => {
    const seen = new Set<string>()
    return values.filter((value) => seen.has(value) || !seen.add(value))
  }
  if (coupons.length > limit) say("I1", `${coupons.length} coupons, the limit is ${limit}`)
  if (counter !== coupons.length) say("I2", `current_coupon is ${counter}, there are ${coupons.length} coupons`)
  if (coupons.some(({ id }, k) => id !== k + 1)) {
    say("I2", `the numbers of ${coupons.length} coupons are not 1 to ${coupons.length}`)
  }
  const users = twice(coupons.map(({ userId }) => userId))
  if (users.length > 0) say("I3", `users with more than one coupon: ${some(users)}`)
  const userless = coupons.filter((coupon) => Number(coupon.userId) <= 0 && !isErased(coupon))
  if (userless.length > 0) {
    say("U1", `coupons of no user that are not erased: ${some(userless.map(({ id }) => String(id)))}`)
  }
  const codes = twice(coupons.map(({ code }) => code))
  if (codes.length > 0) say("I3", `codes given more than once: ${some(codes)}`)
  if (pool !== undefined) {
    const others = coupons.filter(({ code, id }) => pool.codes.get(id) !== code)
    if (others.length > 0) {
      say("P1", `coupons whose code is not the pool's of their number: ${some(others.map(({ id }) => String(id)))}`)
    }
    if (pool.codes.size !== pool.codeCount) {
      say("P2", `of the ${pool.codeCount} codes of the pool ${pool.codes.size} are there`)
    }
  }
  return violations
}

/** E1 and E2: what the log of events must satisfy, always; what it lacks so far is all at the end of the coupons. */
export const logViolations = ({ campaignId, coupons, log }: LedgerView): ReadonlyArray<string> => {
  if (log === undefined) return []
  const violations: Array<string> = []
  const say = (name: string, text: string) => violations.push(`${name} campaign ${campaignId}: ${text}`)
  const { disordered, events, sequence } = log
  const gap = events.findIndex((event, k) => event.sequence !== k + 1)
  if (gap >= 0) say("E2", `event ${gap + 1} has the sequence ${events[gap]!.sequence}`)
  if (events.length !== sequence) say("E2", `${events.length} events, the head is at ${sequence}`)
  if (disordered > 0) say("E2", `${disordered} ranges stand on the wrong side of a change`)
  const versions = events.filter(({ isChange }) => isChange).map(({ version }) => version)
  if (versions.some((version, k) => version !== k + 1)) {
    say("E2", `changes have the versions ${some(versions.map(String))}`)
  }
  let last = 0
  for (const { firstId, lastId, sequence, type } of events) {
    if (type !== "coupon.issued") continue
    if (firstId !== last + 1 || lastId < firstId) {
      say("E1", `event ${sequence} has the coupons ${firstId} to ${lastId}, after ${last}`)
    }
    last = lastId
  }
  if (last > coupons.length) say("E1", `the log has ${last} coupons, the ledger ${coupons.length}`)
  return violations
}

/** E1 and E2 at rest: the log has everything. */
export const logRestViolations = (ledger: LedgerView): ReadonlyArray<string> => {
  const { campaignId, coupons, log } = ledger
  if (log === undefined) return []
  const last = log.events.reduce((most, { lastId }) => Math.max(most, lastId), 0)
  const changes = log.events.filter(({ isChange }) => isChange).length
  return [
    ...(last === coupons.length ? [] : [`E1 campaign ${campaignId}: the log has ${last} of ${coupons.length} coupons`]),
    ...redemptionRestViolations(ledger),
    ...(changes === log.version ? [] : [`E2 campaign ${campaignId}: the log has ${changes} of ${log.version} changes`])
  ]
}

/**
 * I4, I5, I6, I8, I8b: what clients received against the rows. `history` must hold every claim on the campaign, and
 * `changes` every attempt to change it.
 */
export const historyViolations = (
  ledger: LedgerView,
  history: ReadonlyArray<Attempt>,
  changes: ReadonlyArray<Change> = []
): ReadonlyArray<string> => {
  const violations: Array<string> = []
  const say = (name: string, text: string) => violations.push(`${name} campaign ${ledger.campaignId}: ${text}`)
  const attempts = history.filter(({ campaignId }) => campaignId === ledger.campaignId)
  const held = ledger.coupons.filter((coupon) => !isErased(coupon))
  const rows = new Map(held.map(({ code, userId }) => [userId, code]))
  // Whose these were is not known any more. They are there, so a user who received one received a coupon that exists.
  const erased = new Set(ledger.coupons.filter(isErased).map(({ code }) => code))
  const ownChanges = changes.filter(({ campaignId }) => campaignId === ledger.campaignId)
  const users = new Map<string, Array<Attempt>>()
  for (const attempt of attempts) {
    const sameUser = users.get(attempt.userId)
    if (sameUser === undefined) users.set(attempt.userId, [attempt])
    else sameUser.push(attempt)
  }

  for (const { code, outcome, userId } of attempts) {
    if (code !== undefined && erased.has(code)) continue
    if (outcome === "OK" && rows.get(userId) !== code) {
      say("I4", `user ${userId} received OK with code ${code}, the ledger has ${rows.get(userId) ?? "nothing"}`)
    }
    if (outcome === "COUPON_ALREADY_CLAIMED" && (code === undefined || rows.get(userId) !== code)) {
      const stored = rows.get(userId) ?? "nothing"
      say("I5", `user ${userId} received COUPON_ALREADY_CLAIMED with code ${code}, the ledger has ${stored}`)
    }
    // Sold out is for ever, unless the limit is raised: who holds a coupon held it by then.
    if (ownChanges.length === 0 && outcome === "COUPON_SOLD_OUT" && rows.has(userId)) {
      say("I8b", `user ${userId} holds a coupon and received COUPON_SOLD_OUT`)
    }
    if (
      outcome !== "OK" && outcome !== "COUPON_ALREADY_CLAIMED" && !NOTHING_ISSUED.has(outcome) && !OPEN.has(outcome)
    ) {
      say("contract", `user ${userId} received ${outcome}`)
    }
  }
  for (const [userId, own] of users) {
    const times = own.filter(({ code = "", outcome }) => outcome === "OK" && !erased.has(code)).length
    if (times > 1) say("I5", `user ${userId} received OK ${times} times`)
    if (rows.has(userId) && own.every(({ outcome }) => NOTHING_ISSUED.has(outcome))) {
      const outcomes = [...new Set(own.map(({ outcome }) => outcome))].join(", ")
      say("I6", `user ${userId} holds a coupon and only ever received ${outcomes}`)
    }
  }
  const uninvited = [...rows.keys()].filter((userId) => !users.has(userId))
  if (uninvited.length > 0) say("I6", `users hold coupons that they never asked for: ${some(uninvited)}`)

  if (ownChanges.length > 0) {
    return [...violations, ...changeViolations(ledger.campaignId, new Set(rows.keys()), attempts, ownChanges)]
  }
  let soldOutAt = Infinity
  for (const { answeredAt, outcome } of attempts) {
    if (outcome === "COUPON_SOLD_OUT") soldOutAt = Math.min(soldOutAt, answeredAt)
  }
  for (const { askedAt, outcome, userId } of attempts) {
    if (outcome === "OK" && askedAt > soldOutAt) {
      say(
        "I8",
        `user ${userId} asked ${(askedAt - soldOutAt).toFixed(1)} ms after the first COUPON_SOLD_OUT and received OK`
      )
    }
  }
  if (soldOutAt < Infinity && ledger.coupons.length !== ledger.limit) {
    say("I8", `a user received COUPON_SOLD_OUT, but only ${ledger.coupons.length} of ${ledger.limit} coupons exist`)
  }
  return violations
}

/** G1 for a gate that was read before the ledger. */
export const subsetViolations = (gate: GateView, ledger: LedgerView): ReadonlyArray<string> => {
  const holders = new Set(ledger.coupons.map(({ userId }) => userId))
  const ghosts = [...gate.issued].filter((userId) => !holders.has(userId))
  return ghosts.length === 0
    ? []
    : [`G1 campaign ${ledger.campaignId}: the gate knows holders that the ledger does not: ${some(ghosts)}`]
}

/** G2 for a gate that was read after the ledger. */
export const lagViolations = (gate: GateView, ledger: LedgerView): ReadonlyArray<string> => {
  if (!gate.hydrated) return []
  const settled = ledger.coupons.map(({ userId }) => userId).filter((userId) => !ledger.unsettledUsers.has(userId))
  const lost = settled.filter((userId) => !gate.issued.has(userId))
  if (lost.length === 0) return []
  const where = `G2 campaign ${ledger.campaignId}`
  return [`${where}: the gate is hydrated and misses holders that the outbox has settled: ${some(lost)}`]
}

/** I9 and I10: what must hold once nothing is under way any more. */
export const restViolations = (
  gate: GateView | undefined,
  ledger: LedgerView,
  eventStream: "off" | "redis" = "redis"
): ReadonlyArray<string> => {
  const violations: Array<string> = []
  const say = (name: string, text: string) => violations.push(`${name} campaign ${ledger.campaignId}: ${text}`)
  if (ledger.unsettled > 0) say("I9", `${ledger.unsettled} outbox rows are not settled`)
  if (gate === undefined) return violations
  const holders = ledger.coupons.map(({ userId }) => userId)
  const missing = holders.filter((userId) => !gate.issued.has(userId))
  if (missing.length > 0) {
    say("I9", `the gate ${gate.hydrated ? "" : "(not hydrated) "}misses holders: ${some(missing)}`)
  }
  if (gate.pending.length > 0) say("I9", `reservations are pending: ${some(gate.pending)}`)
  const coupons = new Map(ledger.coupons.map((coupon) => [coupon.code, coupon]))
  const published = new Set(gate.events.map(({ code }) => code))
  const unpublished = ledger.coupons.filter(({ code }) => !published.has(code)).map(({ userId }) => userId)
  if (eventStream === "off") {
    // The one that proves whose the keys are.
    if (gate.events.length > 1) say("I10", `${gate.events.length} CouponIssued events, and the event stream is off`)
  } else if (unpublished.length > 0) say("I10", `no CouponIssued event for users ${some(unpublished)}`)
  const wrong = gate.events.filter(({ code, userId }) => {
    const coupon = coupons.get(code)
    // An event may be older than the erasure of its user, and the one that proves whose the keys are names none.
    return coupon === undefined || (coupon.userId !== userId && !isErased(coupon) && userId !== `-${coupon.id}`)
  }).map(({ code, userId }) => `${userId} ${code}`)
  if (wrong.length > 0) say("I10", `CouponIssued events that the ledger does not confirm: ${some(wrong)}`)
  return violations
}

/**
 * A bound for what must happen, on a machine however busy: that it takes no more than I9's 10 s, the fault harness
 * holds.
 */
const REST_MILLIS = 60_000

/**
 * Checks every invariant on every campaign in the stores; throws one readable list of all violations. `history` must
 * hold all claims ever made on them, unless it is `undefined`: then only the state is checked. An embedded service's
 * own `dataDir` can be read while it runs.
 */
export const checkInvariants = async (
  stores: Stores,
  history: ReadonlyArray<Attempt> | undefined,
  options: {
    readonly atRest?: boolean
    readonly changes?: ReadonlyArray<Change>
    /** Every attempt to redeem, undo or revoke; `undefined`: only the state is checked. */
    readonly redemptions?: ReadonlyArray<RedemptionAttempt> | undefined
    /** No instance that knows of logs is there to append to them. */
    readonly logsMayLag?: boolean
  } = {}
): Promise<void> => {
  const reader = await openStores(stores)
  try {
    const violations: Array<string> = []
    const campaignIds = await reader.campaignIds()
    if (campaignIds.length === 0) throw new Error("there is no campaign to check")
    for (const campaignId of campaignIds) {
      const gate = await reader.gate?.(campaignId)
      const ledger = await reader.ledger(campaignId)
      const later = await reader.gate?.(campaignId)
      violations.push(...ledgerViolations(ledger), ...logViolations(ledger), ...redemptionViolations(ledger))
      violations.push(...expiryViolations(ledger))
      if (options.redemptions !== undefined) {
        violations.push(...redemptionHistoryViolations(ledger, options.redemptions))
        violations.push(...expiryHistoryViolations(ledger, options.redemptions))
      }
      if (history !== undefined) violations.push(...historyViolations(ledger, history, options.changes))
      if (gate !== undefined) violations.push(...subsetViolations(gate, ledger))
      if (later !== undefined) violations.push(...lagViolations(later, ledger))
    }
    const deadline = Date.now() + REST_MILLIS
    for (const campaignId of options.atRest === false ? [] : campaignIds) {
      for (;;) {
        const ledger = await reader.ledger(campaignId)
        const open = [
          ...restViolations(
            await reader.gate?.(campaignId),
            ledger,
            "eventStream" in stores ? stores.eventStream : undefined
          ),
          ...(options.logsMayLag === true ? [] : logRestViolations(ledger))
        ]
        if (open.length === 0) break
        if (Date.now() > deadline) {
          violations.push(...open.map((text) => `${text}, ${REST_MILLIS / 1_000} s after the last request`))
          break
        }
        await pause(20)
      }
    }
    if (violations.length > 0) {
      throw new Error(`invariants are violated:\n${violations.slice(0, 30).map((text) => `  ${text}`).join("\n")}`)
    }
  } finally {
    await reader.close()
  }
}
