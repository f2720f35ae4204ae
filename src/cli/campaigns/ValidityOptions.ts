import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { CouponValidity } from "../../contract/gen/coupon/v1/coupon_pb.ts"
import type { CliFailure } from "../CliFailure.ts"
import type { Times } from "../values/Times.ts"

/** How long coupons are valid, and how long a redemption can be undone. */
export const options = {
  validUntil: Options.text("valid-until").pipe(
    Options.withDescription("coupons can be redeemed until then: 2025-06-25T00:00:00Z, +30d"),
    Options.optional
  ),
  validFor: Options.text("valid-for").pipe(
    Options.withDescription("each coupon for so long from its issue on, in ISO 8601: P30D, P6M, PT12H"),
    Options.optional
  ),
  zone: Options.text("zone").pipe(
    Options.withDescription("with --valid-for, to the end of that day there: Asia/Seoul"),
    Options.optional
  ),
  undoWindow: Options.text("undo-window").pipe(
    Options.withDescription("how long a redemption can be undone, in ISO 8601: PT24H unless set"),
    Options.optional
  )
} as const

type Given = { readonly [Name in keyof typeof options]: Option.Option<string> }

export const setsValidity = ({ validFor, validUntil, zone }: Given): boolean =>
  [validFor, validUntil, zone].some(Option.isSome)

export const isGiven = (given: Given): boolean => setsValidity(given) || Option.isSome(given.undoWindow)

const empty = () => ""

/** The fields of a request; those that are not given are absent. The service says which of them exclude one another. */
export const toWire = (given: Given, times: Times) =>
  Effect.gen(function*() {
    const { undoWindow, validFor, validUntil, zone } = given
    const until: Effect.Effect<string, CliFailure> = Option.isNone(validUntil)
      ? Effect.succeed("")
      : times.parse("--valid-until", validUntil.value)
    const couponValidity = {
      until: yield* until,
      after: Option.getOrElse(validFor, empty),
      endOfDayZone: Option.getOrElse(zone, empty)
    }
    return {
      ...setsValidity(given) ? { couponValidity } : {},
      ...Option.isSome(undoWindow) ? { undoWindow: undoWindow.value } : {}
    }
  })

/** What a repeated call has to be given instead of a time that was relative. */
export const repetition = (validity: { readonly until: string } | undefined): string =>
  validity === undefined || validity.until === "" ? "" : ` --valid-until ${validity.until}`

/** `P30D, to the end of the day in Asia/Seoul`; empty: coupons are not valid for a duration. */
export const durationText = (validity: CouponValidity | undefined): string =>
  validity === undefined || validity.endOfDayZone === ""
    ? validity?.after ?? ""
    : `${validity.after}, to the end of the day in ${validity.endOfDayZone}`
