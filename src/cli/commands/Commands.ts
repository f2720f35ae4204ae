import * as Args from "@effect/cli/Args"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as RequestId from "../../domain/requests/RequestId.ts"
import * as ActReason from "../../domain/audit/ActReason.ts"
import type { ClientOptions } from "../../client/ClientOptions.ts"
import type { CallFailure, CouponClient } from "../../client/CouponClient.ts"
import type { WebhookClient } from "../../client/WebhookClient.ts"
import type { OperatorCallFailure, OperatorClient } from "../../client/OperatorClient.ts"
import type { AllInstances } from "../AllInstances.ts"
import { type CliFailure, ofCall, ofOperatorCall, ofWebhookCall, usage } from "../CliFailure.ts"
import * as Connection from "../Connection.ts"
import * as Output from "../Output.ts"

// What commands share: arguments, and the two clients, each loaded by the commands that use it.

export const campaignId = Args.integer({ name: "campaign-id" }).pipe(Args.withDescription("the campaign's number"))

/** A user id may have 63 bits, more than a number holds. */
export const userId = Args.text({ name: "user-id" }).pipe(Args.withDescription("any positive integer"))

export const parseUserId = (text: string): Effect.Effect<bigint, CliFailure> =>
  /^[1-9]\d{0,18}$/.test(text) && BigInt(text) < 2n ** 63n
    ? Effect.succeed(BigInt(text))
    : Effect.fail(usage("<user-id> must be an integer from 1 to 9223372036854775807"))

/** The request id that an option gives, or a new one. */
export const requestIdOf = (given: Option.Option<string>, fresh: () => string): Effect.Effect<string, CliFailure> =>
  Option.match(given, {
    onNone: () => Effect.sync(fresh),
    onSome: (text) => Effect.mapError(RequestId.parse(text), ({ reason }) => usage(`--request-id ${reason}`))
  })

/** How many of something a command lists; `countOf` checks it. */
export const listLimit = Options.integer("limit").pipe(
  Options.withDescription("how many, 1 to 1000"),
  Options.withDefault(50)
)

/** The number that an option gives, if it is one of those that the service takes. */
export const countOf = (option: string, value: number): Effect.Effect<number, CliFailure> =>
  value >= 1 && value <= 1_000 ? Effect.succeed(value) : Effect.fail(usage(`${option} must be 1 to 1000`))

const clientOptions = ({ key, reason, timeoutMillis, url }: Connection.Connection): ClientOptions => ({
  url,
  timeoutMillis,
  key: Option.getOrUndefined(key),
  headers: ActReason.headers(reason)
})

/** Gives a handler the client of the public API. Failures of its calls become exit codes here. */
export const withPublic = <A>(
  given: Connection.Options_,
  use: (
    client: CouponClient["Type"],
    connection: Connection.Connection
  ) => Effect.Effect<A, CliFailure | CallFailure>
): Effect.Effect<A, CliFailure> =>
  Effect.gen(function*() {
    const connection = yield* Connection.parse(given)
    const { make } = yield* Effect.promise(() => import("../../client/CouponClient.ts"))
    return yield* use(make(clientOptions(connection)), connection)
  }).pipe(Effect.mapError(ofCall))

/** Gives a handler the client of webhooks. Failures of its calls become exit codes here. */
export const withWebhooks = <A>(
  given: Connection.Options_,
  use: (
    client: WebhookClient["Type"],
    connection: Connection.Connection
  ) => Effect.Effect<A, CliFailure | CallFailure>
): Effect.Effect<A, CliFailure> =>
  Effect.gen(function*() {
    const connection = yield* Connection.parse(given)
    const { make } = yield* Effect.promise(() => import("../../client/WebhookClient.ts"))
    return yield* use(make(clientOptions(connection)), connection)
  }).pipe(Effect.mapError(ofWebhookCall))

/** Gives a handler the client of the operator plane. Failures of its calls become exit codes here. */
export const withOperator = <A>(
  given: Connection.Options_,
  use: (
    client: OperatorClient["Type"],
    connection: Connection.Connection
  ) => Effect.Effect<A, CliFailure | OperatorCallFailure, Scope.Scope>
): Effect.Effect<A, CliFailure> =>
  Effect.gen(function*() {
    const connection = yield* Connection.parse(given)
    const { make } = yield* Effect.promise(() => import("../../client/OperatorClient.ts"))
    return yield* use(yield* make(clientOptions(connection)), connection)
  }).pipe(Effect.scoped, Effect.mapError(ofOperatorCall))

/** Gives a handler the samples of all instances at the address or behind it. */
export const withInstances = <A>(
  given: Connection.Options_,
  use: (instances: AllInstances, connection: Connection.Connection) => Effect.Effect<A, CliFailure, Scope.Scope>
): Effect.Effect<A, CliFailure> =>
  Effect.scoped(Effect.gen(function*() {
    const connection = yield* Connection.parse(given)
    const [all, client] = yield* Effect.promise(() =>
      Promise.all([import("../AllInstances.ts"), import("../../client/OperatorClient.ts")])
    )
    return yield* use(yield* all.make(connection, (one) => client.make(clientOptions(one))), connection)
  }))

/** Prints the answer, as JSON or as text. */
export const show = <A>(json: boolean, value: A, text: (value: A) => string): Effect.Effect<void> =>
  json ? Output.json(value) : Output.line(text(value))
