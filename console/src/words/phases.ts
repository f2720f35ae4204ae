import { CampaignPhase } from "$contract/gen/coupon/v1/coupon_pb.ts"
import * as m from "../paraglide/messages.js"
import type { Look } from "./looks.ts"

/** How a phase is shown. */
export const lookOf = (phase: CampaignPhase): Look => {
  switch (phase) {
    case CampaignPhase.SCHEDULED:
      return { text: m.common_phase_scheduled(), tone: "info", mark: "◷" }
    case CampaignPhase.OPEN:
      return { text: m.common_phase_open(), tone: "good", mark: "●" }
    case CampaignPhase.SOLD_OUT:
      return { text: m.common_phase_sold_out(), tone: "info", mark: "■" }
    case CampaignPhase.PAUSED:
      return { text: m.common_phase_paused(), tone: "warn", mark: "▮▮" }
    case CampaignPhase.ENDED:
      return { text: m.common_phase_ended(), tone: "quiet", mark: "□" }
    default:
      return { text: "–", tone: "quiet", mark: "□" }
  }
}
