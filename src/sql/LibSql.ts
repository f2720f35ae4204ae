import * as Reactivity from "@effect/experimental/Reactivity"
import * as LibsqlClient from "@effect/sql-libsql/LibsqlClient"
import * as SqlClient from "@effect/sql/SqlClient"
import { createClient, type Client } from "@libsql/client"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { mkdir } from "node:fs/promises"
import * as Path from "node:path"
import { pathToFileURL } from "node:url"
import { AppConfig } from "../AppConfig.ts"
import * as Migrations from "./Migrations.ts"

/** Another process has the data directory; trying again helps only once that one has ended. */
export class DataDirInUse extends Data.TaggedError("DataDirInUse")<{ readonly message: string }> {}

/** The data directory cannot be used at all: no permission, no space, or not our file; `message` says what failed. */
export class DataDirUnusable extends Data.TaggedError("DataDirUnusable")<{ readonly message: string; readonly cause: unknown }> {}

/**
 * The driver under the client, for what `SqlClient` cannot say: `batch` runs a whole transaction in one turn of the event
 * loop, so that no other fiber's statement gets in between on the one connection. The client's own `withTransaction` must
 * not be used: it keeps the connection and opens another one, which lacks our settings.
 */
export class LibSqlDriver extends Context.Tag("coupon/sql/LibSqlDriver")<LibSqlDriver, Client>() {}

const unusable = (cause: unknown) =>
  new DataDirUnusable({ message: `DATA_DIR cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`, cause })

const attempt = <A>(run: () => Promise<A>): Effect.Effect<A, DataDirUnusable> =>
  Effect.tryPromise({ try: run, catch: unusable })

const open = (file: string): Effect.Effect<Client, DataDirUnusable, Scope.Scope> =>
  Effect.acquireRelease(
    // Integers as bigints: user ids have 64 bits. `concurrency` is the driver's own queue, of no use to synchronous calls.
    Effect.try({ try: () => createClient({ url: pathToFileURL(file).href, intMode: "bigint", concurrency: 0 }), catch: unusable }),
    (client) => Effect.sync(() => client.close())
  )

/**
 * Claims the directory for this process, until the scope closes or the process ends in whatever way: the lock is an open
 * exclusive transaction on a file of its own, and so a lock of the operating system that goes with its process.
 */
const own = (directory: string): Effect.Effect<void, DataDirInUse | DataDirUnusable, Scope.Scope> =>
  Effect.gen(function*() {
    const client = yield* open(Path.join(directory, "lock.db"))
    yield* Effect.acquireRelease(
      Effect.tryPromise({
        try: async () => {
          // The first statement of a new file's life writes it, which two starting processes may try at the same time.
          await client.execute("PRAGMA busy_timeout = 0")
          await client.execute("BEGIN EXCLUSIVE")
        },
        catch: (cause) =>
          String((cause as { readonly code?: unknown }).code).startsWith("SQLITE_BUSY")
            ? new DataDirInUse({ message: `${directory} is in use by another process; give this one a DATA_DIR of its own.` })
            : unusable(cause)
      }),
      () => Effect.ignore(attempt(() => client.execute("ROLLBACK")))
    )
  })

/** Brings the file's schema up to date. Each migration and its record are one transaction. */
export const migrate = (client: Client): Effect.Effect<ReadonlyArray<string>, DataDirUnusable | Migrations.MigrationRefused> =>
  Effect.gen(function*() {
    const known = yield* Migrations.load("libsql")
    yield* attempt(() =>
      client.execute("CREATE TABLE IF NOT EXISTS schema_migrations (id INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT")
    )
    return yield* Migrations.apply({
      run: (text) => Effect.asVoid(attempt(() => client.executeMultiple(`BEGIN IMMEDIATE;\n${text}\nCOMMIT;`))),
      applied: Effect.map(attempt(() => client.execute("SELECT id FROM schema_migrations")), ({ rows }) => rows.map((row) => Number(row.id))),
      record: ({ id, name }) =>
        Effect.asVoid(attempt(() =>
          client.execute({ sql: "INSERT INTO schema_migrations (id, name, applied_at) VALUES (?, ?, ?)", args: [id, name, Date.now()] })
        )),
      refusal: () => undefined
    }, known)
  })

/**
 * The file `coupon.db` in `DATA_DIR`, which is created if need be, with the current schema. In WAL mode with
 * synchronous = FULL, a commit is on the disk when it returns.
 */
export const layer: Layer.Layer<
  LibsqlClient.LibsqlClient | SqlClient.SqlClient | LibSqlDriver,
  DataDirInUse | DataDirUnusable | Migrations.MigrationRefused,
  AppConfig
> = Layer.scopedContext(Effect.gen(function*() {
  const directory = Path.resolve((yield* AppConfig).dataDir)
  yield* attempt(() => mkdir(directory, { recursive: true }))
  yield* own(directory)
  const driver = yield* open(Path.join(directory, "coupon.db"))
  yield* attempt(async () => {
    await driver.execute("PRAGMA busy_timeout = 5000")
    await driver.execute("PRAGMA journal_mode = WAL")
    await driver.execute("PRAGMA synchronous = FULL")
  })
  yield* migrate(driver)
  const client = yield* LibsqlClient.make({ liveClient: driver }).pipe(Effect.provide(Reactivity.layer))
  return Context.make(LibsqlClient.LibsqlClient, client).pipe(
    Context.add(SqlClient.SqlClient, client),
    Context.add(LibSqlDriver, driver)
  )
}))
