import { type Webhook, WebhookMode, WebhookOnFailure, WebhookStatus } from "$contract/gen/coupon/v1/webhook_pb.ts"
import type { WebhookState } from "$contract/Overview.ts"
import * as m from "../../paraglide/messages.js"

type State = (typeof WebhookState.Type)["state"]

const stateOf = ({ failingSince, status }: Webhook): State =>
  status === WebhookStatus.DISABLED ? "DISABLED" : failingSince === "" ? "ENABLED" : "FAILING"

/** The state of a webhook with the tone of its badge. `now`: what the stream says of it, if it does. */
export const lookOf = (webhook: Webhook, now: State | undefined) => {
  const state = now ?? stateOf(webhook)
  if (state === "DISABLED") return { text: m.webhooks_disabled(), tone: "bad", mark: "✕" } as const
  if (state === "FAILING") return { text: m.webhooks_failing(), tone: "warn", mark: "△" } as const
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
