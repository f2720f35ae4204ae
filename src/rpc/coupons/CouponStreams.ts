import { create } from "@bufbuild/protobuf"
import { WireType } from "@bufbuild/protobuf/wire"
import * as Effect from "effect/Effect"
import { parseCampaignId } from "../../domain/Campaign.ts"
import type { DatedCoupon } from "../../domain/redemption/Redemption.ts"
import { CouponService, ExportCouponsResponseSchema } from "../../contract/gen/coupon/v1/coupon_pb.ts"
import { couponsField } from "./CouponBytes.ts"
import { couponsOf } from "./CouponMessages.ts"
import { watchCampaign } from "../events/EventStreams.ts"
import * as StreamRoute from "../streams/StreamRoute.ts"

/** What a coupon takes in a message, in bytes. */
const COUPON_BYTES = 110

interface ExportedPage {
  readonly lastNumber: number
  readonly page: ReadonlyArray<DatedCoupon>
}

/**
 * A field whose bytes are written as they are: protobuf-es keeps fields so that it does not know. Its tag is apart.
 */
const asWritten = (field: Uint8Array) => ({ no: 1, wireType: WireType.LengthDelimited, data: field.subarray(1) })

const exportCoupons = StreamRoute.make({
  method: CouponService.method.exportCoupons,
  access: "VIEWER",
  open: ({ coupons }, { afterNumber, campaignId }) =>
    Effect.gen(function*() {
      const id = yield* parseCampaignId(campaignId)
      const { lastNumber, next } = yield* coupons.export(id, afterNumber)
      return Effect.map(next, (page) => page === undefined ? undefined : { lastNumber, page })
    }),
  respond: ({ lastNumber, page }: ExportedPage, isBinary) => {
    const message = create(ExportCouponsResponseSchema, { coupons: isBinary ? [] : couponsOf(page), lastNumber })
    if (isBinary && page.length > 0) message.$unknown = [asWritten(couponsField(page))]
    return message
  },
  sizeOf: ({ page }) => page.length * COUPON_BYTES
})

/** Every RPC of `coupon.v1.CouponService` that answers with a stream. */
export const streams: ReadonlyArray<StreamRoute.StreamRoute> = [exportCoupons, watchCampaign]
