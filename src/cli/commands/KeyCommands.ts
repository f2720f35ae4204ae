import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { roles } from "../../domain/Role.ts"
import { show, withOperator } from "./Commands.ts"
import * as Connection from "../Connection.ts"
import * as Output from "../Output.ts"

const create = Command.make(
  "create",
  {
    name: Options.text("name").pipe(Options.withDescription("its name in the audit log, 1 to 100 characters")),
    role: Options.choice("role", roles).pipe(Options.withDescription("what its holder may do")),
    rate: Options.integer("rate").pipe(
      Options.withDescription("most calls a second with it, at each instance"),
      Options.optional
    ),
    ...Connection.options
  },
  ({ name, rate, role, ...given }) =>
    withOperator(given, (client, { json }) =>
      Effect.gen(function*() {
        const limit = Option.match(rate, { onNone: () => ({}), onSome: (requestsPerSecond) => ({ requestsPerSecond }) })
        const key = yield* client.CreateKey({ name, role, ...limit })
        // Standard output has only the secret, for redirection: coupon keys create … > /run/secrets/key
        yield* show(json, key, ({ secret }) => secret)
        if (!json) yield* Console.error(`key ${key.id}: keep the secret, it is shown only once`)
      }))
).pipe(Command.withDescription("makes an API key and prints its secret, only once"))

const list = Command.make("list", Connection.options, (given) =>
  withOperator(given, (client, { json }) =>
    Effect.gen(function*() {
      const keys = yield* client.ListKeys()
      yield* show(json, keys, () =>
        keys.length === 0 ? "there are no keys" : Output.table(
          ["id", "name", "role", "calls/s", "created", "revoked"],
          keys.map(({ createdAt, id, name, requestsPerSecond, revokedAt, role }) =>
            [id, name, role, requestsPerSecond ?? "any", Output.time(createdAt), Output.time(revokedAt)])
        ))
    }))).pipe(Command.withDescription("lists every API key that ever was, without secrets"))

const revoke = Command.make(
  "revoke",
  { id: Args.text({ name: "key-id" }), ...Connection.options },
  ({ id, ...given }) =>
    withOperator(given, (client, { json }) =>
      Effect.zipRight(
        client.RevokeKey({ id }),
        show(json, { id, revoked: true }, () =>
          `key ${id} is revoked: at once here, within 10 s at every other instance`)
      ))
).pipe(Command.withDescription("ends the validity of an API key"))

export const keys = Command.make("keys").pipe(
  Command.withDescription("makes, lists and revokes API keys (role ADMIN)"),
  Command.withSubcommands([create, list, revoke])
)
