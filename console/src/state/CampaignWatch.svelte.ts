import type { Campaign, CampaignEvent } from "$contract/gen/coupon/v1/coupon_pb.ts"
import { coupons } from "../api/transport.ts"
import { oneAtATime } from "../logic/OneAtATime.ts"
import { added, type Point, rateOf } from "../logic/Projection.ts"
import { readCampaign } from "./campaigns.ts"
import { clock } from "./clock.svelte.ts"
import { Connection } from "./Connection.svelte.ts"

/** The rate over a window needs no more than this. */
const KEEP_MILLIS = 60_000

const MOST_EVENTS = 100

/** Coupons of a busy sale come no more often: the live state has their number each second, for all pages in one. */
const ISSUED_INTERVAL_SECONDS = 10

/** There is an event or a bookmark within 15 s. */
const SILENCE_MILLIS = 25_000

/** A campaign as it is pushed: its settings, its count, its events. After a gap it goes on where it was. */
export class CampaignWatch {
  readonly connection = new Connection()
  campaign = $state.raw<Campaign>()
  /** The most that its events, its snapshots and the live state have said. */
  issued = $state.raw(0)
  points = $state.raw<ReadonlyArray<Point>>([])
  /** Its latest events but those of coupons, the newest first. */
  events = $state.raw<ReadonlyArray<CampaignEvent>>([])
  #sequence: bigint | undefined

  readonly campaignId: number

  constructor(campaignId: number) {
    this.campaignId = campaignId
  }

  get issuedPerSecond(): number {
    return rateOf(this.points, clock.now)
  }

  /** So many were issued by then, by the server's clock. One that comes late changes nothing. */
  count(issued: number, at: number): void {
    if (issued < this.issued) return
    this.issued = issued
    this.points = added(this.points, { at, issued }, KEEP_MILLIS)
  }

  #event(event: CampaignEvent): void {
    this.#sequence = event.sequence
    if (event.type === "coupon.issued") return this.count(event.lastNumber, Date.parse(event.at))
    this.events = [event, ...this.events].slice(0, MOST_EVENTS)
    // Its settings or its phase are others now. A new snapshot has all of them; the events follow on from here.
    if (event.type.startsWith("campaign.")) void this.refresh()
  }

  /** Takes over a campaign that a call has answered with. */
  set(campaign: Campaign): void {
    if (this.campaign !== undefined && campaign.version < this.campaign.version) return
    this.campaign = campaign
    this.count(Number(campaign.currentCoupon), clock.server.at(Date.now()))
  }

  /** An answer that is overtaken by a later one would bring the phase before back. */
  readonly refresh = oneAtATime(async () => {
    try {
      this.set(await readCampaign(this.campaignId))
    } catch {
      // The stream says so too, and reads it again.
    }
  })

  start(): () => void {
    return this.connection.follow(async (signal, received) => {
      const after = this.#sequence === undefined ? {} : { afterSequence: this.#sequence }
      const messages = coupons.watchCampaign(
        { campaignId: this.campaignId, ...after, issuedIntervalSeconds: ISSUED_INTERVAL_SECONDS },
        { signal, timeoutMs: 0 }
      )
      for await (const { message } of messages) {
        received()
        switch (message.case) {
          case "snapshot":
            clock.observe(Date.parse(message.value.serverTime))
            this.#sequence ??= message.value.sequence
            if (message.value.campaign !== undefined) this.set(message.value.campaign)
            break
          case "event":
            this.#event(message.value)
            break
          case "bookmark":
            clock.observe(Date.parse(message.value.serverTime))
            break
        }
      }
    }, SILENCE_MILLIS)
  }
}
