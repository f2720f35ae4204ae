import type { Client } from "@libsql/client"
import { Sqlite3Client } from "@libsql/client/sqlite3"
import Database from "libsql"
import type { EpochMillis } from "../../domain/Time.ts"

/** A connection to the ledger's file or memory, with the ledger's clock. */
export interface Driver extends Client {
  /** See `WallClock`. */
  readonly now: () => EpochMillis
}

const BEGINS_OR_ENDS = /^(?:BEGIN|COMMIT|ROLLBACK)\b/

/** A statement that begins or ends a transaction, as the driver runs one that returns no rows. */
const control = (database: Database.Database, sql: string) => ({
  safeIntegers: () => undefined,
  raw: () => {
    throw new TypeError("it returns no rows")
  },
  run: () => {
    database.exec(sql)
    return { changes: 0, lastInsertRowid: 0 }
  }
})

/**
 * Opens the file, or `:memory:`. Integers are read as bigints, since user ids have 64 bits. Throws if it cannot be
 * opened.
 *
 * A prepared statement that finds the file locked (SQLITE_BUSY) stays under way until it is collected as garbage. Until
 * then no transaction of its connection can end: COMMIT fails, a write by itself is answered and not committed, and
 * reads keep the log from being emptied. So transactions begin and end by `exec`, which ends its statements whatever
 * became of them. Within a transaction that has the lock no statement finds the file locked.
 */
export const connect = (path: string): Client => {
  const database = new Database(path)
  const prepare = database.prepare.bind(database)
  database.prepare = ((sql: string) =>
    BEGINS_OR_ENDS.test(sql) ? control(database, sql) : prepare(sql)) as typeof database.prepare
  database.exec("SELECT 1")
  return new Sqlite3Client(path, {}, database, "bigint")
}
