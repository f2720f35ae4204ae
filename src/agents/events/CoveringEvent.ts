import type { CampaignEvent } from "../../ports/EventLog.ts"

/** An event as readers get it: ranges of coupons that follow one another may be one. */
export interface CoveringEvent extends CampaignEvent {
  /** The first of the sequences that it covers; `sequence` is the last. */
  readonly firstSequence: number
}

/** Ranges of coupons that follow one another, as one. */
export const covering = (first: CampaignEvent, last: CampaignEvent): CoveringEvent => ({
  ...last,
  firstNumber: first.firstNumber,
  firstSequence: first.sequence
})

/** The first of these events; a range together with the ranges that follow it at once. There is at least one event. */
export const coalesced = (events: ReadonlyArray<CampaignEvent>): CoveringEvent => {
  const first = events[0]!
  let last = first
  for (const event of events.slice(1)) {
    if (first.type !== "coupon.issued" || event.type !== "coupon.issued") break
    last = event
  }
  return covering(first, last)
}
