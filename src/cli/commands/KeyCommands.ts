import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as DurationText from "../../base/DurationText.ts"
import type { Key } from "../../contract/operator/Keys.ts"
import { roles } from "../../domain/Role.ts"
import type { OperatorClient } from "../../client/OperatorClient.ts"
import { type CliFailure, usage } from "../CliFailure.ts"
import { show, withOperator } from "./Commands.ts"
import * as Connection from "../Connection.ts"
import * as KeyAdvice from "../KeyAdvice.ts"
import * as Confirmation from "../line/Confirmation.ts"
import * as Output from "../Output.ts"
import type { Times } from "../values/Times.ts"

type Text = Option.Option<string>

const expires = Options.text("expires").pipe(
  Options.withDescription("when it expires: a time such as 2025-06-25T00:00:00Z or +90d, or never"),
  Options.optional
)

const limits = {
  expires,
  networks: Options.text("networks").pipe(
    Options.withDescription("where it may be used from: 10.0.0.0/8,192.0.2.7 (up to 32), or any"),
    Options.optional
  ),
  campaigns: Options.text("campaigns").pipe(
    Options.withDescription("the campaigns that it may touch: 1,2 (up to 100), or any"),
    Options.optional
  )
}

const parseExpiry = (text: Text, times: Times): Effect.Effect<{ readonly expiresAt?: number | null }, CliFailure> =>
  Effect.gen(function*() {
    if (Option.isNone(text)) return {}
    if (text.value === "never") return { expiresAt: null }
    const expiresAt = Date.parse(yield* times.parse("--expires", text.value))
    if (Number.isNaN(expiresAt)) return yield* usage("--expires must be a time such as 2025-06-25T00:00:00Z")
    return { expiresAt }
  })

/** `a,b` as its parts; `null` for `any`. */
const parts = (text: string): ReadonlyArray<string> | null =>
  text === "any" ? null : text.split(",").map((part) => part.trim())

const parseLimits = (
  given: { readonly expires: Text; readonly networks: Text; readonly campaigns: Text },
  times: Times
) =>
  Effect.gen(function*() {
    const ids = Option.map(given.campaigns, parts)
    if (Option.exists(ids, (some) => some?.some((id) => !/^[1-9]\d{0,9}$/.test(id)) === true)) {
      return yield* usage("--campaigns must be numbers of campaigns such as 1,2, or any")
    }
    return {
      ...yield* parseExpiry(given.expires, times),
      ...Option.isSome(given.networks) ? { networks: parts(given.networks.value) } : {},
      ...Option.isSome(ids) ? { campaigns: ids.value?.map(Number) ?? null } : {}
    }
  })

const keyId = Args.text({ name: "key-id" })

const create = Command.make(
  "create",
  {
    name: Options.text("name").pipe(Options.withDescription("its name in the audit log, 1 to 100 characters")),
    role: Options.choice("role", roles).pipe(Options.withDescription("what its holder may do")),
    rate: Options.integer("rate").pipe(
      Options.withDescription("most calls a second with it, at each instance"),
      Options.optional
    ),
    ...limits,
    ...Connection.acting
  },
  ({ campaigns, expires, name, networks, rate, role, ...given }) =>
    withOperator(given, (client, { json, times }) =>
      Effect.gen(function*() {
        const limit = Option.match(rate, { onNone: () => ({}), onSome: (requestsPerSecond) => ({ requestsPerSecond }) })
        const key = yield* client.CreateKey({
          name,
          role,
          ...limit,
          ...yield* parseLimits({ campaigns, expires, networks }, times)
        })
        // Standard output has only the secret, for redirection: coupon keys create … > /run/secrets/key
        yield* show(json, key, ({ secret }) => secret)
        if (!json) yield* Console.error(`key ${key.id}: keep the secret, it is shown only once`)
      }))
).pipe(Command.withDescription("makes an API key and prints its secret, only once"))

const stateOf = (
  { endsAt, expiresAt, replacedBy, revokedAt }: typeof Key.Type,
  now: number,
  { show: time }: Times
): string => {
  if (revokedAt !== null) return `revoked ${time(revokedAt)}`
  if (expiresAt !== null && expiresAt <= now) return "expired"
  if (replacedBy === null) return "valid"
  return endsAt! <= now ? `replaced by ${replacedBy}` : `replaced by ${replacedBy}, ends ${time(endsAt)}`
}

const list = Command.make("list", Connection.options, (given) =>
  withOperator(given, (client, { json, times }) =>
    Effect.gen(function*() {
      const keys = yield* client.ListKeys()
      const now = Date.now()
      yield* show(json, keys, () =>
        keys.length === 0 ? "there are no keys" : Output.table(
          ["id", "name", "role", "calls/s", "from", "campaigns", "created", "last used", "expires", "state"],
          keys.map((key) => [
            key.id,
            key.name,
            key.role,
            key.requestsPerSecond ?? "any",
            key.networks?.join(" ") ?? "any",
            key.campaigns?.join(" ") ?? "any",
            times.show(key.createdAt),
            key.lastUsedOn ?? "",
            key.expiresAt === null ? "never" : times.show(key.expiresAt),
            stateOf(key, now, times)
          ])
        ))
      if (json) return
      for (const key of KeyAdvice.expiring(keys, now)) yield* Console.error(`WARN  ${KeyAdvice.text(key, now)}`)
    }))).pipe(Command.withDescription("lists every API key that ever was, without secrets"))

const limit = Command.make(
  "limit",
  { id: keyId, ...limits, ...Connection.acting },
  ({ campaigns, expires, id, networks, ...given }) =>
    withOperator(given, (client, { json, times }) =>
      Effect.gen(function*() {
        const change = yield* parseLimits({ campaigns, expires, networks }, times)
        if (Object.keys(change).length === 0) {
          return yield* usage("give at least one of --expires, --networks and --campaigns")
        }
        yield* client.LimitKey({ id, ...change })
        yield* show(json, { id, ...change }, () =>
          `key ${id} has these limits: at once here, within 10 s at every other instance`)
      }))
).pipe(Command.withDescription("changes the limits of an API key; what is not given stays"))

const rotate = Command.make(
  "rotate",
  {
    id: keyId,
    overlap: Options.text("overlap").pipe(
      Options.withDescription("how long the former key stays valid, 0s to 30d"),
      Options.withDefault("24h")
    ),
    expires: expires.pipe(
      Options.withDescription("when the new key expires; without it, it lives as long as the former")
    ),
    ...Connection.acting
  },
  ({ expires, id, overlap, ...given }) =>
    withOperator(given, (client, { json, times }) =>
      Effect.gen(function*() {
        const days = /^(\d{1,3})d$/.exec(overlap)
        const parsed = days === null ? DurationText.parse(overlap) : Option.some(Duration.days(Number(days[1])))
        if (Option.isNone(parsed)) return yield* usage("--overlap must be a duration such as 30m, 24h or 7d")
        const overlapMillis = Math.round(Duration.toMillis(parsed.value))
        const key = yield* client.RotateKey({ id, overlapMillis, ...yield* parseExpiry(expires, times) })
        yield* show(json, { ...key, former: id }, ({ secret }) => secret)
        if (json) return
        const end = key.expiresAt === null ? "" : `, and expires ${times.show(key.expiresAt)}`
        yield* Console.error(
          `key ${key.id} replaces ${id}, which ends ${times.show(key.formerEndsAt)}${end}: ` +
            "keep the secret, it is shown only once"
        )
      }))
).pipe(Command.withDescription("replaces an API key by a new one of the same name, role and limits; prints its secret"))

/** Asks before the last ADMIN key is revoked. Without an ADMIN_API_KEY there is nothing to ask: it is rejected then. */
const confirmLast = (client: OperatorClient["Type"], { id, json, times }: {
  readonly id: string
  readonly json: boolean
  readonly times: Times
}) =>
  Effect.gen(function*() {
    const now = Date.now()
    const admins = (yield* client.ListKeys()).filter((key) =>
      key.role === "ADMIN" && stateOf(key, now, times) === "valid")
    const [last] = admins
    if (last?.id !== id || admins.length > 1) return
    const settings = yield* client.Settings()
    if (!settings.some(({ isDefault, name }) => name.startsWith("ADMIN_API_KEY") && !isDefault)) return
    const what = `key ${id} ${last.name} is the last ADMIN key: without it only ADMIN_API_KEY can administer`
    yield* Confirmation.confirm({ what, word: last.name, yes: false, json })
  })

const revoke = Command.make(
  "revoke",
  { id: keyId, yes: Confirmation.yes, ...Connection.acting },
  ({ id, yes, ...given }) =>
    withOperator(given, (client, { json, times }) =>
      Effect.gen(function*() {
        if (!yes) yield* confirmLast(client, { id, json, times })
        yield* client.RevokeKey({ id })
        yield* show(json, { id, revoked: true }, () =>
          `key ${id} is revoked: at once here, within 10 s at every other instance`)
      }))
).pipe(Command.withDescription("ends the validity of an API key"))

export const keys = Command.make("keys").pipe(
  Command.withDescription("makes, lists, limits, replaces and revokes API keys (role ADMIN)"),
  Command.withSubcommands([create, list, limit, rotate, revoke])
)
