import { describe, expect, it } from "vitest"
import { deliveryViolations, missing, watchViolations } from "./eventViolations.ts"

const event = (sequence: number, type: string, firstNumber = 0, lastNumber = 0) =>
  ({ sequence, type, firstNumber, lastNumber, at: sequence })

const log = [
  event(1, "campaign.created"),
  event(2, "coupon.issued", 1, 2),
  event(3, "coupon.issued", 3, 3),
  event(4, "campaign.paused")
]

const received = (mode: "EACH" | "RANGE", ...accepted: ReadonlyArray<ReadonlyArray<string>>) => {
  const receiver = { mode, accepted: [...accepted, ["71-1"]] }
  return [...missing(receiver, 7, log, 1), ...deliveryViolations(receiver, 7, log, 1)]
}

describe("what is checked of deliveries", () => {
  it("passes what comes in order, whatever comes again", () => {
    expect(received("EACH", ["7-2-1", "7-2-2"], ["7-2-1"], ["7-1", "7-3-3"], ["7-2-2"], ["7-4"])).toEqual([])
    expect(received("RANGE", ["7-2"], ["7-2", "7-3"], ["7-4"])).toEqual([])
  })

  it("names what is missing, too early or unknown", () => {
    expect(received("EACH", ["7-2-1", "7-2-2", "7-3-3"])).toEqual([
      "E3 campaign 7: 1 of 4 events did not come to the endpoint EACH, the first of them 7-4"
    ])
    expect(received("EACH", ["7-2-2"], ["7-2-1"], ["7-3-3"], ["7-4"])).toEqual([
      "E3 campaign 7: the endpoint EACH received 7-2-2 before 7-2-1"
    ])
    expect(received("RANGE", ["7-2", "7-3", "7-4", "7-5"])).toEqual([
      "E3 campaign 7: the endpoint RANGE received 7-5, which the log does not have"
    ])
  })
})

describe("what is checked of watches", () => {
  const watched = (firstSequence: number, of: ReturnType<typeof event>) =>
    watchViolations({ campaignId: 7, events: [{ ...of, firstSequence }] }, log)

  it("passes events and ranges that were joined", () => {
    expect(watched(1, log[0]!)).toEqual([])
    expect(watched(2, event(3, "coupon.issued", 1, 3))).toEqual([])
  })

  it("names what the log does not have so", () => {
    for (const wrong of [
      watched(2, event(3, "coupon.issued", 2, 3)),
      watched(2, event(4, "coupon.issued", 1, 3)),
      watched(4, event(4, "campaign.resumed")),
      watched(5, event(5, "campaign.ended"))
    ]) expect(wrong).toHaveLength(1)
  })
})
