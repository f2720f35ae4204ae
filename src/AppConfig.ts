import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as StoreUrl from "./StoreUrl.ts"

/** One setting: what it is called, what it does, what it is when nothing is said. */
interface Setting<A> {
  readonly name: string
  readonly description: string
  /** As `--help` shows it. */
  readonly default: string
  readonly config: Config.Config<A>
}

const integer = (name: string, description: string, initial: number, min: number, max: number): Setting<number> => ({
  name,
  description: `${description} (${min} to ${max})`,
  default: String(initial),
  config: Config.integer(name).pipe(
    Config.validate({ message: `must be an integer from ${min} to ${max}`, validation: (n) => n >= min && n <= max }),
    Config.withDefault(initial)
  )
})

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const

/** Reads `500ms`, `1.5s`, `2m`, `1h`, and Effect's own `500 millis`, `2 seconds`. */
const parseDuration = (text: string): Option.Option<Duration.Duration> => {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text)
  return match === null
    ? Duration.decodeUnknown(text)
    : Option.some(Duration.millis(Number(match[1]) * UNITS[match[2] as keyof typeof UNITS]))
}

/** As `parseDuration` reads it. */
const formatDuration = (duration: Duration.Duration): string => {
  const millis = Duration.toMillis(duration)
  if (millis === 0 || millis % 1_000 !== 0) return `${millis}ms`
  return millis % 60_000 === 0 ? `${millis / 60_000}m` : `${millis / 1_000}s`
}

const duration = (name: string, description: string, initial: string, min: string, max: string): Setting<Duration.Duration> => {
  const [initially, minimum, maximum] = [initial, min, max].map((text) => Option.getOrThrow(parseDuration(text))) as [
    Duration.Duration,
    Duration.Duration,
    Duration.Duration
  ]
  const bounds = `${formatDuration(minimum)} to ${formatDuration(maximum)}`
  return {
    name,
    description: `${description} (${bounds})`,
    default: formatDuration(initially),
    config: Config.string(name).pipe(
      Config.mapOrFail((text) =>
        Option.match(Option.filter(parseDuration(text.trim()), Duration.between({ minimum, maximum })), {
          onNone: () => Either.left(ConfigError.InvalidData([], `must be a duration from ${bounds}, such as ${formatDuration(initially)}`)),
          onSome: Either.right
        })
      ),
      Config.withDefault(initially)
    )
  }
}

const oneOf = <const A extends string>(name: string, description: string, values: ReadonlyArray<A>, initial: A): Setting<A> => ({
  name,
  description: `${description} (${values.join(", ")})`,
  default: initial,
  config: Config.literal(...values as [A, ...Array<A>])(name).pipe(Config.withDefault(initial))
})

const url = (
  name: string,
  description: string,
  example: string,
  accepts: (url: StoreUrl.StoreUrl) => boolean
): Setting<Option.Option<Redacted.Redacted<string>>> => ({
  name,
  description: `${description}, e.g. ${example}`,
  default: "",
  config: Config.string(name).pipe(
    Config.mapOrFail((text) => {
      const parsed = StoreUrl.parse(text, 0)
      return parsed !== undefined && accepts(parsed)
        ? Either.right(Redacted.make(text.trim()))
        // The text itself may hold a password: it is never repeated.
        : Either.left(ConfigError.InvalidData([], `must be a URL such as ${example}`))
    }),
    Config.option
  )
})

const file = (name: string, description: string): Setting<Option.Option<string>> => ({
  name,
  description,
  default: "",
  config: Config.option(Config.nonEmptyString(name))
})

const isMysql = ({ path, scheme }: StoreUrl.StoreUrl): boolean => scheme === "mysql" && /^[^/]+$/.test(path)

/** Every setting of the service; the environment variable of each is its `name`. */
export const settings = {
  host: {
    name: "HOST",
    description: "address to listen on; unless set, loopback with the embedded ledger and all addresses with MYSQL_URL",
    default: "127.0.0.1 or 0.0.0.0",
    config: Config.option(Config.nonEmptyString("HOST"))
  } satisfies Setting<Option.Option<string>>,
  port: integer("PORT", "port to listen on; 0 picks a free one", 8080, 0, 65535),
  dataDir: {
    name: "DATA_DIR",
    description: "directory of the embedded ledger; one process owns it",
    default: "./data",
    config: Config.nonEmptyString("DATA_DIR").pipe(Config.withDefault("./data"))
  } satisfies Setting<string>,
  mysqlUrl: url(
    "MYSQL_URL",
    "ledger; needs REDIS_URL; unless set, the embedded one; of several hosts the one that takes writes is followed",
    "mysql://user:password@host:3306,host:3306/coupon?ssl-mode=VERIFY_IDENTITY",
    isMysql
  ),
  mysqlMigrationUrl: url(
    "MYSQL_MIGRATION_URL",
    "the same database as a user that may change the schema, which MYSQL_URL's then need not",
    "mysql://owner:password@host:3306/coupon",
    isMysql
  ),
  mysqlCaFile: file("MYSQL_CA_FILE", "PEM file of the authorities to trust for TLS to MySQL; unless set, Node's own"),
  redisUrl: url(
    "REDIS_URL",
    "gate; needs MYSQL_URL; unless set, the embedded one; rediss, redis+sentinel (host,host/primary), redis+cluster and both with rediss",
    "redis://user:password@host:6379",
    ({ scheme }) => /^rediss?(?:\+sentinel|\+cluster)?$/.test(scheme)
  ),
  redisCaFile: file("REDIS_CA_FILE", "PEM file of the authorities to trust for TLS to Redis; unless set, Node's own"),
  mysqlPoolSize: integer("MYSQL_POOL_SIZE", "connections to MySQL", 10, 2, 500),
  mysqlReplyTimeout: duration("MYSQL_REPLY_TIMEOUT", "silence after which a MySQL connection is given up", "5s", "500ms", "1m"),
  redisReplyTimeout: duration("REDIS_REPLY_TIMEOUT", "silence after which Redis counts as down", "500ms", "50ms", "10s"),
  requestTimeout: duration("REQUEST_TIMEOUT", "longest time a request may take; a shorter Connect-Timeout-Ms wins", "5s", "100ms", "8s"),
  maxInFlight: integer("MAX_IN_FLIGHT", "requests in progress before OVERLOADED", 10_000, 1, 1_000_000),
  maxConnections: integer("MAX_CONNECTIONS", "client connections before new ones are closed", 20_000, 1, 1_000_000),
  maxBodyBytes: integer("MAX_BODY_BYTES", "largest request body in bytes", 65_536, 1_024, 1_048_576),
  issueBatchSize: integer("ISSUE_BATCH_SIZE", "most coupons in one ledger transaction", 512, 1, 1_000),
  issueQueueLimit: integer("ISSUE_QUEUE_LIMIT", "claims a campaign may queue for the ledger before OVERLOADED", 10_000, 1, 1_000_000),
  gateBatchesInFlight: integer("GATE_BATCHES_IN_FLIGHT", "micro-batches a campaign sends to the gate side by side", 4, 1, 64),
  coldWait: duration("COLD_WAIT", "how long a claim waits for a gate that is full or being rebuilt", "1200ms", "0ms", "5s"),
  relayInterval: duration("RELAY_INTERVAL", "pause between polls of the outbox when nothing wakes the relay", "100ms", "10ms", "10s"),
  relayBatchSize: integer("RELAY_BATCH_SIZE", "outbox events taken in one poll", 20, 1, 1_000),
  reaperInterval: duration("REAPER_INTERVAL", "pause between searches for expired reservations", "1s", "50ms", "1m"),
  reservationTimeout: duration("RESERVATION_TIMEOUT", "age after which a reservation is resolved by asking the ledger", "10s", "500ms", "10m"),
  auditInterval: duration("AUDIT_INTERVAL", "pause between comparisons of gate and ledger", "1500ms", "100ms", "1m"),
  hydratePageSize: integer("HYDRATE_PAGE_SIZE", "coupons in one page of a gate rebuild", 5_000, 1, 10_000),
  eventStreamLength: integer("EVENT_STREAM_LENGTH", "CouponIssued events kept a campaign, approximately", 1_000_000, 1_000, 100_000_000),
  shutdownTimeout: duration("SHUTDOWN_TIMEOUT", "longest time to finish admitted work after SIGTERM", "8s", "1s", "10m"),
  metricsPort: {
    name: "METRICS_PORT",
    description: "port of its own for /metrics (0 to 65535); unless set, /metrics is on PORT",
    default: "",
    config: Config.option(Config.integer("METRICS_PORT").pipe(
      Config.validate({ message: "must be an integer from 0 to 65535", validation: (n) => n >= 0 && n <= 65535 })
    ))
  } satisfies Setting<Option.Option<number>>,
  logLevel: oneOf("LOG_LEVEL", "least severe messages to log", ["debug", "info", "warning", "error"], "info"),
  logFormat: oneOf("LOG_FORMAT", "auto is pretty on a terminal and JSON elsewhere", ["auto", "pretty", "json"], "auto")
}

type Settings = typeof settings
type Values = { readonly [K in keyof Settings]: Config.Config.Success<Settings[K]["config"]> }

/** The validated settings. `embedded` tells which of the two assemblies `Backend` chooses. */
export class AppConfig extends Context.Tag("coupon/AppConfig")<AppConfig, Values & {
  readonly embedded: boolean
  readonly listenHost: string
}>() {}

/** The settings do not make sense together or alone; `message` lists all that is wrong, a line each, without any secret. */
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

const refuse = (lines: ReadonlyArray<string>) =>
  new InvalidConfiguration(
    `The configuration is not usable:\n${lines.map((line) => `  - ${line}`).join("\n")}\n` +
      "Run `npm start -- --help` for every setting."
  )

const all = Config.all(
  Object.fromEntries(Object.entries(settings).map(([key, setting]) => [key, setting.config]))
) as Config.Config<Values>

/** Reads and validates every setting from a provider; an empty variable counts as not set. */
export const load = (environment: Record<string, string | undefined>): Effect.Effect<AppConfig["Type"], InvalidConfiguration> =>
  Effect.gen(function*() {
    const set = Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1].trim() !== "")
    const provider = ConfigProvider.fromMap(new Map(set))
    const read = yield* Effect.either(provider.load(all))
    const lines = Either.isLeft(read) ? [...problems(read.left)] : []
    const named = (name: string) => set.some(([key]) => key === name)
    if (named("MYSQL_URL") !== named("REDIS_URL")) {
      const [present, absent] = named("MYSQL_URL") ? ["MYSQL_URL", "REDIS_URL"] : ["REDIS_URL", "MYSQL_URL"]
      lines.push(`${absent}: must be set when ${present} is; set both, or neither for the embedded stores`)
    }
    if (Either.isRight(read) && Duration.greaterThanOrEqualTo(read.right.requestTimeout, read.right.reservationTimeout)) {
      lines.push("RESERVATION_TIMEOUT: must be longer than REQUEST_TIMEOUT, or live reservations are reaped")
    }
    if (Either.isLeft(read) || lines.length > 0) return yield* Effect.fail(refuse(lines))
    const values = read.right
    const embedded = Option.isNone(values.mysqlUrl)
    const listenHost = Option.getOrElse(values.host, () => embedded ? "127.0.0.1" : "0.0.0.0")
    return { ...values, embedded, listenHost }
  })

/** The settings of this process, from its environment: the only place that reads it. */
export const layer: Layer.Layer<AppConfig, InvalidConfiguration> = Layer.effect(AppConfig, Effect.suspend(() => load(process.env)))

/** The defaults with some settings replaced, for tests. */
export const layerTest = (environment: Record<string, string> = {}): Layer.Layer<AppConfig, InvalidConfiguration> =>
  Layer.effect(AppConfig, load(environment))

/** The table that `--help` prints: name, default, description. */
export const help = (): string => {
  const rows = Object.values(settings).map((s) => [s.name, s.default === "" ? "-" : s.default, s.description] as const)
  const width = (column: 0 | 1) => Math.max(...rows.map((row) => row[column].length))
  return rows.map(([name, initial, text]) => `  ${name.padEnd(width(0))}  ${initial.padEnd(width(1))}  ${text}`).join("\n")
}
