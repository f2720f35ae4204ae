import { create } from "@bufbuild/protobuf"
import { CouponValiditySchema } from "../../contract/gen/coupon/v1/coupon_pb.ts"
import type { Campaign } from "../../domain/Campaign.ts"
import { formatRfc3339 } from "../../domain/Time.ts"
import type { CouponValidity } from "../../domain/validity/CouponValidity.ts"
import { formatUndoWindow } from "../../domain/validity/UndoWindow.ts"

const validityOnWire = (validity: CouponValidity) =>
  create(
    CouponValiditySchema,
    validity._tag === "Until"
      ? { until: formatRfc3339(validity.until) }
      : { after: validity.after, endOfDayZone: validity.zone?.name ?? "" }
  )

/** What a campaign says of its coupons after their issue, as the API shows it. */
export const afterIssueToWire = ({ undoWindowMillis, validity }: Pick<Campaign, "validity" | "undoWindowMillis">) => ({
  undoWindow: formatUndoWindow(undoWindowMillis),
  ...validity === undefined ? {} : { couponValidity: validityOnWire(validity) }
})
