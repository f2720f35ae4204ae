import * as Args from "@effect/cli/Args"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { AllInstances } from "../AllInstances.ts"
import { CliFailure } from "../CliFailure.ts"
import * as Connection from "../Connection.ts"
import type { OperatorClient } from "../OperatorClient.ts"
import * as Output from "../Output.ts"
import type { PublicClient } from "../CouponClient.ts"

/** What commands share: their options, and the two clients, each loaded when a command needs it. */

export const campaignId = Args.integer({ name: "campaign-id" }).pipe(Args.withDescription("the campaign's number"))

/** A user id may have 63 bits, more than a number holds. */
export const userId = Args.text({ name: "user-id" }).pipe(Args.withDescription("any positive integer"))

export const parseUserId = (text: string): Effect.Effect<bigint, CliFailure> =>
  /^[1-9]\d{0,18}$/.test(text) && BigInt(text) < 2n ** 63n
    ? Effect.succeed(BigInt(text))
    : Effect.fail(new CliFailure({ exit: "USAGE", code: "USAGE", message: "<user-id> must be an integer from 1 to 9223372036854775807" }))

export const int64 = (name: string, description: string) => Options.integer(name).pipe(Options.withDescription(description))

/** The public API, for a command's handler. */
export const withPublic = <A>(
  given: Connection.Options_,
  use: (client: PublicClient, connection: Connection.Connection) => Effect.Effect<A, CliFailure>
): Effect.Effect<A, CliFailure> =>
  Effect.gen(function*() {
    const connection = yield* Connection.parse(given)
    const { make } = yield* Effect.promise(() => import("../CouponClient.ts"))
    return yield* use(make(connection), connection)
  })

/** The operator plane, for a command's handler. */
export const withOperator = <A>(
  given: Connection.Options_,
  use: (client: OperatorClient, connection: Connection.Connection) => Effect.Effect<A, CliFailure, Scope.Scope>
): Effect.Effect<A, CliFailure> =>
  Effect.scoped(Effect.gen(function*() {
    const connection = yield* Connection.parse(given)
    const { make } = yield* Effect.promise(() => import("../OperatorClient.ts"))
    return yield* use(yield* make(connection), connection)
  }))

/** The operator planes of all instances that are at the address or behind it. */
export const withInstances = <A>(
  given: Connection.Options_,
  use: (instances: AllInstances, connection: Connection.Connection) => Effect.Effect<A, CliFailure, Scope.Scope>
): Effect.Effect<A, CliFailure> =>
  Effect.scoped(Effect.gen(function*() {
    const connection = yield* Connection.parse(given)
    const [all, client] = yield* Effect.promise(() => Promise.all([import("../AllInstances.ts"), import("../OperatorClient.ts")]))
    return yield* use(yield* all.make(connection, client.make), connection)
  }))

/** The answer as JSON, or as `text` has it for people. */
export const show = <A>(json: boolean, value: A, text: (value: A) => string): Effect.Effect<void> =>
  json ? Output.json(value) : Output.line(text(value))
