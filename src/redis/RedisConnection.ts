import { Cluster, Redis, type ClusterOptions, type RedisOptions } from "ioredis"
import * as Redacted from "effect/Redacted"
import * as Backoff from "../base/Backoff.ts"
import type { RedisTarget } from "./RedisUrl.ts"

/** Either speaks the same commands; a cluster sends each to the node that has its keys. */
export type RedisConnection = Redis | Cluster

/** How long a socket that we close may linger; a peer that is stopped or cut off never answers our FIN. */
const LINGER_MILLIS = 50

/** How often the slots of a cluster's nodes are read. So a failover is noticed even if no node redirects a command. */
const SLOTS_REFRESH_MILLIS = 1_000

/** Pause before the n-th attempt to connect. */
export const retryDelay = Backoff.make({ firstMillis: 50, lastMillis: 1_000 })

/** The connection to a target, not yet opened. `ca`: certificates to trust instead of Node's, in PEM. */
export const open = (
  target: RedisTarget,
  options: { readonly replyTimeoutMillis: number; readonly ca: string | undefined }
): RedisConnection => {
  const { replyTimeoutMillis } = options
  const tls = target.tls ? { tls: options.ca === undefined ? {} : { ca: options.ca } } : {}
  const common = {
    ...target.username === undefined ? {} : { username: target.username },
    ...target.password === undefined ? {} : { password: Redacted.value(target.password) },
    ...tls,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: replyTimeoutMillis,
    connectTimeout: Math.max(1_000, replyTimeoutMillis),
    disconnectTimeout: LINGER_MILLIS,
    keepAlive: 10_000,
    disableClientInfo: true
  } satisfies RedisOptions

  if (target.topology === "Cluster") {
    const clusterOptions: ClusterOptions = {
      lazyConnect: true,
      // Fail fast, as below: commands for a node that is away fail at once, and the others serve on.
      enableOfflineQueue: false,
      clusterRetryStrategy: retryDelay,
      clusterNodeRetryStrategy: retryDelay,
      slotsRefreshInterval: SLOTS_REFRESH_MILLIS,
      slotsRefreshTimeout: Math.max(1_000, replyTimeoutMillis),
      // A command whose connection broke may have been executed, and is not sent again. One that a node rejected
      // (MOVED, ASK, TRYAGAIN, CLUSTERDOWN) was not: it is sent to the right node, for less time than a reply may take.
      retryDelayOnFailover: 0,
      retryDelayOnTryAgain: Math.ceil(replyTimeoutMillis / 20),
      retryDelayOnClusterDown: Math.ceil(replyTimeoutMillis / 20),
      // With names in certificates: hand them to TLS as they are announced.
      dnsLookup: (address, callback) => callback(null, address),
      // A partition without RST leaves a socket that looks alive; here one node's, which must not cost the others'.
      redisOptions: { ...common, socketTimeout: 2 * replyTimeoutMillis }
    }
    return new Cluster([...target.hosts], clusterOptions)
  }

  const single: RedisOptions = {
    ...common,
    lazyConnect: true,
    // Fail fast: a command that cannot be sent now fails, and so does one that was under way when the socket broke.
    enableOfflineQueue: false,
    retryStrategy: retryDelay,
    // A server that turned replica refuses every write with READONLY: the address may lead to the new primary.
    reconnectOnError: (error) => error.message.startsWith("READONLY"),
    db: target.database
  }
  if (target.topology === "Single") return new Redis({ ...single, ...target.hosts[0]! })
  return new Redis({
    ...single,
    sentinels: [...target.hosts],
    name: target.primary,
    sentinelRetryStrategy: retryDelay,
    sentinelReconnectStrategy: retryDelay,
    sentinelCommandTimeout: Math.max(1_000, replyTimeoutMillis),
    // Sentinels announce a failover at once. A primary that is cut off from them may still answer us.
    failoverDetector: true,
    ...target.sentinelUsername === undefined ? {} : { sentinelUsername: target.sentinelUsername },
    ...target.sentinelPassword === undefined ? {} : { sentinelPassword: Redacted.value(target.sentinelPassword) },
    ...target.tls ? { enableTLSForSentinelMode: true, sentinelTLS: tls.tls ?? {} } : {}
  })
}
