import type * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import * as Effect from "effect/Effect"
import { rootMessage } from "../../../base/RootMessage.ts"
import { LedgerUnavailable } from "../../../ports/Ledger.ts"
import * as Migrations from "../../Migrations.ts"
import type { Row } from "../../Rows.ts"
import { mysqlErrno } from "../MySqlFailure.ts"
import type { Endpoint } from "./MySqlUrl.ts"
import { connect, runText, type ServerUnfit } from "./Pool.ts"

const NO_SUCH_TABLE = 1_146

/** A user who may not use the database, create a table, or read one. */
const DENIED = [1_044, 1_142, 1_143] as const

const sqlCause = (error: unknown): unknown => error instanceof LedgerUnavailable ? error.cause : error

const hasErrno = (error: unknown, ...errnos: ReadonlyArray<number>): boolean =>
  errnos.includes(mysqlErrno(sqlCause(error)) ?? 0)

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

/** The migrations that the schema lacks. Needs only the right to read it. */
export const missing = (
  client: MysqlClient.MysqlClient
): Effect.Effect<ReadonlyArray<Migrations.Migration>, LedgerUnavailable | Migrations.SchemaUnfit> =>
  Effect.gen(function*() {
    const known = yield* Migrations.load("mysql")
    const rows = yield* Effect.catchIf(
      runRows(client, recordedIds),
      ({ cause }) => hasErrno(cause, NO_SUCH_TABLE, ...DENIED),
      () => Effect.succeed([])
    )
    return yield* Migrations.missing(rows.map((row) => Number(row.id)), known)
  })

/**
 * Brings the database's schema up to date on a connection of its own, since a migration may take longer than any reply.
 * Of several instances that start together one migrates and the others wait for it. Returns the names of what it
 * applied.
 */
export const migrate = (
  endpoint: Endpoint
): Effect.Effect<ReadonlyArray<string>, LedgerUnavailable | ServerUnfit | Migrations.SchemaUnfit> =>
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
                new Error(
                  `the schema has to be migrated, and this user may not do that (${rootMessage(cause)}): ` +
                    "set MYSQL_MIGRATION_URL, or run \"npm run migrate\""
                ),
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
      return yield* new LedgerUnavailable({
        cause: new Error("another instance has been migrating the database for too long")
      })
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
