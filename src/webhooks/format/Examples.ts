import { randomBytes } from "node:crypto"
import type { EpochMillis } from "../../domain/Time.ts"
import type { WebhookMode } from "../../domain/webhooks/Webhook.ts"
import type { CampaignEventType } from "../../ports/EventLog.ts"
import * as CloudEvents from "../../contract/webhooks/CloudEvents.ts"

const CAMPAIGN = 1
const COUPON = { campaignId: CAMPAIGN, id: 1, userId: 1n, code: "가나다라마바사" }

/** An example of an event as a receiver gets it; `test` in its data sets it apart from a real one. */
export const make = (
  type: CampaignEventType,
  mode: WebhookMode,
  now: EpochMillis
): { readonly id: string; readonly body: CloudEvents.Body } => {
  const isIssued = type === CloudEvents.ISSUED
  const logged: CloudEvents.LoggedEvent = {
    campaignId: CAMPAIGN,
    sequence: 1,
    type,
    firstNumber: isIssued ? 1 : 0,
    lastNumber: isIssued ? 1 : 0,
    payload: { version: 1 },
    at: now
  }
  const made = isIssued && mode !== "RANGE"
    ? CloudEvents.ofCoupon(logged, { ...COUPON, issuedAt: now })
    : CloudEvents.ofEvent(logged)
  const id = `test_${randomBytes(8).toString("hex")}`
  const event = { ...made, id, source: "/test", data: { test: true, ...made.data as object } }
  return { id: `msg_${id}`, body: mode === "EACH" ? CloudEvents.single(event) : CloudEvents.batch([event]) }
}
