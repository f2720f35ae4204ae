import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import type { CallFailure } from "../../client/CouponClient.ts"
import { CliFailure, ofCall } from "../CliFailure.ts"
import * as Connection from "../Connection.ts"
import * as Confirmation from "../line/Confirmation.ts"
import { parseUserId, show, withPublic } from "../commands/Commands.ts"

const user = Args.text({ name: "user-id" }).pipe(Args.withDescription("the user to erase"))
const reason = Options.text("reason").pipe(
  Options.withDescription("why, such as the number of a ticket; the audit log keeps it"),
  Options.withDefault("")
)

/** A coupon is erased once its claim has certainly been answered. */
const fresh = (failure: CallFailure) =>
  Effect.fail(
    new CliFailure({
      ...ofCall(failure),
      hint: "a coupon was issued to the user just now, or a store is down: try again after some seconds"
    })
  )

/** Goes through all campaigns, some a call. */
export const eraseUser = Command.make(
  "erase-user",
  { user, reason, yes: Confirmation.yes, ...Connection.options },
  ({ reason, user, yes, ...given }) =>
    withPublic({ ...given, reason }, (client, { json }) =>
      Effect.gen(function*() {
        const userId = yield* parseUserId(user)
        const what = "a user is erased from all coupons for good, and is then a new user, who may claim again"
        yield* Confirmation.confirm({ what, word: user, yes, json })
        let erased = 0
        let pageToken = ""
        do {
          const page = yield* Effect.catchTag(client.eraseUser({ userId, reason, pageToken }), "Unavailable", fresh)
          erased += page.erased
          pageToken = page.nextPageToken
        } while (pageToken !== "")
        yield* show(json, { erased }, () =>
          erased === 0
            ? "the user holds no coupon, so there was nothing to erase"
            : `the user is erased from ${erased} coupon${erased === 1 ? "" : "s"}`)
      }))
).pipe(Command.withDescription("erases a user from all coupons for good (role ADMIN); safe to repeat"))
