import { Cluster, ReplyError, type Redis } from "ioredis"
import { readFileSync } from "node:fs"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import type * as Redacted from "effect/Redacted"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { AppConfig, InvalidConfiguration } from "../config/AppConfig.ts"
import { GateUnavailable } from "../ports/Gate.ts"
import { open, retryDelay, type RedisConnection } from "./RedisConnection.ts"
import { parseUrl, showTarget } from "./RedisUrl.ts"

/**
 * The connection to Redis: one socket (a cluster: one a node), opened in the background and reopened for ever. Without
 * a connection, commands fail at once. None is ever sent twice, unless a node of a cluster rejected it unexecuted.
 */
export class RedisClient extends Context.Tag("coupon/redis/RedisClient")<RedisClient, {
  readonly redis: RedisConnection
  /**
   * Sends a command and waits for its reply, at most `REDIS_REPLY_TIMEOUT`. Fails with `GateUnavailable` if there is no
   * connection, it breaks, it stays silent, or Redis replies with any error: a state (LOADING, OOM, READONLY, …), an
   * unknown command, a key of another type. The first error of a kind is logged.
   */
  readonly send: <A>(command: (redis: RedisConnection) => Promise<A>) => Effect.Effect<A, GateUnavailable>
  /** Redis has been reached, has loaded its data and nothing has failed since. */
  readonly isReady: () => boolean
  /** Completes when `isReady`: at once, or with the next connection. */
  readonly ready: Effect.Effect<void>
  /** Emits when a connection was replaced or a cluster has other primaries: Redis may have lost memory meanwhile. */
  readonly reconnections: Stream.Stream<void>
  /** Where it leads, for messages: `host:port`, several of them, or a primary and its sentinels. */
  readonly address: string
}>() {}

/** How long closing may take: a socket lingers for 50 ms. */
const CLOSE_MILLIS = 1_000

/**
 * A script loses a key to another node while it runs: the key's last field was deleted, and its slot is being moved.
 * That state passes. The call is repeated, which every script allows.
 */
const SLOT_ON_THE_MOVE = "Script attempted to access a non local key"

/** Errors that are answers of our scripts, not failures of Redis (`GateOwner`). */
const ANSWERS = /^(?:FOREIGN|UNCLAIMED|LOST) /

/** Errors of Redis about a wrong call, rather than about a state that passes. */
const MISTAKES = /^(?:ERR|WRONGTYPE) /

/** An error that goes on is logged again after this long. */
const LOGGED_MILLIS = 600_000

/** Kinds of errors that are remembered. Texts that are never the same would make any number of them. */
const MAX_KINDS = 100

/** Logs errors of Redis: each kind once, and again if it still occurs later. */
const makeComplaints = (log: (line: Effect.Effect<void>) => void) => {
  const loggedAt = new Map<string, number>()
  return (message: string): void => {
    if (ANSWERS.test(message) || message.includes(SLOT_ON_THE_MOVE)) return
    // What follows is the call itself, with keys and users.
    const text = message.replace(/, with args beginning with:.*/s, "")
    const kind = text.replace(/[0-9a-f]{8,}|\d+/gi, "#").slice(0, 200)
    const now = performance.now()
    if (now - (loggedAt.get(kind) ?? Number.NEGATIVE_INFINITY) < LOGGED_MILLIS) return
    if (loggedAt.size >= MAX_KINDS) loggedAt.clear()
    loggedAt.set(kind, now)
    const line = `Redis answers with an error, and the ledger decides alone meanwhile: ${text}`
    log(MISTAKES.test(message) ? Effect.logError(line) : Effect.logWarning(line))
  }
}

/**
 * Connects to `redisUrl`, which must be valid. Succeeds at once, whether or not Redis is there. Closes the sockets with
 * the scope. `ca`: certificates to trust instead of Node's, in PEM.
 */
export const make = (options: {
  readonly redisUrl: Redacted.Redacted<string>
  readonly redisReplyTimeout: Duration.Duration
  readonly ca?: string | undefined
}): Effect.Effect<RedisClient["Type"], never, Scope.Scope> =>
  Effect.gen(function*() {
    const target = parseUrl(options.redisUrl)
    const address = showTarget(target)
    const replyTimeout = Duration.toMillis(options.redisReplyTimeout)
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    // Sliding: that something came back matters, not how often.
    const reconnected = yield* Effect.acquireRelease(PubSub.sliding<void>(1), PubSub.shutdown)

    const redis = open(target, { replyTimeoutMillis: replyTimeout, ca: options.ca })
    let connections = 0
    let reachable: boolean | undefined
    let lastError: string | undefined
    let silentSince: number | undefined
    const waiting = new Set<() => void>()
    const isReady = () => redis.status === "ready"

    const suspect = () => void runFork(PubSub.publish(reconnected, undefined))
    const down = () => {
      if (reachable === false) return
      const what = reachable === undefined ? "cannot reach" : "lost"
      reachable = false
      runFork(Effect.logWarning(`${what} Redis at ${address}: ${lastError ?? "connection closed"}; retrying`))
    }
    redis.on("error", (error: Error) => {
      // The message alone: `error.command` may hold the AUTH command with the password.
      lastError = error.message
      // With all sentinels away there is no connection that could close.
      if (error.message.startsWith("All sentinels are unreachable")) down()
    })
    redis.on("close", down)
    // The driver gives up for good if a sentinel announces a failover while it asks other sentinels for the primary.
    // Then we connect again.
    let givenUp = 0
    let nextAttempt: NodeJS.Timeout | undefined
    redis.on("end", () => {
      down()
      nextAttempt = setTimeout(connect, retryDelay(++givenUp))
    })
    // The attempt may fail like any other; the handlers above log it.
    const connect = () => void redis.connect().catch(() => {})
    redis.on("ready", () => {
      connections++
      silentSince = undefined
      lastError = undefined
      givenUp = 0
      const isBack = reachable === false
      reachable = true
      if (connections > 1) suspect()
      runFork(Effect.logInfo(`${isBack ? "reached Redis again" : "connected to Redis"} at ${address}`))
      for (const resume of waiting) resume()
      waiting.clear()
    })
    if (redis instanceof Cluster) {
      watchNodes(redis, suspect, (text) => void runFork(Effect.logWarning(text)), (error) => {
        lastError = error
      })
    }

    const complain = makeComplaints((line) => void runFork(line))
    const refuse = (sentAt: number, cause: unknown): Effect.Effect<never, GateUnavailable> => {
      if (cause instanceof ReplyError) complain((cause as Error).message)
      else if (cause instanceof Error && cause.message === "Command timed out") {
        // A partition without RST leaves a socket that looks alive. A timeout of a command that was sent after another
        // timeout means silence for twice as long: give the socket up.
        if (silentSince === undefined) silentSince = performance.now()
        else if (sentAt >= silentSince && isReady() && target.topology !== "Cluster") {
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
      Effect.sync(connect),
      () =>
        Effect.async<void>((resume) => {
          clearTimeout(nextAttempt)
          for (const event of ["close", "end", "ready", "error"]) redis.removeAllListeners(event)
          redis.on("error", () => {})
          if (redis.status === "end") return resume(Effect.void)
          const late = setTimeout(() => resume(Effect.void), CLOSE_MILLIS)
          redis.once("end", () => {
            clearTimeout(late)
            resume(Effect.void)
          })
          const isBetweenAttempts = redis.status === "reconnecting"
          redis.disconnect()
          // Between two attempts there is no socket whose end could be announced.
          if (isBetweenAttempts) {
            clearTimeout(late)
            resume(Effect.void)
          }
        })
    )
    return { redis, send, isReady, ready, reconnections: Stream.fromPubSub(reconnected), address }
  })

/** Watches the nodes of a cluster, whose events the cluster as a whole does not emit. */
const watchNodes = (
  cluster: Cluster,
  suspect: () => void,
  warn: (text: string) => void,
  failed: (message: string) => void
): void => {
  const nameOf = (node: Redis) => `${node.options.host}:${node.options.port}`
  const lost = new Set<string>()
  cluster.on("+node", (node: Redis) => {
    const name = nameOf(node)
    let connections = 0
    node.on("ready", () => {
      // The same node again, or one that came back as another connection.
      if (++connections > 1 || lost.delete(name)) suspect()
      lost.delete(name)
    })
    node.on("close", () => {
      if (cluster.status !== "ready" || lost.has(name) || node.status === "end") return
      lost.add(name)
      warn(`lost node ${name} of the Redis cluster; the other nodes serve on`)
    })
  })
  cluster.on("node error", (error: Error) => failed(error.message))
  // A replica that was promoted had its connection before.
  let primaries: string | undefined
  cluster.on("refresh", () => {
    const now = cluster.nodes("master").map(nameOf).sort().join(",")
    if (primaries !== undefined && primaries !== now) suspect()
    primaries = now
  })
}

/** The client of `REDIS_URL`, which must be set. */
export const layer: Layer.Layer<RedisClient, InvalidConfiguration, AppConfig> = Layer.scoped(
  RedisClient,
  Effect.gen(function*() {
    const config = yield* AppConfig
    const redisUrl = yield* Effect.orDieWith(config.redisUrl, () => new Error("REDIS_URL is not set"))
    yield* Effect.try({ try: () => parseUrl(redisUrl), catch: (error) => error as InvalidConfiguration })
    const ca = yield* Effect.try({
      try: () => Option.getOrUndefined(Option.map(config.redisCaFile, (file) => readFileSync(file, "utf8"))),
      catch: (error) => new InvalidConfiguration(`REDIS_CA_FILE: ${(error as Error).message}`)
    })
    return yield* make({ redisUrl, redisReplyTimeout: config.redisReplyTimeout, ca })
  })
)
