import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import * as SqlClientTag from "@effect/sql/SqlClient"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import type { PoolOptions } from "mysql2"
import { readFileSync } from "node:fs"
import type * as Net from "node:net"
import { AppConfig, InvalidConfiguration } from "../../../config/AppConfig.ts"
import { LedgerUnavailable } from "../../../ports/Ledger.ts"
import type { SessionFact } from "../../../ports/LedgerFacts.ts"
import { rootMessage } from "../../../base/RootMessage.ts"
import type { HostAddress } from "../../../config/StoreUrl.ts"
import * as Migrations from "../../Migrations.ts"
import * as AbandonedSessions from "./AbandonedSessions.ts"
import * as ControlConnection from "./ControlConnection.ts"
import * as MySqlSockets from "./MySqlSockets.ts"
import { parseUrl, type Endpoint } from "./MySqlUrl.ts"
import * as Outage from "./Outage.ts"
import * as PrimaryWatch from "./PrimaryWatch.ts"
import { watchPool, type DriverConnection, type DriverPool } from "./PoolWatch.ts"
import type { Row } from "../../Rows.ts"
import * as SessionState from "./SessionState.ts"
import { mysqlErrno } from "../MySqlFailure.ts"

export { address, parseUrl, type Endpoint } from "./MySqlUrl.ts"

interface PoolSettings {
  readonly connections: number
  readonly replyTimeoutMillis: number
  /** Told of the pool, which the client keeps to itself, once it opens its first connection. */
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
const wholly = <A, E, R>(effect: Effect.Effect<A, E, R | Scope.Scope>): Effect.Effect<A, E, R | Scope.Scope> =>
  Effect.flatMap(Effect.scope, (outer) =>
    Effect.flatMap(Scope.fork(outer, ExecutionStrategy.sequential), (own) =>
      Effect.onError(Scope.extend(effect, own), (cause) => Scope.close(own, Exit.failCause(cause)))))

/**
 * Sockets to the endpoint's server, or to the one of its servers that takes writes. No more than `limit` sessions on
 * any.
 */
const connectSockets = (endpoint: Endpoint, settings: PoolSettings): Effect.Effect<MySqlSockets.MySqlSockets, never, Scope.Scope> =>
  Effect.gen(function*() {
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const control = (host: HostAddress) => ControlConnection.make(endpoint, host)
    const abandoned = AbandonedSessions.make(control)
    yield* Effect.addFinalizer(() => Effect.sync(abandoned.stop))
    const options = { replyTimeoutMillis: settings.replyTimeoutMillis, limit: settings.connections, abandoned }
    if (endpoint.hosts.length === 1) {
      const [host] = endpoint.hosts
      const outage = Outage.make(host!, control(host!), (level, text) => void runFork(level === "info" ? Effect.logInfo(text) : Effect.logWarning(text)))
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
const setUpEach = (session: SessionState.SessionOptions, loggedIn: (connection: DriverConnection) => void): (pool: DriverPool) => void => {
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
export const sessionFacts = (sql: SqlClient, session: SessionState.SessionOptions): Effect.Effect<ReadonlyArray<SessionFact>, SqlError> =>
  Effect.map(
    Effect.all([sql.unsafe<Row>(SessionState.showText).unprepared, sql.unsafe<Row>(SessionState.showMoreText).unprepared]),
    ([[row], more]) => [...SessionState.facts(row!, session), ...SessionState.moreFacts(more)]
  )

/** The server cannot be used as it is set up; `message` says what to change. */
export class ServerUnfit extends Data.TaggedError("ServerUnfit")<{ readonly message: string }> {}

/** A connection that was refused for what its session is; it may be deep within what the driver and its wrapper say. */
const sessionUnfit = (error: unknown): SessionState.SessionUnfit | undefined =>
  error instanceof SessionState.SessionUnfit ? error : error instanceof Error ? sessionUnfit(error.cause) : undefined

const failedConnect = (cause: unknown): LedgerUnavailable | ServerUnfit => {
  const unfit = sessionUnfit(cause)
  return unfit === undefined ? new LedgerUnavailable({ cause }) : new ServerUnfit({ message: unfit.message })
}

const connect = (
  endpoint: Endpoint,
  settings: PoolSettings
): Effect.Effect<MysqlClient.MysqlClient, LedgerUnavailable | ServerUnfit, Scope.Scope> =>
  wholly(Effect.gen(function*() {
    const sockets = yield* connectSockets(endpoint, settings)
    const socketOf = new WeakMap<object, Net.Socket>()
    const setUp = setUpEach(sessionOptions(endpoint, settings), (connection) => {
      const socket = socketOf.get(connection.config)
      if (socket !== undefined) sockets.ready(socket, { id: connection.threadId, isBusy: () => connection._command != null })
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
 * Seconds that a statement waits for a row lock: less than the connection's own patience, so that a lock held by
 * somebody else ends in 1205, which proves that nothing was committed, and not in doubt.
 */
export const lockWaitSeconds = (replyTimeout: Duration.Duration): number =>
  Math.max(1, Math.min(3, Math.floor(Duration.toMillis(replyTimeout) / 2_000)))

/** The server outlives our own patience with a silent connection by this, and then ends the session itself. */
const IDLE_SLACK_SECONDS = 30

const servingSettings = (config: AppConfig["Type"]): PoolSettings => ({
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

const NO_SUCH_TABLE = 1_146

/** A user who may not use the database, create a table, or read one. */
const DENIED = [1_044, 1_142, 1_143] as const

const sqlCause = (error: unknown): unknown => error instanceof LedgerUnavailable ? error.cause : error

const hasErrno = (error: unknown, ...errnos: ReadonlyArray<number>): boolean => errnos.includes(mysqlErrno(sqlCause(error)) ?? 0)

const LOCK_SECONDS = 2

/**
 * While a change of a table waits for the transactions that use it, all others wait behind it: rather fail, and try
 * again.
 */
const MIGRATION_LOCK_WAIT_SECONDS = 10

/** Waits this often for the migration lock: an instance that migrates before us may take a minute. */
const LOCK_ATTEMPTS = 30

const runRows = (client: MysqlClient.MysqlClient, text: string): Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable> =>
  Effect.mapError(client.unsafe<Row>(text).unprepared, (cause) => new LedgerUnavailable({ cause }))

const recordedIds = "SELECT id FROM schema_migrations"

/** What the schema lacks, as any user may ask who may read it. */
const missing = (
  client: MysqlClient.MysqlClient
): Effect.Effect<ReadonlyArray<Migrations.Migration>, LedgerUnavailable | Migrations.SchemaUnfit> =>
  Effect.gen(function*() {
    const known = yield* Migrations.load("mysql")
    const rows = yield* Effect.catchIf(runRows(client, recordedIds), ({ cause }) => hasErrno(cause, NO_SUCH_TABLE, ...DENIED), () => Effect.succeed([]))
    return yield* Migrations.missing(rows.map((row) => Number(row.id)), known)
  })

/**
 * Brings the database's schema up to date on a connection of its own, since a migration may take longer than any reply.
 * Of several instances that start together one migrates and the others wait for it. Returns the names of what it
 * applied.
 */
export const migrate = (endpoint: Endpoint): Effect.Effect<ReadonlyArray<string>, LedgerUnavailable | ServerUnfit | Migrations.SchemaUnfit> =>
  Effect.scoped(Effect.gen(function*() {
    const client = yield* connect(endpoint, {
      connections: 1,
      replyTimeoutMillis: 600_000,
      lockWaitSeconds: MIGRATION_LOCK_WAIT_SECONDS
    })
    const connection = yield* client.reserve.pipe(Effect.mapError((cause) => new LedgerUnavailable({ cause })))
    const run = (text: string) =>
      Effect.mapBoth(runText(connection, text), {
        onFailure: (cause) =>
          new LedgerUnavailable({
            cause: hasErrno(cause, ...DENIED)
              ? Object.assign(
                new Error(`the schema has to be migrated, and this user may not do that (${rootMessage(cause)}): set MYSQL_MIGRATION_URL, or run "npm run migrate"`),
                { errno: mysqlErrno(cause) }
              )
              : cause
          }),
        onSuccess: (rows) => rows as ReadonlyArray<Row>
      })
    // Lock names hold for the whole server and have at most 64 characters: this one 63. MySQL 9.6 removed SHA1 and MD5.
    const name = "CONCAT('coupon:', SHA2(DATABASE(), 224))"
    const lock = Effect.gen(function*() {
      for (let attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
        const [row] = yield* run(`SELECT GET_LOCK(${name}, ${LOCK_SECONDS}) AS locked`)
        if (Number(row?.locked) === 1) return
      }
      return yield* new LedgerUnavailable({ cause: new Error("another instance has been migrating the database for too long") })
    })
    return yield* Effect.acquireUseRelease(
      lock,
      () =>
        Effect.gen(function*() {
          const known = yield* Migrations.load("mysql")
          yield* run(
            "CREATE TABLE IF NOT EXISTS schema_migrations (id INT NOT NULL PRIMARY KEY, name VARCHAR(100) NOT NULL, " +
              "applied_at DATETIME(6) NOT NULL) ENGINE = InnoDB DEFAULT CHARACTER SET = ascii COLLATE = ascii_bin"
          )
          return yield* Migrations.apply({
            run: (migration) =>
              Effect.zipRight(
                run(migration.text),
                Effect.asVoid(run(
                  "INSERT INTO schema_migrations (id, name, applied_at) " +
                    `VALUES (${Migrations.recordedId(migration)}, '${migration.name}', UTC_TIMESTAMP(6))`
                ))
              ),
            recorded: Effect.map(run(recordedIds), (rows) => rows.map((row) => Number(row.id))),
            refusal: ({ cause }) => mysqlErrno(cause) === undefined ? undefined : rootMessage(cause)
          }, known)
        }),
      () => Effect.ignore(run(`SELECT RELEASE_LOCK(${name})`))
    )
  }))

/** The endpoints that the settings name: for serving, and for migrating. */
export const endpoints: Effect.Effect<{ readonly serving: Endpoint; readonly migrating: Endpoint }, InvalidConfiguration, AppConfig> = Effect.flatMap(
  AppConfig,
  (config) =>
    Effect.try({
      try: () => {
        const url = Option.getOrUndefined(config.mysqlUrl)
        if (url === undefined) throw new InvalidConfiguration("MYSQL_URL: must be set")
        const ca = Option.getOrUndefined(Option.map(config.mysqlCaFile, (file) => readCa(file)))
        return {
          serving: parseUrl(url, { ca }),
          migrating: parseUrl(Option.getOrElse(config.mysqlMigrationUrl, () => url), { name: "MYSQL_MIGRATION_URL", ca })
        }
      },
      catch: (error) => error as InvalidConfiguration
    })
)

const readCa = (file: string): string => {
  try {
    return readFileSync(file, "utf8")
  } catch (error) {
    throw new InvalidConfiguration(`MYSQL_CA_FILE: ${(error as Error).message}`)
  }
}

/**
 * The pool of connections to `MYSQL_URL`, on a database with the current schema. Fails with `LedgerUnavailable` while
 * the server is not there (build it again later) and with the others if trying again does not help.
 */
export const layer: Layer.Layer<
  MysqlClient.MysqlClient | SqlClient,
  LedgerUnavailable | ServerUnfit | Migrations.SchemaUnfit | InvalidConfiguration,
  AppConfig
> = Layer.scopedContext(wholly(Effect.gen(function*() {
  const config = yield* AppConfig
  const { migrating, serving } = yield* endpoints
  const client = yield* connect(serving, { ...servingSettings(config), onPool: yield* watchPool(config.mysqlPoolSize) })
  const facts = yield* Effect.mapError(sessionFacts(client, servingSession(config, serving)), failedConnect)
  const unfit = SessionState.unfit(facts)
  if (unfit !== undefined) return yield* new ServerUnfit({ message: unfit.message })
  const todo = yield* missing(client)
  if (todo.some(({ isOptional }) => !isOptional)) yield* migrate(migrating)
  else if (todo.length > 0) {
    yield* Effect.catchTag(migrate(migrating), "LedgerUnavailable", ({ cause }) =>
      Effect.logWarning(`an optional migration was not tried, and the service does without it: ${rootMessage(cause)}`))
  }
  return Context.make(MysqlClient.MysqlClient, client).pipe(Context.add(SqlClientTag.SqlClient, client))
})))
