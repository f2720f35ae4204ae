import type { Coupon } from "$contract/gen/coupon/v1/coupon_pb.ts"

/** What each dialog about a coupon is given. */
export interface CouponDialogProps {
  readonly coupon: Coupon
  /** It was done. */
  readonly onDone: () => void
  readonly onClose: () => void
}
