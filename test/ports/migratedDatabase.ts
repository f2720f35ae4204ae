import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as MySqlDriver from "mysql2/promise"
import * as MySql from "../../src/sql/mysql/connection/MySql.ts"
import { databaseOn, type DatabaseKind } from "../support/servers.ts"

interface Migrated {
  readonly url: string
  readonly drop: () => Promise<void>
  /** A statement that leaves each table with the rows that the migrations put there. */
  readonly empty: string
}

const connect = (url: string) => MySqlDriver.createConnection({ uri: url, multipleStatements: true, dateStrings: true })

const migrate = async (kind: DatabaseKind): Promise<Migrated> => {
  const { drop, url } = await databaseOn(kind)
  await Effect.runPromise(MySql.migrate(MySql.parseUrl(Redacted.make(url))))
  const connection = await connect(url)
  try {
    const rowsOf = async (text: string) => (await connection.query(text))[0] as ReadonlyArray<Record<string, unknown>>
    const tables = await rowsOf(
      "SELECT table_name AS name FROM information_schema.tables " +
        "WHERE table_schema = DATABASE() AND table_name <> 'schema_migrations'"
    )
    const statements: Array<string> = []
    for (const name of tables.map((table) => String(table["name"]))) {
      statements.push(`DELETE FROM ${name}`)
      for (const row of await rowsOf(`SELECT * FROM ${name}`)) {
        statements.push(connection.format(`INSERT INTO ${name} SET ?`, [row]))
      }
    }
    const empty = ["SET SESSION foreign_key_checks = 0", "START TRANSACTION", ...statements, "COMMIT"].join(";\n")
    return { url, drop, empty }
  } finally {
    connection.destroy()
  }
}

/**
 * For tests of a file that come one after another: a database with all tables and no rows, the same one each time.
 * Migrating one for each test would take most of their time. A test puts back what it changes besides rows.
 */
export const migratedDatabases = () => {
  const made = new Map<DatabaseKind, Promise<Migrated>>()
  return {
    emptied: async (kind: DatabaseKind): Promise<string> => {
      if (!made.has(kind)) made.set(kind, migrate(kind))
      const { empty, url } = await made.get(kind)!
      const connection = await connect(url)
      try {
        await connection.query(empty)
      } finally {
        connection.destroy()
      }
      return url
    },
    drop: async (): Promise<void> => {
      for (const one of made.values()) await (await one).drop()
    }
  }
}
