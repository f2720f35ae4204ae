import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { CampaignId } from "../../domain/Campaign.ts"
import { MAX_SALE_SECONDS, saleCounts, type SaleSecond } from "../../domain/sale/SaleSecond.ts"
import * as RequestMetrics from "../../metrics/RequestMetrics.ts"
import { type CampaignCounts, SaleCounts } from "./SaleCounts.ts"

/** A look that comes so many seconds late has stood still: what it finds is of its own second alone. */
const MAX_LATE_SECONDS = 5

const UNREAD = saleCounts.indexOf("unread")
const WIDTH = 1 + saleCounts.length

/**
 * The latest seconds in which campaigns were claimed, as this instance has counted them: of each campaign that
 * `SaleCounts` has, at most `MAX_SALE_SECONDS`, in 40 kB. Seconds without a claim take no place, so what is left after
 * a sale is its end. In memory: a restart begins anew.
 */
export class SaleHistory extends Context.Tag("coupon/agents/SaleHistory")<SaleHistory, {
  /** Notes what was counted since the run before. */
  readonly runOnce: Effect.Effect<void>
  /** A campaign's seconds from this one on (Unix time), oldest first. */
  readonly since: (campaignId: CampaignId, second: number) => ReadonlyArray<SaleSecond>
}>() {}

/** A ring of seconds, each of `WIDTH` numbers: the second, and its counts. */
interface Ring {
  readonly counts: CampaignCounts
  readonly before: Float64Array
  readonly cells: Uint32Array
  /** Seconds that were ever begun. */
  begun: number
}

const makeRing = (counts: CampaignCounts): Ring => ({
  counts,
  before: new Float64Array(saleCounts.length),
  cells: new Uint32Array(MAX_SALE_SECONDS * WIDTH),
  begun: 0
})

/** Where the cells of the nth second that was begun are. */
const placeOf = (n: number): number => n % MAX_SALE_SECONDS * WIDTH

/** The place of this second's cells, which is the ring's last one or a new one. */
const cellsOf = (ring: Ring, second: number): number => {
  const last = placeOf(ring.begun - 1)
  if (ring.begun > 0 && ring.cells[last]! >= second) return last
  const place = placeOf(ring.begun++)
  ring.cells.fill(0, place, place + WIDTH)
  ring.cells[place] = second
  return place
}

/** Adds what was counted since the last look to these seconds, the same to each and the rest to the last. */
const note = (ring: Ring, from: number, until: number, unread: number): void => {
  const { before, cells, counts } = ring
  const seconds = until - from + 1
  const news = counts.values.map((value, k) => k === UNREAD ? unread : value - before[k]!)
  before.set(counts.values)
  for (let second = from; second <= until; second++) {
    const place = cellsOf(ring, second)
    for (let k = 0; k < news.length; k++) {
      const share = Math.floor(news[k]! / seconds)
      cells[place + 1 + k]! += second === until ? news[k]! - share * (seconds - 1) : share
    }
  }
}

const hasChanged = ({ before, counts: { values } }: Ring): boolean => values.some((value, k) => value !== before[k])

/** Claims that were answered before they became calls, since the start. */
const unreadClaims = (): number => {
  const { latency, totals } = RequestMetrics.rpc("IssueCoupon")
  const answered = Object.values(totals()).reduce((sum, count) => sum + count, 0)
  const begun = [latency.ok, latency.refused, latency.failed].reduce((sum, one) => sum + one.state().count, 0)
  return Math.max(0, answered - begun)
}

/** `now`: epoch milliseconds. */
export const make = (now: () => number): Effect.Effect<SaleHistory["Type"], never, SaleCounts> =>
  Effect.map(SaleCounts, (sales) => {
    const rings = new Map<CampaignId, Ring>()
    let last = 0
    let unreadBefore = unreadClaims()

    const ringOf = (counts: CampaignCounts): Ring => {
      let ring = rings.get(counts.campaignId)
      if (ring?.counts !== counts) rings.set(counts.campaignId, ring = makeRing(counts))
      return ring!
    }

    const run = () => {
      const second = Math.floor(now() / 1_000)
      const unread = unreadClaims()
      const from = last === 0 || second - last > MAX_LATE_SECONDS ? second : Math.min(second, last + 1)
      const all = sales.all()
      const kept = new Set(all.map(({ campaignId }) => campaignId))
      for (const campaignId of rings.keys()) if (!kept.has(campaignId)) rings.delete(campaignId)
      for (const counts of all) {
        const ring = ringOf(counts)
        if (!hasChanged(ring)) continue
        counts.changedAt = second
        note(ring, from, second, unread - unreadBefore)
      }
      unreadBefore = unread
      last = Math.max(last, second)
    }

    return SaleHistory.of({
      runOnce: Effect.sync(run),
      since: (campaignId, second) => {
        const ring = rings.get(campaignId)
        if (ring === undefined) return []
        const seconds: Array<SaleSecond> = []
        for (let n = Math.max(0, ring.begun - MAX_SALE_SECONDS); n < ring.begun; n++) {
          const place = placeOf(n)
          if (ring.cells[place]! >= second) seconds.push(Array.from(ring.cells.subarray(place, place + WIDTH)))
        }
        return seconds
      }
    })
  })

export const layer: Layer.Layer<SaleHistory, never, SaleCounts> = Layer.effect(SaleHistory, make(Date.now))
