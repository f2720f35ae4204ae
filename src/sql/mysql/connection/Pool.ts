import * as Reactivity from "@effect/experimental/Reactivity"
import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import type { PoolOptions } from "mysql2"
import type * as Net from "node:net"
import type { AppConfig } from "../../../config/AppConfig.ts"
import type { HostAddress } from "../../../config/StoreUrl.ts"
import { LedgerUnavailable } from "../../../ports/Ledger.ts"
import type { SessionFact } from "../../../ports/LedgerFacts.ts"
import type { Row } from "../../Rows.ts"
import * as AbandonedSessions from "./AbandonedSessions.ts"
import * as ControlConnection from "./ControlConnection.ts"
import * as MySqlSockets from "./MySqlSockets.ts"
import type { Endpoint } from "./MySqlUrl.ts"
import * as Outage from "./Outage.ts"
import type { DriverConnection, DriverPool } from "./PoolWatch.ts"
import * as PrimaryWatch from "./PrimaryWatch.ts"
import * as SessionState from "./SessionState.ts"

export interface PoolSettings {
  readonly connections: number
  readonly replyTimeoutMillis: number
  /** Receives the pool, which the client does not expose, once it opens its first connection. */
  readonly onPool?: (pool: DriverPool) => void
  /** Seconds that a statement waits for a lock. */
  readonly lockWaitSeconds: number
}

/** Claims to wait for a connection at most: more than the batches and agents of a healthy instance ever are. */
const QUEUE_LIMIT = 1_000

/**
 * Closes what `effect` acquired as soon as it fails, not only with the scope around it, in which it may be tried again
 * for long.
 */
export const wholly = <A, E, R>(effect: Effect.Effect<A, E, R | Scope.Scope>): Effect.Effect<A, E, R | Scope.Scope> =>
  Effect.flatMap(Effect.scope, (outer) =>
    Effect.flatMap(Scope.fork(outer, ExecutionStrategy.sequential), (own) =>
      Effect.onError(Scope.extend(effect, own), (cause) => Scope.close(own, Exit.failCause(cause)))))

/**
 * Sockets to the endpoint's server, or to the one of its servers that takes writes. No more than `limit` sessions on
 * any.
 */
const connectSockets = (
  endpoint: Endpoint,
  settings: PoolSettings
): Effect.Effect<MySqlSockets.MySqlSockets, never, Scope.Scope> =>
  Effect.gen(function*() {
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const control = (host: HostAddress) => ControlConnection.make(endpoint, host)
    const abandoned = AbandonedSessions.make(control)
    yield* Effect.addFinalizer(() => Effect.sync(abandoned.stop))
    const options = { replyTimeoutMillis: settings.replyTimeoutMillis, limit: settings.connections, abandoned }
    if (endpoint.hosts.length === 1) {
      const [host] = endpoint.hosts
      const outage = Outage.make(host!, control(host!), (level, text) => {
        runFork(level === "info" ? Effect.logInfo(text) : Effect.logWarning(text))
      })
      yield* Effect.addFinalizer(() => Effect.sync(outage.stop))
      const sockets = MySqlSockets.make({ ...options, outage })
      sockets.lead(host, true, "")
      return sockets
    }
    const suspicions = yield* Queue.sliding<void>(1)
    const sockets = MySqlSockets.make({ ...options, lost: () => void Queue.unsafeOffer(suspicions, undefined) })
    yield* PrimaryWatch.run(endpoint, sockets, suspicions)
    return sockets
  })

/**
 * Has every connection of the pool set up before it serves. One that does not fit is given up, and what was to follow
 * fails with it.
 */
const setUpEach = (
  session: SessionState.SessionOptions,
  loggedIn: (connection: DriverConnection) => void
): (pool: DriverPool) => void => {
  const text = SessionState.setUpText(session)
  const prepared = new WeakSet<DriverPool>()
  return (pool) => {
    if (prepared.has(pool)) return
    prepared.add(pool)
    pool.on("connection", (connection) => {
      loggedIn(connection)
      connection.query(text, (error, results) => {
        const refusal = error ?? SessionState.unfit([
          ...SessionState.facts((results as ReadonlyArray<ReadonlyArray<Row>>).at(-1)![0]!, session),
          SessionState.driverFact(connection.clientEncoding)
        ])
        if (refusal !== undefined) connection.stream.destroy(refusal)
      })
    })
  }
}

/** What the sessions of the serving pool are set to. */
export const servingSession = (config: AppConfig["Type"], endpoint: Endpoint): SessionState.SessionOptions =>
  sessionOptions(endpoint, servingSettings(config))

/** The session variables that matter, on any connection of the serving pool. */
export const sessionFacts = (
  sql: SqlClient,
  session: SessionState.SessionOptions
): Effect.Effect<ReadonlyArray<SessionFact>, SqlError> =>
  Effect.map(
    Effect.all([
      sql.unsafe<Row>(SessionState.showText).unprepared,
      sql.unsafe<Row>(SessionState.showMoreText).unprepared
    ]),
    ([[row], more]) => [...SessionState.facts(row!, session), ...SessionState.moreFacts(more)]
  )

/** The server cannot be used as it is set up; `message` says what to change. */
export class ServerUnfit extends Data.TaggedError("ServerUnfit")<{ readonly message: string }> {}

/** The `SessionUnfit` among the causes of an error of the driver and its wrapper. */
const sessionUnfit = (error: unknown): SessionState.SessionUnfit | undefined =>
  error instanceof SessionState.SessionUnfit ? error : error instanceof Error ? sessionUnfit(error.cause) : undefined

export const failedConnect = (cause: unknown): LedgerUnavailable | ServerUnfit => {
  const unfit = sessionUnfit(cause)
  return unfit === undefined ? new LedgerUnavailable({ cause }) : new ServerUnfit({ message: unfit.message })
}

export const connect = (
  endpoint: Endpoint,
  settings: PoolSettings
): Effect.Effect<MysqlClient.MysqlClient, LedgerUnavailable | ServerUnfit, Scope.Scope> =>
  wholly(Effect.gen(function*() {
    const sockets = yield* connectSockets(endpoint, settings)
    const socketOf = new WeakMap<object, Net.Socket>()
    const setUp = setUpEach(sessionOptions(endpoint, settings), (connection) => {
      const socket = socketOf.get(connection.config)
      if (socket === undefined) return
      sockets.ready(socket, { id: connection.threadId, isBusy: () => connection._command != null })
    })
    const poolConfig: PoolOptions = {
      // A factory where the driver's types know only a socket. TLS compares certificates with the name in its settings.
      stream: (({ config }: { readonly config: HostAddress & { readonly pool: DriverPool } }) => {
        settings.onPool?.(config.pool)
        setUp(config.pool)
        Object.assign(config, sockets.host())
        const socket = sockets.open()
        // Each connection has a copy of the settings of its own.
        socketOf.set(config, socket)
        return socket
      }) as unknown as NonNullable<PoolOptions["stream"]>,
      // The sockets know better; this is for those that wait for a primary to be found.
      connectTimeout: settings.replyTimeoutMillis + 1_000,
      queueLimit: QUEUE_LIMIT,
      // COM_RESET_CONNECTION would undo what a session is set to.
      resetOnRelease: false,
      maxIdle: settings.connections,
      // ROW_COUNT() and affectedRows are to count changed rows, not found ones (PROTOCOL, bug 5).
      flags: ["-FOUND_ROWS"],
      dateStrings: true,
      ...(endpoint.ssl === undefined ? {} : { ssl: endpoint.ssl })
    }
    return yield* MysqlClient.make({
      host: endpoint.hosts[0]!.host,
      port: endpoint.hosts[0]!.port,
      database: endpoint.database,
      username: endpoint.username,
      password: endpoint.password,
      maxConnections: settings.connections,
      poolConfig
    }).pipe(
      Effect.provide(Reactivity.layer),
      Effect.mapError(failedConnect)
    )
  }))

/**
 * Seconds that a statement waits for a row lock: less than the connection's own timeout. A lock of another session then
 * ends in 1205, which proves that nothing was committed, and not in doubt.
 */
export const lockWaitSeconds = (replyTimeout: Duration.Duration): number =>
  Math.max(1, Math.min(3, Math.floor(Duration.toMillis(replyTimeout) / 2_000)))

/** The server outlives our own patience with a silent connection by this, and then ends the session itself. */
const IDLE_SLACK_SECONDS = 30

export const servingSettings = (config: AppConfig["Type"]): PoolSettings => ({
  connections: config.mysqlPoolSize,
  replyTimeoutMillis: Duration.toMillis(config.mysqlReplyTimeout),
  lockWaitSeconds: lockWaitSeconds(config.mysqlReplyTimeout)
})

const sessionOptions = (endpoint: Endpoint, settings: PoolSettings): SessionState.SessionOptions => ({
  database: endpoint.database,
  lockWaitSeconds: settings.lockWaitSeconds,
  idleSeconds: Math.ceil(settings.replyTimeoutMillis / 1_000) + IDLE_SLACK_SECONDS
})

/** No values: given a list of them, or `undefined`, the driver looks for placeholders in the whole text. */
const NO_VALUES = null as unknown as ReadonlyArray<never>

/**
 * Runs a text of several statements in one round trip; one result a statement: rows, or a header with `affectedRows`.
 */
export const runText = (connection: Connection, text: string): Effect.Effect<ReadonlyArray<unknown>, SqlError> =>
  connection.executeUnprepared(text, NO_VALUES, undefined)
