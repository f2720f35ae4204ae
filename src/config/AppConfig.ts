import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Networks from "./Networks.ts"
import * as SecretsKey from "./SecretsKey.ts"
import { checkSecret, LEAST_SECRET_BITS, secretBits } from "./Setting.ts"
import { settings } from "./Settings.ts"
import { readFileSync } from "node:fs"
import { BlockList } from "node:net"

type Settings = typeof settings
type Values = { readonly [K in keyof Settings]: Config.Config.Success<Settings[K]["config"]> }

/** The validated settings. `embedded` decides which assembly `Backend` builds. */
export class AppConfig extends Context.Tag("coupon/AppConfig")<AppConfig, Values & {
  readonly embedded: boolean
  readonly production: boolean
  /** Whether callers without a key see the codes of a campaign. A code alone may have a value. */
  readonly listsCodesToAll: boolean
  /** Whether it serves the console. */
  readonly servesConsole: boolean
  /** Whether callers without a key may administer, while there is no key and the ledger never was in production. */
  readonly mayOpenAdministration: boolean
  readonly listenHost: string
  /** TRUSTED_PROXIES. */
  readonly trustedNetworks: BlockList
  /** WEBHOOK_ALLOWED_NETWORKS. */
  readonly webhookNetworks: BlockList
}>() {}

/** The settings are invalid, alone or together. `message` lists every error, one per line, without any secret. */
export class InvalidConfiguration extends Error {
  override readonly name = "InvalidConfiguration"
}

const problems = (error: ConfigError.ConfigError): ReadonlyArray<string> => {
  switch (error._op) {
    case "And":
    case "Or":
      return [...problems(error.left), ...problems(error.right)]
    default:
      return [`${error.path.join("_") || "configuration"}: ${error.message}`]
  }
}
const invalid = (lines: ReadonlyArray<string>) =>
  new InvalidConfiguration(
    `The settings are not usable:\n${lines.map((line) => `  - ${line}`).join("\n")}\n` +
      "Run `npm start -- --help` for every setting."
  )

const isLoopback = (host: string): boolean => /^(localhost|::1|127(\.\d{1,3}){3})$/i.test(host)

/** What has to be decided before it serves in production, and what must not be. */
const unsafeInProduction = (
  { openAdministration }: Values,
  named: (name: string) => boolean
): ReadonlyArray<string> => [
  ...openAdministration === "yes"
    ? ["OPEN_ADMINISTRATION: must not be `yes` in production; administration needs an ADMIN key there"]
    : [],
  ...named("PUBLIC_ACCESS") || named("JWT_JWKS_URL") || named("JWT_JWKS_FILE")
    ? []
    : [
      "PUBLIC_ACCESS: must be set in production, unless users have tokens (JWT_JWKS_URL, JWT_ISSUER, JWT_AUDIENCE). " +
      "`key`: a claim needs an API key, so that only your own backends claim, for users that they know. " +
      "`open`: all who reach the port may claim in any user's name, and look up any user's coupon"
    ]
]

const all = Config.all(
  Object.fromEntries(Object.entries(settings).map(([key, setting]) => [key, setting.config]))
) as Config.Config<Values>

/** `serves`: the service. `works`: a program that works on its stores and ends, such as a migration. */
export type Purpose = "serves" | "works"

/** Reads and validates every setting from a provider; an empty variable counts as not set. */
export const load = (
  environment: Record<string, string | undefined>,
  purpose: Purpose = "serves"
): Effect.Effect<AppConfig["Type"], InvalidConfiguration> =>
  Effect.gen(function*() {
    const set = Object.entries(environment).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && entry[1].trim() !== ""
    )
    const provider = ConfigProvider.fromMap(new Map(set))
    const read = yield* Effect.either(provider.load(all))
    const lines = Either.isLeft(read) ? [...problems(read.left)] : []
    const named = (name: string) => set.some(([key]) => key === name)
    if (named("MYSQL_URL") !== named("REDIS_URL")) {
      const [present, absent] = named("MYSQL_URL") ? ["MYSQL_URL", "REDIS_URL"] : ["REDIS_URL", "MYSQL_URL"]
      lines.push(`${absent}: must be set when ${present} is; set both, or neither for the embedded stores`)
    }
    if (Either.isRight(read) && read.right.eventStream === "redis" && !named("REDIS_URL")) {
      lines.push("EVENT_STREAM: needs REDIS_URL; the embedded stores have no Redis to hold the stream")
    }
    const timeouts = Either.getOrUndefined(read)
    if (timeouts && Duration.greaterThanOrEqualTo(timeouts.requestTimeout, timeouts.reservationTimeout)) {
      lines.push("RESERVATION_TIMEOUT: must be longer than REQUEST_TIMEOUT, or live reservations are reaped")
    }
    for (const [one, other] of [["TLS_CERT_FILE", "TLS_KEY_FILE"], ["TLS_KEY_FILE", "TLS_CERT_FILE"]] as const) {
      if (named(one) && !named(other)) lines.push(`${other}: must be set when ${one} is`)
    }
    const alternatives = [
      ["ADMIN_API_KEY", "ADMIN_API_KEY_FILE"],
      ["JWT_JWKS_URL", "JWT_JWKS_FILE"],
      ["SECRETS_KEY", "SECRETS_KEY_FILE"]
    ] as const
    for (const [one, other] of alternatives) {
      if (named(one) && named(other)) lines.push(`${one}: is set, and ${other} too; set one of them`)
    }
    if (named("JWT_JWKS_URL") || named("JWT_JWKS_FILE")) {
      for (const name of ["JWT_ISSUER", "JWT_AUDIENCE"]) {
        if (named(name)) continue
        lines.push(`${name}: must be set; without it, tokens that were issued for others would be accepted`)
      }
    }
    const servesInProduction = purpose === "serves" && timeouts?.nodeEnv === "production"
    if (servesInProduction) lines.push(...unsafeInProduction(timeouts, named))
    /** A setting from the file that names it; `parse` checks its content. */
    const fromFile = <A>(
      name: string,
      path: Option.Option<string>,
      parse: (text: string) => Either.Either<A, ConfigError.ConfigError>
    ): Option.Option<A> =>
      Option.flatMap(path, (file) => {
        const content = Either.try({
          try: () => readFileSync(file, "utf8").trim(),
          catch: (error) => `cannot be read: ${(error as Error).message}`
        }).pipe(
          Either.flatMap((text) =>
            Either.mapLeft(parse(text), (error) => `its content ${problems(error)[0]!.replace(/^configuration: /, "")}`)
          )
        )
        if (Either.isLeft(content)) lines.push(`${name}: ${content.left}`)
        return Either.getRight(content)
      })
    const files = Either.getOrUndefined(read)
    const keyInFile = fromFile("ADMIN_API_KEY_FILE", files?.adminApiKeyFile ?? Option.none(), checkSecret)
    const secretsInFile = fromFile("SECRETS_KEY_FILE", files?.secretsKeyFile ?? Option.none(), SecretsKey.parse)
    if (Either.isRight(read) && servesInProduction) {
      const given = [["ADMIN_API_KEY", read.right.adminApiKey], ["ADMIN_API_KEY_FILE", keyInFile]] as const
      for (const [name, key] of given) {
        if (Option.isNone(key) || secretBits(Redacted.value(key.value)) >= LEAST_SECRET_BITS) continue
        lines.push(`${name}: can be guessed: it repeats itself or has a pattern; make one by: openssl rand -base64 32`)
      }
    }
    if (Either.isLeft(read) || lines.length > 0) return yield* Effect.fail(invalid(lines))
    const values = read.right
    const embedded = Option.isNone(values.mysqlUrl)
    const networks = (texts: ReadonlyArray<string>) => {
      const parsed = Networks.parse(texts)
      return typeof parsed === "string" ? new BlockList() : parsed
    }
    const listenHost = Option.getOrElse(values.host, () => embedded ? "127.0.0.1" : "0.0.0.0")
    return {
      ...values,
      adminApiKey: Option.orElse(values.adminApiKey, () => keyInFile),
      embedded,
      listenHost,
      mayOpenAdministration: values.nodeEnv !== "production" && (
        values.openAdministration === "yes" || values.openAdministration === "loopback" && isLoopback(listenHost)
      ),
      listsCodesToAll: Option.match(values.publicCodes, {
        onNone: () =>
          values.nodeEnv !== "production" && Option.isNone(values.jwksUrl) && Option.isNone(values.jwksFile),
        onSome: (choice) => choice === "on"
      }),
      servesConsole: Option.match(values.console, {
        onNone: () => values.nodeEnv !== "production",
        onSome: (choice) => choice === "on"
      }),
      secretsKey: Option.orElse(values.secretsKey, () => secretsInFile),
      trustedNetworks: networks(values.trustedProxies),
      webhookNetworks: networks(values.webhookAllowedNetworks),
      production: values.nodeEnv === "production"
    }
  })

/** The settings of this process, from its environment. Nothing else reads it. */
export const layer = (purpose: Purpose): Layer.Layer<AppConfig, InvalidConfiguration> =>
  Layer.effect(AppConfig, Effect.suspend(() => load(process.env, purpose)))

/** The defaults with some settings replaced, for tests. */
export const layerTest = (environment: Record<string, string> = {}): Layer.Layer<AppConfig, InvalidConfiguration> =>
  Layer.effect(AppConfig, load(environment))
