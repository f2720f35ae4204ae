import type { MessageInitShape } from "@bufbuild/protobuf"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Backoff from "../../base/Backoff.ts"
import type { CallFailure, CouponClient } from "../../client/CouponClient.ts"
import type { CreateCampaignRequestSchema } from "../../contract/gen/coupon/v1/coupon_pb.ts"
import { CliFailure, ofCall } from "../CliFailure.ts"

/** How often a creation is sent at most: its id makes repeating it safe. */
const ATTEMPTS = 4

const pause = Backoff.make({ firstMillis: 200, lastMillis: 2_000 })

/** Whether a call that changes something may have been done. */
const mayBeDone = (failure: CallFailure): boolean =>
  failure._tag === "OutcomeUnknown" || ("mayBeDone" in failure && failure.mayBeDone)

/**
 * Sends a creation until its outcome is known. If an attempt may have been done and none succeeded, the failure says
 * how to go on: the next one may be answered that nothing was done, which is true of that one alone.
 */
export const createSafely = (
  client: CouponClient["Type"],
  request: MessageInitShape<typeof CreateCampaignRequestSchema>,
  repetition: string
) =>
  Effect.gen(function*() {
    let isOpen = false
    for (let attempt = 1;; attempt++) {
      const sent = yield* Effect.either(client.createCampaign(request))
      if (Either.isRight(sent)) return sent.right
      const failure = sent.left
      isOpen ||= mayBeDone(failure)
      const isPassing = mayBeDone(failure) || failure._tag === "Unavailable" || failure._tag === "Unreachable"
      if (!isOpen || (!isPassing && failure._tag !== "Overloaded")) return yield* failure
      if (attempt === ATTEMPTS) {
        const { code, message } = ofCall(failure)
        const hint = `it may have been done. To do it once and no more, repeat it with ${repetition}`
        return yield* new CliFailure({ exit: "UNKNOWN", code, message, hint })
      }
      yield* Effect.sleep(pause(attempt))
    }
  })
