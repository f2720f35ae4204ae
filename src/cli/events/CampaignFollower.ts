import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Backoff from "../../base/Backoff.ts"
import type { CallFailure, CouponClient } from "../../client/CouponClient.ts"
import type { CampaignEvent } from "../../contract/gen/coupon/v1/coupon_pb.ts"

/** A watch that works is silent for 15 s at most: the usual timeout would end it again and again. */
export const WATCH_TIMEOUT = "1m"

/** Before it asks again for what follows: 100 ms doubling to 5 s. */
const again = Backoff.make({ firstMillis: 100, lastMillis: 5_000 })

const passing: ReadonlySet<string> = new Set(["Unavailable", "Unreachable", "TimedOut", "Overloaded", "RateLimited"])

/** A failure after which another instance, or this one a moment later, may go on. */
export const isPassing = ({ _tag }: { readonly _tag: string }): boolean => passing.has(_tag)

/**
 * Hands a campaign's events after `after` (`undefined`: those from now on) to `handle`, one after the other, until it
 * is interrupted or fails for good. Whatever ends a watch may be over: each event has a sequence, so none is missed or
 * comes twice.
 */
export const follow = <E extends CallFailure>(
  client: CouponClient["Type"],
  campaignId: number,
  after: bigint | undefined,
  handle: (event: CampaignEvent) => Effect.Effect<void, E>
): Effect.Effect<never, CallFailure | E> =>
  Effect.gen(function*() {
    let last = after
    for (let failures = 0;;) {
      const watching = Stream.runForEach(
        client.watchCampaign({ campaignId, ...last === undefined ? {} : { afterSequence: last } }),
        ({ message }) =>
          Effect.gen(function*() {
            failures = 0
            if (message.case === "snapshot") last ??= message.value.sequence
            if (message.case !== "event") return
            yield* handle(message.value)
            last = message.value.sequence
          })
      )
      yield* Effect.catchIf(watching, isPassing, () => Effect.void)
      yield* Effect.sleep(again(++failures))
    }
  })
