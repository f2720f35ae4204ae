import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as SqlClientTag from "@effect/sql/SqlClient"
import type { PoolOptions } from "mysql2"
import * as Net from "node:net"
import { AppConfig, InvalidConfiguration } from "../AppConfig.ts"
import type { EpochMillis } from "../domain/Time.ts"
import { LedgerUnavailable } from "../issuance/Ledger.ts"
import * as Migrations from "./Migrations.ts"
import type { Row } from "./Rows.ts"

/** Where the database is and how to reach it; the parts of `MYSQL_URL`. */
export interface Endpoint {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly username: string
  readonly password: Redacted.Redacted
  readonly ssl: { readonly rejectUnauthorized: boolean; readonly verifyIdentity: boolean } | undefined
}

const sslModes: { readonly [mode: string]: Endpoint["ssl"] } = {
  DISABLED: undefined,
  REQUIRED: { rejectUnauthorized: false, verifyIdentity: false },
  VERIFY_CA: { rejectUnauthorized: true, verifyIdentity: false },
  VERIFY_IDENTITY: { rejectUnauthorized: true, verifyIdentity: true }
}

/**
 * Takes `mysql://user:password@host:port/database?ssl-mode=REQUIRED` apart (`ssl-mode` is DISABLED unless given, REQUIRED,
 * VERIFY_CA or VERIFY_IDENTITY, as mysql's own clients have it). The client would take the URL as it is, but then ignores
 * the pool's other settings. Throws `InvalidConfiguration`, which never repeats the URL: it may hold a password.
 */
export const parseUrl = (url: Redacted.Redacted<string>): Endpoint => {
  const refuse = (reason: string) => new InvalidConfiguration(`MYSQL_URL: ${reason}`)
  const { hostname, password, pathname, port, searchParams, username } = new URL(Redacted.value(url))
  const database = decodeURIComponent(pathname.slice(1))
  if (hostname === "") throw refuse("names no host")
  if (database === "" || database.includes("/")) throw refuse("must name a database, as in mysql://user:password@host:3306/coupon")
  for (const name of searchParams.keys()) {
    if (name !== "ssl-mode") throw refuse(`has an unknown parameter ${name}; the only one is ssl-mode`)
  }
  const mode = (searchParams.get("ssl-mode") ?? "DISABLED").toUpperCase()
  if (!Object.hasOwn(sslModes, mode)) throw refuse(`ssl-mode must be one of ${Object.keys(sslModes).join(", ")}`)
  return {
    host: hostname.replace(/^\[(.*)\]$/, "$1"),
    port: port === "" ? 3306 : Number(port),
    database,
    username: decodeURIComponent(username),
    password: Redacted.make(decodeURIComponent(password)),
    ssl: sslModes[mode]
  }
}

/** `host:port` of `MYSQL_URL`, for messages. */
export const address = (url: Redacted.Redacted<string>): string => new URL(Redacted.value(url)).host

/** The server said nothing for so long that its connection is given up. */
export class ReplyTimeout extends Error {
  override readonly name = "ReplyTimeout"
}

/**
 * The socket of a pooled connection. A server that is stopped, or behind a partition that drops packets, answers nothing
 * and closes nothing; without a timeout of our own each such connection would keep its place in the pool for the quarter
 * of an hour that TCP takes to notice. Idle connections are closed too: the pool opens new ones when it needs them.
 */
const openSocket = (endpoint: Endpoint, replyTimeoutMillis: number): Net.Socket => {
  const socket = Net.connect({
    host: endpoint.host,
    port: endpoint.port,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 10_000
  })
  socket.setTimeout(replyTimeoutMillis, () =>
    socket.destroy(new ReplyTimeout(`MySQL at ${endpoint.host}:${endpoint.port} was silent for ${replyTimeoutMillis} ms`)))
  return socket
}

interface PoolSettings {
  readonly connections: number
  readonly replyTimeoutMillis: number
}

/** Claims to wait for a connection at most: more than the batches and agents of a healthy instance ever are. */
const QUEUE_LIMIT = 1_000

const connect = (
  endpoint: Endpoint,
  settings: PoolSettings
): Effect.Effect<MysqlClient.MysqlClient, LedgerUnavailable, Scope.Scope> => {
  const poolConfig: PoolOptions = {
    // A factory where the driver's types know only a socket.
    stream: (() => openSocket(endpoint, settings.replyTimeoutMillis)) as unknown as NonNullable<PoolOptions["stream"]>,
    connectTimeout: settings.replyTimeoutMillis,
    queueLimit: QUEUE_LIMIT,
    maxIdle: settings.connections,
    // ROW_COUNT() and affectedRows are to count changed rows, not found ones (PROTOCOL, bug 5).
    flags: ["-FOUND_ROWS"],
    dateStrings: true,
    ...(endpoint.ssl === undefined ? {} : { ssl: endpoint.ssl })
  }
  return MysqlClient.make({
    host: endpoint.host,
    port: endpoint.port,
    database: endpoint.database,
    username: endpoint.username,
    password: endpoint.password,
    maxConnections: settings.connections,
    poolConfig
  }).pipe(
    Effect.provide(Reactivity.layer),
    Effect.mapError((cause) => new LedgerUnavailable({ cause }))
  )
}

/**
 * Seconds that a statement waits for a row lock: less than the connection's own patience, so that a lock held by somebody
 * else ends in 1205, which proves that nothing was committed, and not in doubt.
 */
export const lockWaitSeconds = (replyTimeout: Duration.Duration): number =>
  Math.max(1, Math.min(3, Math.floor(Duration.toMillis(replyTimeout) / 2_000)))

/**
 * What every text that writes begins with. The pool has no hook for a new connection, and in the text it also holds behind
 * a proxy that hands out server connections as it likes. READ COMMITTED takes no gap locks (PROTOCOL,
 * bug 3); only this spelling of it is known to MySQL and to every MariaDB.
 */
export const sessionSettings = (lockWait: number): string =>
  "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;\n" +
  `SET SESSION time_zone = '+00:00', innodb_lock_wait_timeout = ${lockWait}, ` +
  "sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'"

/** Runs a text of several statements in one round trip; one result a statement: rows, or a header with `affectedRows`. */
export const runText = (connection: Connection, text: string): Effect.Effect<ReadonlyArray<unknown>, SqlError> =>
  connection.executeUnprepared(text, [], undefined)

/** Reads a `DATETIME(6)` in UTC, as the driver returns it with `dateStrings`; microseconds are cut off. */
export const timeFromSql = (value: unknown): EpochMillis => {
  const text = String(value)
  return Date.parse(`${text.slice(0, 10)}T${text.slice(11, 23)}Z`)
}

/** Writes a time as a literal without quotes' trouble: digits, dashes, colons. */
export const timeToSql = (time: EpochMillis): string => `'${new Date(time).toISOString().slice(0, 23).replace("T", " ")}'`

const LOCK_SECONDS = 2

/** Waits this often for the migration lock: an instance that migrates before us may take a minute. */
const LOCK_ATTEMPTS = 30

/**
 * Brings the database's schema up to date on a connection of its own, since a migration may take longer than any reply.
 * Of several instances that start together one migrates and the others wait for it.
 */
export const migrate = (endpoint: Endpoint): Effect.Effect<ReadonlyArray<string>, LedgerUnavailable | Migrations.MigrationRefused> =>
  Effect.scoped(Effect.gen(function*() {
    const client = yield* connect(endpoint, { connections: 1, replyTimeoutMillis: 600_000 })
    const connection = yield* client.reserve.pipe(Effect.mapError((cause) => new LedgerUnavailable({ cause })))
    const run = (text: string) =>
      Effect.mapBoth(runText(connection, text), {
        onFailure: (cause) => new LedgerUnavailable({ cause }),
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
            run: (text) => Effect.asVoid(run(text)),
            applied: Effect.map(run("SELECT id FROM schema_migrations"), (rows) => rows.map((row) => Number(row.id))),
            record: ({ id, name: file }) =>
              Effect.asVoid(run(`INSERT INTO schema_migrations (id, name, applied_at) VALUES (${id}, '${file}', UTC_TIMESTAMP(6))`))
          }, known)
        }),
      () => Effect.ignore(run(`SELECT RELEASE_LOCK(${name})`))
    )
  }))

/**
 * The pool of connections to `MYSQL_URL`, on a database with the current schema. Fails with `LedgerUnavailable` while the
 * server is not there (build it again later) and with the others if trying again does not help.
 */
export const layer: Layer.Layer<
  MysqlClient.MysqlClient | SqlClient,
  LedgerUnavailable | Migrations.MigrationRefused | InvalidConfiguration,
  AppConfig
> = Layer.scopedContext(Effect.gen(function*() {
  const config = yield* AppConfig
  const url = Option.getOrUndefined(config.mysqlUrl)
  if (url === undefined) return yield* Effect.fail(new InvalidConfiguration("MYSQL_URL: must be set"))
  const endpoint = yield* Effect.try({ try: () => parseUrl(url), catch: (error) => error as InvalidConfiguration })
  yield* migrate(endpoint)
  const client = yield* connect(endpoint, {
    connections: config.mysqlPoolSize,
    replyTimeoutMillis: Duration.toMillis(config.mysqlReplyTimeout)
  })
  return Context.make(MysqlClient.MysqlClient, client).pipe(Context.add(SqlClientTag.SqlClient, client))
}))
