import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { AppConfig, InvalidConfiguration } from "../../config/AppConfig.ts"
import { LedgerUnavailable } from "../../ports/Ledger.ts"
import { LedgerBackup, type BackupAdvice } from "../../ports/operation/LedgerBackup.ts"
import { showHost } from "../../config/StoreUrl.ts"
import { endpoints } from "./connection/MySql.ts"
import type { Endpoint } from "./connection/MySqlUrl.ts"
import type { Row } from "../Rows.ts"

const shellWord = (text: string): string => /^[\w.,:=/@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`

const isOlder = (version: string, than: readonly [number, number, number]): boolean => {
  const parts = version.split(/[.-]/, 3).map(Number)
  const different = than.findIndex((part, k) => parts[k] !== part)
  return different >= 0 && parts[different]! < than[different]!
}

/** What the server says of itself: `VERSION()`, and whether it writes a binary log. */
interface Server {
  readonly version: string
  readonly logsBinary: boolean
}

/**
 * `--single-transaction` reads all tables at one moment without a lock, since all are InnoDB; `--routines` adds
 * `issue_batch`; `--hex-blob` keeps the binary keys whole whatever the character set.
 */
export const adviceFor = ({ database, hosts, ssl }: Endpoint, { logsBinary, version }: Server): BackupAdvice => {
  const isMariaDb = /mariadb/i.test(version)
  const [first] = hosts
  const options = [
    `--host=${first!.host}`,
    `--port=${first!.port}`,
    "--user=root",
    "--password",
    ...ssl === undefined ? [] : isMariaDb ? ["--ssl"] : ["--ssl-mode=REQUIRED"],
    "--default-character-set=utf8mb4",
    "--single-transaction",
    "--quick",
    "--routines",
    "--hex-blob",
    "--no-tablespaces",
    ...isMariaDb ? [] : ["--set-gtid-purged=OFF"],
    ...logsBinary ? [isMariaDb || isOlder(version, [8, 0, 26]) ? "--master-data=2" : "--source-data=2"] : []
  ]
  return {
    server: `${isMariaDb ? "MariaDB" : "MySQL"} ${version.split("-", 1)[0]} at ${hosts.map(showHost).join(", ")}`,
    command: [isMariaDb ? "mariadb-dump" : "mysqldump", ...options, database].map(shellWord).join(" "),
    notes: [
      "It is consistent while the service issues: one transaction reads one moment of all tables. " +
        "Migrate nothing meanwhile.",
      `Its user needs SELECT and SHOW VIEW on ${database}` +
        (isMariaDb ? " and SELECT on mysql.proc" : " and SHOW_ROUTINE") +
        (logsBinary ? `, RELOAD and ${isMariaDb ? "BINLOG MONITOR" : "REPLICATION CLIENT"}` : "") +
        ": the service's own has less.",
      logsBinary
        ? "The dump says at which position of the binary log it was taken: keep the binary logs since, " +
          "and a restore loses nothing."
        : "The binary log is off: a restore loses every coupon since the backup.",
      ...logsBinary && !isMariaDb
        ? ["To read that position it stops commits for a moment, or for as long as a long query runs: " +
          "choose a quiet minute."]
        : [],
      ...hosts.length > 1 ? ["Any server of the group will do; a secondary spares the primary."] : [],
      "Redis needs no backup. A restore empties it: docs/guides/backup.md, \"Restore from a backup\"."
    ]
  }
}

/** The ledger is the database's own to copy; this names the command. */
export const layer: Layer.Layer<LedgerBackup, InvalidConfiguration, SqlClient | AppConfig> = Layer.effect(
  LedgerBackup,
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const { serving } = yield* endpoints
    const advice = sql.unsafe<Row>("SELECT VERSION() AS version, @@global.log_bin AS log_bin").unprepared.pipe(
      Effect.mapBoth({
        onFailure: (cause) => new LedgerUnavailable({ cause }),
        onSuccess: ([row]) =>
          adviceFor(serving, { version: String(row!.version), logsBinary: Number(row!.log_bin) === 1 })
      })
    )
    return { _tag: "Elsewhere" as const, advice }
  })
)
