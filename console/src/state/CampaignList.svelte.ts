import type { Overview } from "$contract/Overview.ts"
import { type Campaign, CampaignPhase } from "$contract/gen/coupon/v1/coupon_pb.ts"
import type { Failure } from "../api/Failure.ts"
import { failureOf } from "../api/failureTexts.ts"
import { coupons } from "../api/transport.ts"

const PAGE_SIZE = 100

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

/** The campaigns of the service, read once, and again whenever something pushed says that they have changed. */
export class CampaignList {
  campaigns = $state.raw<ReadonlyArray<Campaign>>([])
  isLoaded = $state(false)
  next = $state("")
  failure = $state.raw<Failure>()
  #reading = false
  #again = false

  async read(): Promise<void> {
    // One at a time; what comes meanwhile makes one more.
    if (this.#reading) {
      this.#again = true
      return
    }
    this.#reading = true
    try {
      const { campaigns, nextPageToken } = await coupons.listCampaigns({ pageSize: PAGE_SIZE })
      this.campaigns = campaigns.toSorted(compared)
      this.next = nextPageToken
      this.isLoaded = true
      this.failure = undefined
    } catch (cause) {
      this.failure = failureOf(cause)
    } finally {
      this.#reading = false
    }
    if (this.#again) {
      this.#again = false
      await this.read()
    }
  }

  async readMore(): Promise<void> {
    if (this.next === "") return
    try {
      const { campaigns, nextPageToken } = await coupons.listCampaigns({ pageSize: PAGE_SIZE, pageToken: this.next })
      const known = new Set(this.campaigns.map(({ id }) => id))
      this.campaigns = [...this.campaigns, ...campaigns.filter(({ id }) => !known.has(id))].toSorted(compared)
      this.next = nextPageToken
    } catch (cause) {
      this.failure = failureOf(cause)
    }
  }

  /** Whether the stream knows better than what was read: another campaign, status, limit or phase. */
  differsFrom(campaigns: Overview["campaigns"]): boolean {
    return this.isLoaded && campaigns.some(({ campaignId, couponLimit, phase }) => {
      const known = this.campaigns.find(({ id }) => id === campaignId)
      if (known === undefined) return this.next === ""
      return Number(known.couponLimit) !== couponLimit ||
        (phase !== undefined && known.phase !== CampaignPhase[phase])
    })
  }
}
