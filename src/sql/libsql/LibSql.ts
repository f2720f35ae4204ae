import * as Reactivity from "@effect/experimental/Reactivity"
import * as LibsqlClient from "@effect/sql-libsql/LibsqlClient"
import * as SqlClient from "@effect/sql/SqlClient"
import type { Client } from "@libsql/client"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Path from "node:path"
import { AppConfig } from "../../config/AppConfig.ts"
import { StoreHealth } from "../../ports/StoreHealth.ts"
import { WallClock } from "../../base/WallClock.ts"
import { rootMessage } from "../../base/RootMessage.ts"
import * as DataDirFiles from "./DataDirFiles.ts"
import { connect, type Driver } from "./Driver.ts"
import * as GuardedDriver from "./GuardedDriver.ts"
import * as Migrations from "../Migrations.ts"

/** Another process has the data directory; trying again helps only once that one has ended. */
export class DataDirInUse extends Data.TaggedError("DataDirInUse")<{ readonly message: string }> {}

/** The data directory cannot be used at all: no permission, no space, or not our file; `message` says what failed. */
export class DataDirUnusable extends Data.TaggedError("DataDirUnusable")<{
  readonly message: string
  readonly cause: unknown
}> {}

/**
 * The driver under the client, for what `SqlClient` cannot say: `batch` runs a whole transaction in one turn of the
 * event loop, so that no other fiber's statement gets in between on the one connection. The client's own
 * `withTransaction` must not be used: it keeps the connection and opens another one, which lacks our settings.
 */
export class LibSqlDriver extends Context.Tag("coupon/sql/LibSqlDriver")<LibSqlDriver, Driver>() {}

/**
 * The file by itself: the directory that it is in, and its connection without the guard that refuses statements while
 * files are displaced.
 */
export class LibSqlFile extends Context.Tag("coupon/sql/LibSqlFile")<LibSqlFile, {
  readonly directory: string
  readonly client: Client
}>() {}

const unusable = (cause: unknown) => {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new DataDirUnusable({ message: `DATA_DIR cannot be used: ${reason}`, cause })
}

const attempt = <A>(run: () => Promise<A>): Effect.Effect<A, DataDirUnusable> =>
  Effect.tryPromise({ try: run, catch: unusable })

const open = (path: string): Effect.Effect<Client, DataDirUnusable, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({ try: () => connect(path), catch: unusable }),
    (client) => Effect.sync(() => client.close())
  )

/**
 * Claims the directory for this process, until the scope closes or the process ends in whatever way: the lock is an
 * open exclusive transaction on a file of its own, and so a lock of the operating system that goes with its process.
 */
const own = (directory: string): Effect.Effect<void, DataDirInUse | DataDirUnusable, Scope.Scope> =>
  Effect.gen(function*() {
    const client = yield* open(Path.join(directory, DataDirFiles.LOCK))
    yield* Effect.acquireRelease(
      Effect.tryPromise({
        try: async () => {
          // The first statement of a new file's life writes it, which two starting processes may try at the same time.
          await client.execute("PRAGMA busy_timeout = 0")
          await client.execute("BEGIN EXCLUSIVE")
        },
        catch: (cause) =>
          String((cause as { readonly code?: unknown }).code).startsWith("SQLITE_BUSY")
            ? new DataDirInUse({
              message: `${directory} is in use by another process; give this one a DATA_DIR of its own.`
            })
            : unusable(cause)
      }),
      () => Effect.ignore(attempt(() => client.execute("ROLLBACK")))
    )
  })

/** Brings the file's schema up to date. Each migration and its record are one transaction. */
export const migrate = (
  client: Client
): Effect.Effect<ReadonlyArray<string>, DataDirUnusable | Migrations.SchemaUnfit> =>
  Effect.gen(function*() {
    const known = yield* Migrations.load("libsql")
    yield* attempt(() =>
      client.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations " +
          "(id INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT"
      )
    )
    return yield* Migrations.apply({
      run: (migration) => {
        const record = "INSERT INTO schema_migrations (id, name, applied_at) " +
          `VALUES (${Migrations.recordedId(migration)}, '${migration.name}', ${Date.now()})`
        return attempt(() => client.executeMultiple(`BEGIN IMMEDIATE;\n${migration.text}\n;${record};\nCOMMIT;`))
      },
      recorded: Effect.map(
        attempt(() => client.execute("SELECT id FROM schema_migrations")),
        ({ rows }) => rows.map((row) => Number(row.id))
      ),
      refusal: () => undefined
    }, known)
  })

/**
 * Longest wait of a commit, in milliseconds, for another process that writes the file: a shell, as the service alone
 * owns it.
 */
const BUSY_MILLIS = 5_000

/** Longest wait of a checkpoint for another process that reads the file. */
const CHECKPOINT_BUSY_MILLIS = 1_000

/** Moves what the log holds into the database, so that `coupon.db` alone is the ledger; returns why it could not. */
const checkpoint = (client: Client): Effect.Effect<string | undefined> =>
  Effect.promise(async () => {
    try {
      await client.execute(`PRAGMA busy_timeout = ${CHECKPOINT_BUSY_MILLIS}`)
      const { rows: [row] } = await client.execute("PRAGMA wal_checkpoint(TRUNCATE)")
      await client.execute(`PRAGMA busy_timeout = ${BUSY_MILLIS}`)
      return Number(row?.["busy"]) === 0 ? undefined : "another process is reading the file"
    } catch (error) {
      return rootMessage(error)
    }
  })

/** The last act on the file. The driver's own close leaves the log as it is. */
const checkpointAtEnd = (directory: string, client: Client, files: DataDirFiles.DataDirFiles) =>
  Effect.gen(function*() {
    const failed = yield* checkpoint(client)
    const displaced = files.look()
    if (displaced !== undefined) {
      const isSaved = displaced.databaseStays && failed === undefined
      return yield* Effect.logError(`${displaced.text}; ${isSaved ? SAVED : ENDS_WITH}`)
    }
    if (failed !== undefined) {
      yield* Effect.logWarning(
        `${directory}: coupon.db-wal could not be emptied (${failed}): the ledger is coupon.db together with that file`
      )
    }
  })

const SAVED = "coupon.db holds all that was committed, so a restart mends it"
const ENDS_WITH = "what it holds ends with this process unless the same files are put back, or `coupon backup` " +
  "saves it first"

/** Pause between two looks at the files while nothing is written. */
const LOOK_INTERVAL = "1 second"

/** What is known of the files: set by each commit that finds them displaced, kept up to date by an agent. */
const watchFiles = (client: Client, files: DataDirFiles.DataDirFiles) =>
  Effect.gen(function*() {
    let trouble: string | undefined
    let logged: "Nothing" | "Displaced" | "Saved" = "Nothing"
    const suspicions = yield* Queue.sliding<void>(1)
    const look = Effect.gen(function*() {
      const displaced = files.look()
      trouble = displaced?.text
      if (displaced === undefined) {
        if (logged !== "Nothing") {
          yield* Effect.logInfo("DATA_DIR: the files are back in their place, and the service goes on")
        }
        logged = "Nothing"
        return
      }
      if (logged === "Saved") return
      // A log without its name can still be moved into a database that has one.
      const saved = displaced.databaseStays && (yield* checkpoint(client)) === undefined
      if (!saved && logged === "Displaced") return
      logged = saved ? "Saved" : "Displaced"
      yield* Effect.logError(
        `${displaced.text}. Nothing is issued, and it is not ready, until the files are back; ` +
          (saved ? SAVED : ENDS_WITH)
      )
    })
    yield* Effect.raceFirst(Queue.take(suspicions), Effect.sleep(LOOK_INTERVAL)).pipe(
      Effect.zipRight(look),
      Effect.forever,
      Effect.forkScoped
    )
    return {
      trouble: () => trouble,
      lookAtCommit: () => {
        const displaced = files.lookAtCommit()
        if (displaced === undefined) return undefined
        trouble = displaced.text
        Queue.unsafeOffer(suspicions, undefined)
        return trouble
      }
    }
  })

/**
 * The file `coupon.db` in `DATA_DIR`, which is created if need be, with the current schema. In WAL mode with
 * synchronous = FULL, a commit is on the disk when it returns. When the scope closes, the log is moved into the file.
 * If the files are displaced meanwhile, nothing is run, and `StoreHealth` says so.
 */
export const layer: Layer.Layer<
  LibsqlClient.LibsqlClient | SqlClient.SqlClient | LibSqlDriver | LibSqlFile | StoreHealth,
  DataDirInUse | DataDirUnusable | Migrations.SchemaUnfit,
  AppConfig
> = Layer.scopedContext(Effect.gen(function*() {
  const directory = Path.resolve((yield* AppConfig).dataDir)
  const exposed = yield* Effect.try({ try: () => DataDirFiles.makePrivate(directory), catch: unusable })
  for (const warning of exposed) yield* Effect.logWarning(`DATA_DIR: ${warning}`)
  yield* own(directory)
  yield* Effect.try({ try: () => DataDirFiles.removeSnapshots(directory), catch: unusable })
  const client = yield* open(Path.join(directory, DataDirFiles.DATABASE))
  yield* attempt(async () => {
    await client.execute(`PRAGMA busy_timeout = ${BUSY_MILLIS}`)
    await client.execute("PRAGMA journal_mode = WAL")
    await client.execute("PRAGMA synchronous = FULL")
  })
  yield* migrate(client)
  const files = DataDirFiles.make(directory)
  yield* Effect.addFinalizer(() => checkpointAtEnd(directory, client, files))
  const watched = yield* watchFiles(client, files)
  const driver = GuardedDriver.make(client, { ...watched, now: (yield* WallClock).now })
  const sql = yield* LibsqlClient.make({ liveClient: driver }).pipe(Effect.provide(Reactivity.layer))
  return Context.make(LibsqlClient.LibsqlClient, sql).pipe(
    Context.add(SqlClient.SqlClient, sql),
    Context.add(LibSqlDriver, driver),
    Context.add(LibSqlFile, { directory, client }),
    Context.add(StoreHealth, {
      troubles: () => {
        const trouble = watched.trouble()
        return trouble === undefined ? [] : [trouble]
      }
    })
  )
}))

/** A ledger in the memory of this process. It ends with the scope. */
export const layerMemory: Layer.Layer<
  LibsqlClient.LibsqlClient | SqlClient.SqlClient | LibSqlDriver,
  DataDirUnusable | Migrations.SchemaUnfit
> = Layer.scopedContext(Effect.gen(function*() {
  const { now } = yield* WallClock
  const client = yield* open(":memory:")
  yield* migrate(client)
  const driver = GuardedDriver.make(client, { now, trouble: () => undefined, lookAtCommit: () => undefined })
  const sql = yield* LibsqlClient.make({ liveClient: driver }).pipe(Effect.provide(Reactivity.layer))
  return Context.make(LibsqlClient.LibsqlClient, sql).pipe(
    Context.add(SqlClient.SqlClient, sql),
    Context.add(LibSqlDriver, driver)
  )
}))
