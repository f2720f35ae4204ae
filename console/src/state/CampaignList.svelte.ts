import type { Overview } from "$contract/Overview.ts"
import { type Campaign, CampaignPhase } from "$contract/gen/coupon/v1/coupon_pb.ts"
import type { Failure } from "../api/Failure.ts"
import { failureOf } from "../api/failureTexts.ts"
import { coupons } from "../api/transport.ts"
import { oneAtATime } from "../logic/OneAtATime.ts"

const PAGE_SIZE = 100

/** Those that run or will are listed whatever their age, up to so many. */
const MOST_RUNNING = 1_000
const running = [CampaignPhase.OPEN, CampaignPhase.PAUSED, CampaignPhase.SCHEDULED]

/** What runs comes first, then what comes next, then what is over. */
const order: ReadonlyArray<CampaignPhase> = [
  CampaignPhase.OPEN,
  CampaignPhase.PAUSED,
  CampaignPhase.SCHEDULED,
  CampaignPhase.SOLD_OUT,
  CampaignPhase.ENDED
]

const millis = (text: string): number => Date.parse(text)

const compared = (a: Campaign, b: Campaign): number => {
  const byPhase = order.indexOf(a.phase) - order.indexOf(b.phase)
  if (byPhase !== 0) return byPhase
  return a.phase === CampaignPhase.SCHEDULED ? millis(a.startTime) - millis(b.startTime) : b.id - a.id
}

/**
 * The campaigns of the service: those that run or will, and of all of them the newest. Read once, and again whenever
 * something pushed says that they have changed.
 */
export class CampaignList {
  campaigns = $state.raw<ReadonlyArray<Campaign>>([])
  isLoaded = $state(false)
  next = $state("")
  failure = $state.raw<Failure>()
  /** Pages that are shown. */
  #pages = 1

  readonly read = oneAtATime(async () => {
    try {
      const found = new Map<number, Campaign>()
      const take = (campaigns: ReadonlyArray<Campaign>) => campaigns.forEach((one) => found.set(one.id, one))
      take((await coupons.listCampaigns({ pageSize: MOST_RUNNING, phases: running })).campaigns)
      let next = ""
      let page = 0
      do {
        const { campaigns, nextPageToken } = await coupons.listCampaigns({ pageSize: PAGE_SIZE, pageToken: next })
        take(campaigns)
        next = nextPageToken
      } while (++page < this.#pages && next !== "")
      this.campaigns = [...found.values()].toSorted(compared)
      this.next = next
      this.isLoaded = true
      this.failure = undefined
    } catch (cause) {
      this.failure = failureOf(cause)
    }
  })

  readMore(): Promise<void> {
    this.#pages++
    return this.read()
  }

  /** Whether the stream knows better than what was read: another campaign, status, limit or phase. */
  differsFrom(campaigns: Overview["campaigns"]): boolean {
    return this.isLoaded && campaigns.some(({ campaignId, couponLimit, phase }) => {
      const known = this.campaigns.find(({ id }) => id === campaignId)
      // One that has ended may be older than what is shown.
      if (known === undefined) return this.next === "" || phase === "OPEN" || phase === "PAUSED"
      return Number(known.couponLimit) !== couponLimit ||
        (phase !== undefined && known.phase !== CampaignPhase[phase])
    })
  }
}
