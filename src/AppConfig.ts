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

const duration = (
  name: string,
  description: string,
  initial: Duration.DurationInput,
  min: Duration.DurationInput,
  max: Duration.DurationInput
): Setting<Duration.Duration> => {
  const bounds = `${Duration.format(Duration.decode(min))} to ${Duration.format(Duration.decode(max))}`
  return {
    name,
    description: `${description} (${bounds})`,
    default: Duration.format(Duration.decode(initial)),
    config: Config.duration(name).pipe(
      Config.validate({
        message: `must be a duration from ${bounds}, such as "500 millis" or "2 seconds"`,
        validation: Duration.between({ minimum: min, maximum: max })
      }),
      Config.map(Duration.decode),
      Config.withDefault(Duration.decode(initial))
    )
  }
}

const oneOf = <const A extends string>(name: string, description: string, values: ReadonlyArray<A>, initial: A): Setting<A> => ({
  name,
  description: `${description} (${values.join(", ")})`,
  default: initial,
  config: Config.literal(...values as [A, ...Array<A>])(name).pipe(Config.withDefault(initial))
})

const url = (name: string, description: string, protocols: ReadonlyArray<string>): Setting<Option.Option<Redacted.Redacted<string>>> => ({
  name,
  description,
  default: "",
  config: Config.string(name).pipe(
    Config.mapOrFail((text) =>
      URL.canParse(text) && protocols.includes(new URL(text).protocol)
        ? Either.right(Redacted.make(text))
        // The text itself may hold a password: it is never repeated.
        : Either.left(ConfigError.InvalidData([], `must be a URL that begins with ${protocols.map((p) => `${p}//`).join(" or ")}`))
    ),
    Config.option
  )
})

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
  mysqlUrl: url("MYSQL_URL", "ledger, e.g. mysql://user:password@host:3306/coupon; needs REDIS_URL; unless set, the embedded one", ["mysql:"]),
  redisUrl: url("REDIS_URL", "gate, e.g. redis://host:6379; needs MYSQL_URL; unless set, the embedded one", ["redis:", "rediss:"]),
  mysqlPoolSize: integer("MYSQL_POOL_SIZE", "connections to MySQL", 10, 2, 500),
  mysqlReplyTimeout: duration("MYSQL_REPLY_TIMEOUT", "silence after which a MySQL connection is given up", "5 seconds", "500 millis", "60 seconds"),
  redisReplyTimeout: duration("REDIS_REPLY_TIMEOUT", "silence after which Redis counts as down", "500 millis", "50 millis", "10 seconds"),
  requestTimeout: duration("REQUEST_TIMEOUT", "longest time a request may take; a shorter Connect-Timeout-Ms wins", "5 seconds", "100 millis", "8 seconds"),
  maxInFlight: integer("MAX_IN_FLIGHT", "requests in progress before OVERLOADED", 10_000, 1, 1_000_000),
  maxConnections: integer("MAX_CONNECTIONS", "client connections before new ones are closed", 20_000, 1, 1_000_000),
  maxBodyBytes: integer("MAX_BODY_BYTES", "largest request body in bytes", 65_536, 1_024, 1_048_576),
  issueBatchSize: integer("ISSUE_BATCH_SIZE", "most coupons in one ledger transaction", 512, 1, 1_000),
  issueQueueLimit: integer("ISSUE_QUEUE_LIMIT", "claims a campaign may queue for the ledger before OVERLOADED", 10_000, 1, 1_000_000),
  gateBatchesInFlight: integer("GATE_BATCHES_IN_FLIGHT", "micro-batches a campaign sends to the gate side by side", 4, 1, 64),
  coldWait: duration("COLD_WAIT", "how long a claim waits for a gate that is full or being rebuilt", "1200 millis", "0 millis", "5 seconds"),
  relayInterval: duration("RELAY_INTERVAL", "pause between polls of the outbox when nothing wakes the relay", "100 millis", "10 millis", "10 seconds"),
  relayBatchSize: integer("RELAY_BATCH_SIZE", "outbox events taken in one poll", 20, 1, 1_000),
  reaperInterval: duration("REAPER_INTERVAL", "pause between searches for expired reservations", "1 second", "50 millis", "60 seconds"),
  reservationTimeout: duration("RESERVATION_TIMEOUT", "age after which a reservation is resolved by asking the ledger", "10 seconds", "500 millis", "10 minutes"),
  auditInterval: duration("AUDIT_INTERVAL", "pause between comparisons of gate and ledger", "1500 millis", "100 millis", "60 seconds"),
  hydratePageSize: integer("HYDRATE_PAGE_SIZE", "coupons in one page of a gate rebuild", 5_000, 1, 10_000),
  eventStreamLength: integer("EVENT_STREAM_LENGTH", "CouponIssued events kept a campaign, approximately", 1_000_000, 1_000, 100_000_000),
  shutdownTimeout: duration("SHUTDOWN_TIMEOUT", "longest time to finish admitted work after SIGTERM", "8 seconds", "1 second", "10 minutes"),
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
    if (Either.isLeft(read) || lines.length > 0) return yield* Effect.fail(refuse(lines))
    const values = read.right
    const embedded = Option.isNone(values.mysqlUrl)
    const listenHost = Option.getOrElse(values.host, () => embedded ? "127.0.0.1" : "0.0.0.0")
    if (Duration.greaterThanOrEqualTo(values.requestTimeout, values.reservationTimeout)) {
      return yield* Effect.fail(refuse(["RESERVATION_TIMEOUT: must be longer than REQUEST_TIMEOUT, or live reservations are reaped"]))
    }
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
