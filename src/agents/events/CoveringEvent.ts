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

/** The event at this place; a range together with the ranges that follow it at once. */
export const coalesced = (events: ReadonlyArray<CampaignEvent>, place = 0): CoveringEvent => {
  const first = events[place]!
  let last = place
  if (first.type === "coupon.issued") while (events[last + 1]?.type === "coupon.issued") last++
  return covering(first, events[last]!)
}
