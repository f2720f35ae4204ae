import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Either from "effect/Either"
import type * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Networks from "./Networks.ts"
import {
  checkSecret, duration, durations, file, integer, LEAST_SECRET, list, oneOf, optionalDuration, url, type Setting
} from "./Setting.ts"
import { parse as parseSecretsKey, type SecretsKeys } from "./SecretsKey.ts"
import type { StoreUrl } from "./StoreUrl.ts"

const isMysql = ({ path, scheme }: StoreUrl): boolean => scheme === "mysql" && /^[^/]+$/.test(path)

/** An origin in the form of browsers, e.g. `https://shop.example`, or `*`. */
const isOrigin = (text: string): boolean => text === "*" || (URL.canParse(text) && new URL(text).origin === text)

/** Parses `key=value,key=value`, both percent-encoded: the format of OTEL_EXPORTER_OTLP_HEADERS in OpenTelemetry. */
const parseHeaders = (
  text: string
): Either.Either<Redacted.Redacted<Readonly<Record<string, string>>>, ConfigError.ConfigError> =>
  Either.try({
    try: () => {
      const pairs = text.split(",").map((pair) => {
        const [, name, value] = /^\s*([^\s=]+)\s*=\s*(.*?)\s*$/.exec(pair)!
        return [decodeURIComponent(name!), decodeURIComponent(value!)] as const
      })
      // Throws at an invalid header now. Otherwise fetch would throw later, and quote the value.
      new Headers(pairs.map(([name, value]) => [name, value]))
      return Redacted.make(Object.fromEntries(pairs))
    },
    // The text may hold a secret: the message does not repeat it.
    catch: () => ConfigError.InvalidData([], "must be name=value pairs, separated by commas and percent-encoded")
  })

const networksError = (networks: ReadonlyArray<string>): string | undefined => {
  const parsed = Networks.parse(networks)
  return typeof parsed === "string" ? parsed : undefined
}

/** Every setting of the service. The environment variable of each is its `name`. */
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
    "gate; needs MYSQL_URL; unless set, the embedded one; rediss, redis+sentinel (host,host/primary), redis+cluster " +
      "and both with rediss",
    "redis://user:password@host:6379",
    ({ scheme }) => /^rediss?(?:\+sentinel|\+cluster)?$/.test(scheme)
  ),
  redisKeyPrefix: {
    name: "REDIS_KEY_PREFIX",
    description: "prefix of the gate's keys, the same for all instances; unless set, coupon: and the ledger's identity",
    default: "",
    config: Config.option(Config.string("REDIS_KEY_PREFIX").pipe(
      Config.validate({
        message: "must be 1 to 64 characters of A-Z a-z 0-9 . _ : - such as shop-staging:",
        validation: (text) => /^[\w.:-]{1,64}$/.test(text)
      })
    ))
  } satisfies Setting<Option.Option<string>>,
  redisCaFile: file("REDIS_CA_FILE", "PEM file of the authorities to trust for TLS to Redis; unless set, Node's own"),
  mysqlPoolSize: integer("MYSQL_POOL_SIZE", "connections to MySQL", 10, 2, 500),
  mysqlReplyTimeout: duration(
    "MYSQL_REPLY_TIMEOUT",
    "time without a reply after which a MySQL connection is closed",
    "5s",
    "500ms",
    "1m"
  ),
  redisReplyTimeout: duration(
    "REDIS_REPLY_TIMEOUT",
    "time without a reply after which Redis counts as down",
    "500ms",
    "50ms",
    "10s"
  ),
  requestTimeout: duration(
    "REQUEST_TIMEOUT",
    "longest time of a request; a shorter Connect-Timeout-Ms wins",
    "5s",
    "100ms",
    "8s"
  ),
  maxInFlight: integer("MAX_IN_FLIGHT", "requests in progress before OVERLOADED", 10_000, 1, 1_000_000),
  latencyTarget: duration(
    "LATENCY_TARGET",
    "target latency under overload; calls beyond it are rejected with OVERLOADED",
    "100ms",
    "5ms",
    "1s"
  ),
  trustedProxies: list(
    "TRUSTED_PROXIES",
    "proxies whose X-Forwarded-For names the client, separated by commas, e.g. 10.0.0.0/8; unless set, none",
    networksError
  ),
  maxConnections: integer(
    "MAX_CONNECTIONS",
    "client connections before new ones are closed; lowered at the start to what ulimit -n allows",
    20_000,
    1,
    1_000_000
  ),
  maxBodyBytes: integer("MAX_BODY_BYTES", "largest request body in bytes", 65_536, 1_024, 1_048_576),
  heldBytes: integer(
    "HELD_BYTES",
    "bytes of bodies without their end and of unread answers, of all clients; one client has at most half of them",
    67_108_864,
    4_194_304,
    17_179_869_184
  ),
  issueBatchSize: integer("ISSUE_BATCH_SIZE", "most coupons in one ledger transaction", 512, 1, 1_000),
  issueQueueLimit: integer(
    "ISSUE_QUEUE_LIMIT",
    "claims a campaign may queue for the ledger before OVERLOADED",
    10_000,
    1,
    1_000_000
  ),
  gateBatchesInFlight: integer(
    "GATE_BATCHES_IN_FLIGHT",
    "micro-batches a campaign sends to the gate side by side",
    4,
    1,
    64
  ),
  gateBypassAfter: integer(
    "GATE_BYPASS_AFTER",
    "coupons in a row after which a campaign's claims skip the gate, until a claim is rejected; 0: never",
    1_000,
    0,
    1_000_000
  ),
  coldWait: duration(
    "COLD_WAIT",
    "longest time a claim waits for a gate that is full or being rebuilt",
    "1200ms",
    "0ms",
    "5s"
  ),
  relayInterval: duration(
    "RELAY_INTERVAL",
    "pause between polls of the outbox when nothing wakes the relay",
    "100ms",
    "10ms",
    "10s"
  ),
  relayBatchSize: integer("RELAY_BATCH_SIZE", "outbox events taken in one poll", 20, 1, 1_000),
  reaperInterval: duration("REAPER_INTERVAL", "pause between searches for expired reservations", "1s", "50ms", "1m"),
  reservationTimeout: duration(
    "RESERVATION_TIMEOUT",
    "age after which a reservation is resolved by asking the ledger",
    "10s",
    "500ms",
    "10m"
  ),
  reconcileInterval: duration(
    "AUDIT_INTERVAL",
    "pause between comparisons of gate and ledger",
    "1500ms",
    "100ms",
    "1m"
  ),
  hydratePageSize: integer("HYDRATE_PAGE_SIZE", "coupons in one page of a gate rebuild", 5_000, 1, 10_000),
  eventStream: oneOf(
    "EVENT_STREAM",
    "redis publishes a CouponIssued event per coupon to a stream of Redis, for other programs; needs REDIS_URL",
    ["off", "redis"],
    "off"
  ),
  eventStreamLength: integer(
    "EVENT_STREAM_LENGTH",
    "events kept per campaign in EVENT_STREAM, approximately",
    1_000_000,
    // What instances have published and not yet confirmed must not be trimmed: 10,000 coupons in a poll each.
    100_000,
    100_000_000
  ),
  eventRetention: optionalDuration(
    "EVENT_RETENTION",
    "how long the events of a campaign's log are kept; unless set, for good",
    "2160h",
    "1h",
    "87600h"
  ),
  maxWatchers: integer(
    "MAX_WATCHERS",
    "calls of WatchCampaign in progress before OVERLOADED; one client has at most half of them",
    1_000,
    2,
    100_000
  ),
  gateKeptAfterEnd: duration(
    "GATE_KEPT_AFTER_END",
    "how long the gate keeps the data of a campaign that is over",
    "24h",
    "1m",
    "720h"
  ),
  shutdownTimeout: duration(
    "SHUTDOWN_TIMEOUT",
    "longest time to finish admitted work after SIGTERM",
    "8s",
    "1s",
    "10m"
  ),
  metricsPort: {
    name: "METRICS_PORT",
    description: "port of its own for /metrics (0 to 65535); unless set, /metrics is on PORT",
    default: "",
    config: Config.option(Config.integer("METRICS_PORT").pipe(
      Config.validate({ message: "must be an integer from 0 to 65535", validation: (n) => n >= 0 && n <= 65535 })
    ))
  } satisfies Setting<Option.Option<number>>,
  adminPort: {
    name: "ADMIN_PORT",
    description: "port of its own for operators, which the public cannot fill (0 to 65535): the operator plane and " +
      "/metrics move there, health and the API are there too; unless set, all are on PORT",
    default: "",
    config: Config.option(Config.integer("ADMIN_PORT").pipe(
      Config.validate({ message: "must be an integer from 0 to 65535", validation: (n) => n >= 0 && n <= 65535 })
    ))
  } satisfies Setting<Option.Option<number>>,
  adminHost: {
    name: "ADMIN_HOST",
    description: "address of ADMIN_PORT",
    default: "127.0.0.1",
    config: Config.nonEmptyString("ADMIN_HOST").pipe(Config.withDefault("127.0.0.1"))
  } satisfies Setting<string>,
  nodeEnv: oneOf(
    "NODE_ENV",
    "in production it does not start without an ADMIN key, nor before it is said who may claim " +
      "(PUBLIC_ACCESS or tokens)",
    ["development", "test", "production"],
    "development"
  ),
  adminApiKey: {
    name: "ADMIN_API_KEY",
    description: `a key with every right, to begin with; at least ${LEAST_SECRET} characters`,
    default: "",
    config: Config.string("ADMIN_API_KEY").pipe(Config.mapOrFail(checkSecret), Config.option)
  } satisfies Setting<Option.Option<Redacted.Redacted<string>>>,
  adminApiKeyFile: file("ADMIN_API_KEY_FILE", "file that holds ADMIN_API_KEY, as orchestrators mount secrets"),
  openAdministration: oneOf(
    "OPEN_ADMINISTRATION",
    "whether callers without a key may administer while there is no key: `yes`, or `loopback`: where HOST is a " +
      "loopback address, which `npm start` sets; never in production, nor on a ledger that was served in production",
    ["no", "loopback", "yes"],
    "no"
  ),
  publicAccess: oneOf(
    "PUBLIC_ACCESS",
    "whether IssueCoupon, GetCoupon and GetCampaign need an API key too; must be set in production, " +
      "unless users have tokens",
    ["open", "key"],
    "open"
  ),
  publicCodes: {
    name: "PUBLIC_CODES",
    description: "whether GetCampaign lists codes to callers without a key too; unless set, off in production and " +
      "where users have tokens (on, off)",
    default: "on or off",
    config: Config.option(Config.literal("on", "off")("PUBLIC_CODES"))
  } satisfies Setting<Option.Option<"on" | "off">>,
  publicRedeem: oneOf(
    "PUBLIC_REDEEM",
    "whether callers without the role REDEEMER may redeem coupons by their codes: `on` or `off`; wrong codes are " +
      "counted",
    ["off", "on"],
    "off"
  ),
  jwksUrl: {
    name: "JWT_JWKS_URL",
    description: "keys of the issuer whose tokens (JWT) let a user claim for itself alone, " +
      "e.g. https://login.example/.well-known/jwks.json",
    default: "",
    config: Config.option(Config.string("JWT_JWKS_URL").pipe(Config.mapOrFail((text) =>
      // The text may hold a secret: the message does not repeat it.
      URL.canParse(text.trim()) && /^https?:$/.test(new URL(text.trim()).protocol)
        ? Either.right(new URL(text.trim()))
        : Either.left(ConfigError.InvalidData([], "must be an http or https URL"))
    )))
  } satisfies Setting<Option.Option<URL>>,
  jwksFile: file("JWT_JWKS_FILE", "the same as a file"),
  jwtIssuer: file("JWT_ISSUER", "`iss` that tokens must have; needed with JWT_JWKS_URL or JWT_JWKS_FILE"),
  jwtAudience: file("JWT_AUDIENCE", "`aud` that tokens must have; needed with JWT_JWKS_URL or JWT_JWKS_FILE"),
  jwtLongestLife: duration(
    "JWT_LONGEST_LIFE",
    "longest time from a token's `iat` (or from now, without one) to its `exp`; a longer one is rejected",
    "24h",
    "1m",
    "8784h"
  ),
  tlsCertFile: file("TLS_CERT_FILE", "certificate chain (PEM) with which the port speaks TLS; needs TLS_KEY_FILE"),
  tlsKeyFile: file("TLS_KEY_FILE", "its private key (PEM)"),
  corsOrigins: list(
    "CORS_ORIGINS",
    "origins of web pages that may call, separated by commas, e.g. https://shop.example; `*` is any",
    (origins) => {
      const wrong = origins.find((origin) => !isOrigin(origin))
      return wrong === undefined
        ? undefined
        : `${wrong} is no origin, such as https://shop.example (no path, no slash at the end)`
    }
  ),
  console: {
    name: "CONSOLE",
    description: "whether operators have pages at /console, next to the operator plane; unless set, off in " +
      "production (on, off)",
    default: "on or off",
    config: Config.option(Config.literal("on", "off")("CONSOLE"))
  } satisfies Setting<Option.Option<"on" | "off">>,
  reflection: oneOf("REFLECTION", "whether gRPC clients may ask for the API's description", ["on", "off"], "on"),
  secretsKey: {
    name: "SECRETS_KEY",
    description: "keys that seal the secrets of webhooks at rest, as <id>:<32 bytes in base64>, separated by commas, " +
      "the newest first; unless set, webhooks are off",
    default: "",
    config: Config.string("SECRETS_KEY").pipe(Config.mapOrFail(parseSecretsKey), Config.option)
  } satisfies Setting<Option.Option<Redacted.Redacted<SecretsKeys>>>,
  secretsKeyFile: file("SECRETS_KEY_FILE", "file that holds SECRETS_KEY, as orchestrators mount secrets"),
  webhookAllowHttp: oneOf(
    "WEBHOOK_ALLOW_HTTP",
    "whether webhooks may go to http:// too, for a network of your own",
    ["on", "off"],
    "off"
  ),
  webhookAllowedNetworks: list(
    "WEBHOOK_ALLOWED_NETWORKS",
    "networks that are not public and that webhooks may go to, separated by commas, e.g. 10.0.0.0/8; link-local, " +
      "multicast and metadata addresses stay refused",
    networksError
  ),
  webhookRetries: durations(
    "WEBHOOK_RETRIES",
    "pauses after failed deliveries of a batch, separated by commas; the last one repeats",
    "5s,5m,30m,2h,5h,10h,10h",
    "50ms",
    "24h"
  ),
  otlpEndpoint: url(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "collector that traces and metrics are sent to by OTLP, as JSON over HTTP; unless set, neither",
    "http://collector:4318",
    // fetch rejects a URL with a password and quotes it: OTEL_EXPORTER_OTLP_HEADERS is for credentials.
    ({ password, scheme, username }) => (scheme === "http" || scheme === "https") && username === "" && password === ""
  ),
  otlpHeaders: {
    name: "OTEL_EXPORTER_OTLP_HEADERS",
    description: "headers for the collector, e.g. authorization=Bearer%20token,x-scope-orgid=1",
    default: "",
    config: Config.string("OTEL_EXPORTER_OTLP_HEADERS").pipe(Config.mapOrFail(parseHeaders), Config.option)
  } satisfies Setting<Option.Option<Redacted.Redacted<Readonly<Record<string, string>>>>>,
  otelServiceName: {
    name: "OTEL_SERVICE_NAME",
    description: "what traces and metrics sent by OTLP are said to be of",
    default: "coupon-issuance",
    config: Config.nonEmptyString("OTEL_SERVICE_NAME").pipe(Config.withDefault("coupon-issuance"))
  } satisfies Setting<string>,
  traceRatio: {
    name: "OTEL_TRACES_SAMPLER_ARG",
    description: "share of requests that are traced where their caller does not say by traceparent (0 to 1)",
    default: "0.01",
    config: Config.number("OTEL_TRACES_SAMPLER_ARG").pipe(
      Config.validate({ message: "must be a number from 0 to 1", validation: (n) => n >= 0 && n <= 1 }),
      Config.withDefault(0.01)
    )
  } satisfies Setting<number>,
  tracesPerSecond: integer(
    "TRACES_PER_SECOND",
    "most requests traced per second, whatever their callers ask for",
    100,
    1,
    10_000
  ),
  logLevel: oneOf("LOG_LEVEL", "least severe messages to log", ["debug", "info", "warning", "error"], "info"),
  logFormat: oneOf("LOG_FORMAT", "auto is pretty on a terminal and JSON elsewhere", ["auto", "pretty", "json"], "auto")
}
