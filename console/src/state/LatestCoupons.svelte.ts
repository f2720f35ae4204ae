import type { Coupon } from "$contract/gen/coupon/v1/coupon_pb.ts"
import type { Failure } from "../api/Failure.ts"
import { failureOf } from "../api/failureTexts.ts"
import { coupons } from "../api/transport.ts"

const SHOWN = 10

/** Of a rush each second's last ones are enough: more often, a hundred pages would be a load. */
const LEAST_PAUSE_MILLIS = 2_000

/** The coupons that were issued last, read when an event says that there are more, and the page is shown. */
export class LatestCoupons {
  coupons = $state.raw<ReadonlyArray<Coupon>>([])
  failure = $state.raw<Failure>()
  #readAt = -Infinity
  #timer: ReturnType<typeof setTimeout> | undefined

  readonly campaignId: number

  constructor(campaignId: number) {
    this.campaignId = campaignId
  }

  /** So many are issued now. */
  issued(): void {
    if (this.#timer !== undefined || document.visibilityState === "hidden") return
    const wait = Math.max(0, this.#readAt + LEAST_PAUSE_MILLIS - performance.now())
    this.#timer = setTimeout(() => void this.#read(), wait)
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  async #read(): Promise<void> {
    this.#readAt = performance.now()
    try {
      const answer = await coupons.listCoupons({ campaignId: this.campaignId, pageSize: SHOWN, descending: true })
      this.coupons = answer.coupons
      this.failure = undefined
    } catch (cause) {
      this.failure = failureOf(cause)
    }
    this.#timer = undefined
  }
}
