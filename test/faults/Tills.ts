import { setTimeout as pause } from "node:timers/promises"
import type { Change } from "../invariants/Changes.ts"
import type { Attempt } from "../invariants/History.ts"
import { isDefinite, type RedemptionAttempt } from "../invariants/Redemptions.ts"
import { makeRandom } from "./Random.ts"

/** A campaign whose coupons tills redeem. */
export interface TilledCampaign {
  readonly campaignId: number
  readonly limit: number
  /** Whether revocations may return slots: then nothing else raises its limit. */
  readonly returns: boolean
}

/** What tills and operators did, once all of it is known. */
export interface TillsEnd {
  readonly attempts: ReadonlyArray<RedemptionAttempt>
  /** Returned slots, as changes of their campaigns. */
  readonly returns: ReadonlyArray<Change>
  /** Requests that were not answered for good. */
  readonly open: ReadonlyArray<string>
}

/** Tills that redeem and undo, and operators who revoke, under whatever faults there are. */
export interface Tills {
  readonly stop: () => Promise<TillsEnd>
}

interface Request extends Pick<RedemptionAttempt, "campaignId" | "userId" | "action" | "returnSlot" | "requestId"> {
  readonly firstAskedAt: number
}

const COUNT = 6
const REPLY_MILLIS = 8_000

/** How often a till asks before it leaves a request for later; of those, and at the end, it asks until it knows. */
const RETRIES = 8

/** Coupons that tills compete for: the newest so many of a campaign. */
const CONTENDED = 60

/** Requests that are repeated side by side at the end. */
const REPEATED_AT_ONCE = 24

const THINK_MILLIS = [5, 60] as const

/** How long the last requests may take once all is well. */
const LAST_MILLIS = 15_000

const METHODS = { REDEEM: "RedeemCoupon", UNDO: "UndoRedemption", REVOKE: "RevokeCoupon" } as const

const now = () => performance.timeOrigin + performance.now()

/**
 * Starts tills on coupons that users have received, by `history`. A request without an answer for good is repeated with
 * its id at other instances. At the end all open ones are, and each is asked once more: its answer must be the same.
 */
export const startTills = (
  urls: () => ReadonlyArray<string>,
  history: ReadonlyArray<Attempt>,
  campaigns: ReadonlyArray<TilledCampaign>,
  seed: number
): Tills => {
  const attempts: Array<RedemptionAttempt> = []
  const returns: Array<Change> = []
  const returned = new Map<number, number>()
  const definite: Array<Request> = []
  const open: Array<Request> = []
  const holders = new Map<number, Array<string>>(campaigns.map(({ campaignId }) => [campaignId, []]))
  let read = 0
  let stopping = false

  const learn = () => {
    for (; read < history.length; read++) {
      const { campaignId, outcome, userId } = history[read]!
      if (outcome === "OK") holders.get(campaignId)?.push(userId)
    }
  }

  const ask = async (request: Request, url: string): Promise<boolean> => {
    const { action, campaignId, firstAskedAt, requestId, returnSlot, userId } = request
    const askedAt = now()
    const answer = await fetch(`${url}/coupon.v1.CouponService/${METHODS[action]}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ campaignId, userId, requestId, ...action === "REVOKE" ? { returnSlot } : {} }),
      signal: AbortSignal.timeout(REPLY_MILLIS)
    }).then(async (reply) => ({ status: reply.status, text: await reply.text() })).then(
      ({ status, text }) => {
        const message = status === 200 ? "OK" : String((JSON.parse(text) as Record<string, unknown>)["message"])
        return { outcome: message, text }
      }
    ).catch(() => ({ outcome: "NO_ANSWER", text: "" }))
    const attempt = { askedAt, answeredAt: now(), campaignId, userId, action, returnSlot, requestId, ...answer }
    attempts.push(attempt)
    if (!isDefinite(answer.outcome)) return false
    const limit = campaigns.find((of) => of.campaignId === campaignId)!.limit
    if (answer.outcome === "OK" && returnSlot && !definite.includes(request)) {
      const count = (returned.get(campaignId) ?? 0) + 1
      returned.set(campaignId, count)
      returns.push({
        askedAt: firstAskedAt, answeredAt: attempt.answeredAt, campaignId, kind: "raise", outcome: "OK",
        expectedVersion: 0, couponLimit: limit + count
      })
    }
    return true
  }

  const insist = async (request: Request, first: number, until: () => boolean): Promise<boolean> => {
    for (let turn = first; until(); turn++) {
      const all = urls()
      if (await ask(request, all[turn % all.length]!)) {
        definite.push(request)
        return true
      }
      await pause(20)
    }
    return false
  }

  const till = async (number: number) => {
    const random = makeRandom(seed * 100 + number + 7)
    for (let k = 0; !stopping; k++) {
      await pause(random.integer(...THINK_MILLIS))
      learn()
      const { campaignId, returns } = random.pick(campaigns)
      const contended = holders.get(campaignId)!.slice(-CONTENDED)
      if (contended.length === 0) continue
      const kind = random.next()
      const action = kind < 0.55 ? "REDEEM" : kind < 0.85 ? "UNDO" : "REVOKE"
      const returnSlot = action === "REVOKE" && returns && random.chance(0.6)
      const requestId = `till ${number} request ${k}`
      const userId = random.pick(contended)
      const request = { campaignId, userId, action, returnSlot, requestId, firstAskedAt: now() } as const
      let left = RETRIES
      if (!await insist(request, random.integer(0, 2), () => left-- > 0)) open.push(request)
    }
  }

  const running = Promise.all(Array.from({ length: COUNT }, (_, number) => till(number)))
  return {
    stop: async () => {
      stopping = true
      await running
      const end = now() + LAST_MILLIS
      const inTime = () => now() < end
      const left = await Promise.all(open.map(async (request, k) => await insist(request, k, inTime) ? [] : [request]))
      const all = [...definite]
      for (let from = 0; from < all.length; from += REPEATED_AT_ONCE) {
        const some = all.slice(from, from + REPEATED_AT_ONCE)
        await Promise.all(some.map((request, k) => ask(request, urls()[(from + k) % urls().length]!)))
      }
      return { attempts, returns, open: left.flat().map(({ requestId }) => requestId) }
    }
  }
}
