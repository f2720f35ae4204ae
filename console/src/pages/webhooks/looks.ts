import { type Webhook, WebhookMode, WebhookOnFailure, WebhookStatus } from "$contract/gen/coupon/v1/webhook_pb.ts"
import * as m from "../../paraglide/messages.js"

/** The state of a webhook with the tone of its badge. */
export const lookOf = ({ failingSince, status }: Webhook) => {
  if (status === WebhookStatus.DISABLED) return { text: m.webhooks_disabled(), tone: "bad", mark: "✕" } as const
  if (failingSince !== "") return { text: m.webhooks_failing(), tone: "warn", mark: "△" } as const
  return { text: m.webhooks_enabled(), tone: "good", mark: "●" } as const
}

export const modes = [WebhookMode.BATCH, WebhookMode.EACH, WebhookMode.RANGE] as const

export const modeText = (mode: WebhookMode): string => {
  switch (mode) {
    case WebhookMode.EACH:
      return m.webhooks_mode_each()
    case WebhookMode.RANGE:
      return m.webhooks_mode_range()
    default:
      return m.webhooks_mode_batch()
  }
}

export const onFailureText = (mode: WebhookOnFailure): string =>
  mode === WebhookOnFailure.PARK ? m.webhooks_park() : m.webhooks_retry()

/** The types of events that there are. */
export const eventTypes = [
  "coupon.issued",
  "coupon.redeemed",
  "coupon.redemption_undone",
  "coupon.revoked",
  "campaign.created",
  "campaign.updated",
  "campaign.paused",
  "campaign.resumed",
  "campaign.ended",
  "campaign.sold_out",
  "codes.imported",
  "codes.low"
] as const
