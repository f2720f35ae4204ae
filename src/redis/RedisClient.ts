import { Redis, ReplyError } from "ioredis"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Redacted from "effect/Redacted"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { AppConfig } from "../AppConfig.ts"
import { GateUnavailable } from "../issuance/Gate.ts"

/**
 * The connection to Redis: one socket, opened in the background and reopened for ever. While there is none, commands fail
 * at once; none is ever sent twice.
 */
export class RedisClient extends Context.Tag("coupon/redis/RedisClient")<RedisClient, {
  readonly redis: Redis
  /**
   * Sends a command and waits for its reply, at most `REDIS_REPLY_TIMEOUT`. Fails with `GateUnavailable` if there is no
   * connection, it breaks, it stays silent, or Redis refuses for a state it is in (LOADING, OOM, READONLY, …); an `ERR` or
   * `WRONGTYPE` reply is a bug of ours and a defect.
   */
  readonly send: <A>(command: (redis: Redis) => Promise<A>) => Effect.Effect<A, GateUnavailable>
  /** Redis has been reached, has loaded its data and nothing has failed since. */
  readonly isReady: () => boolean
  /** Completes when `isReady`: at once, or with the next connection. */
  readonly ready: Effect.Effect<void>
  /** Emits whenever a connection was replaced: Redis may have lost memory meanwhile. */
  readonly reconnections: Stream.Stream<void>
  /** `host:port`, for messages. */
  readonly address: string
}>() {}

const FIRST_RETRY_MILLIS = 50
const LAST_RETRY_MILLIS = 1_000

/** How long a socket that we close may linger; a peer that is stopped or cut off never answers our FIN. */
const LINGER_MILLIS = 50

/** Replies that tell of a mistake in what we sent, not of a state that passes. */
const isDefect = (error: unknown) => error instanceof ReplyError && /^(?:ERR|WRONGTYPE) /.test((error as Error).message)

const addressOf = (url: string): string => {
  const { hostname, port } = new URL(url)
  return `${hostname === "" ? "localhost" : hostname}:${port === "" ? 6379 : port}`
}

/** Connects to `redisUrl`; succeeds at once, whether or not Redis is there. Closes the socket with the scope. */
export const make = (options: {
  readonly redisUrl: Redacted.Redacted<string>
  readonly redisReplyTimeout: Duration.Duration
}): Effect.Effect<RedisClient["Type"], never, Scope.Scope> =>
  Effect.gen(function*() {
    const address = addressOf(Redacted.value(options.redisUrl))
    const replyTimeout = Duration.toMillis(options.redisReplyTimeout)
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    // Sliding: that something came back matters, not how often.
    const reconnected = yield* Effect.acquireRelease(PubSub.sliding<void>(1), PubSub.shutdown)

    const redis = new Redis(Redacted.value(options.redisUrl), {
      lazyConnect: true,
      // Fail fast: what cannot be sent now is refused, and what was under way when the socket broke is rejected, not resent.
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      commandTimeout: replyTimeout,
      connectTimeout: Math.max(1_000, replyTimeout),
      disconnectTimeout: LINGER_MILLIS,
      retryStrategy: (attempt) => Math.min(FIRST_RETRY_MILLIS * 2 ** Math.min(attempt - 1, 10), LAST_RETRY_MILLIS),
      // A server that turned replica refuses every write with READONLY: the address may lead to the new primary.
      reconnectOnError: (error) => error.message.startsWith("READONLY"),
      keepAlive: 10_000,
      disableClientInfo: true
    })

    let connections = 0
    let reachable: boolean | undefined
    let lastError: string | undefined
    let silentSince: number | undefined
    const waiting = new Set<() => void>()
    const isReady = () => redis.status === "ready"

    redis.on("error", (error: Error) => {
      // The message alone: `error.command` may hold the AUTH command with the password.
      lastError = error.message
    })
    redis.on("close", () => {
      if (reachable === false) return
      const what = reachable === undefined ? "cannot reach" : "lost"
      reachable = false
      runFork(Effect.logWarning(`${what} Redis at ${address}: ${lastError ?? "connection closed"}; retrying`))
    })
    redis.on("ready", () => {
      connections++
      silentSince = undefined
      lastError = undefined
      const isBack = reachable === false
      reachable = true
      runFork(Effect.zipRight(
        connections > 1 ? PubSub.publish(reconnected, undefined) : Effect.void,
        Effect.logInfo(`${isBack ? "reached Redis again" : "connected to Redis"} at ${address}`)
      ))
      for (const resume of waiting) resume()
      waiting.clear()
    })

    const refuse = (sentAt: number, cause: unknown): Effect.Effect<never, GateUnavailable> => {
      if (isDefect(cause)) return Effect.die(cause)
      if (cause instanceof Error && cause.message === "Command timed out") {
        // A partition without RST leaves a socket that looks alive. A timeout of a command that was sent after another
        // timeout means silence for twice as long: give the socket up.
        if (silentSince === undefined) silentSince = performance.now()
        else if (sentAt >= silentSince && isReady()) {
          lastError = `no reply for ${Duration.format(Duration.millis(2 * replyTimeout))}`
          redis.disconnect(true)
        }
      }
      return Effect.fail(new GateUnavailable({ cause }))
    }

    const send: RedisClient["Type"]["send"] = (command) =>
      Effect.async((resume) => {
        const sentAt = performance.now()
        command(redis).then(
          (reply) => {
            silentSince = undefined
            resume(Effect.succeed(reply))
          },
          (cause: unknown) => resume(refuse(sentAt, cause))
        )
      })

    const ready = Effect.async<void>((resume) => {
      if (isReady()) return resume(Effect.void)
      const go = () => resume(Effect.void)
      waiting.add(go)
      return Effect.sync(() => waiting.delete(go))
    })

    yield* Effect.acquireRelease(
      // The first attempt may fail like any other; the `close` handler logs it.
      Effect.sync(() => void redis.connect().catch(() => {})),
      () =>
        Effect.async<void>((resume) => {
          redis.removeAllListeners("close").removeAllListeners("ready")
          if (redis.status === "end") return resume(Effect.void)
          redis.once("end", () => resume(Effect.void))
          const isBetweenAttempts = redis.status === "reconnecting"
          redis.disconnect()
          // Between two attempts there is no socket whose end could be announced.
          if (isBetweenAttempts) resume(Effect.void)
        })
    )
    return { redis, send, isReady, ready, reconnections: Stream.fromPubSub(reconnected), address }
  })

/** The client of `REDIS_URL`, which must be set: without it nothing asks for this layer. */
export const layer: Layer.Layer<RedisClient, never, AppConfig> = Layer.scoped(
  RedisClient,
  Effect.gen(function*() {
    const config = yield* AppConfig
    const redisUrl = yield* Effect.orDieWith(config.redisUrl, () => new Error("REDIS_URL is not set"))
    return yield* make({ redisUrl, redisReplyTimeout: config.redisReplyTimeout })
  })
)
