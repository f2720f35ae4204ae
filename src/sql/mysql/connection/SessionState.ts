import type { SessionFact } from "../../../ports/LedgerFacts.ts"
import type { Row } from "../../Rows.ts"

/** What a session is set to, apart from what is the same for all. */
export interface SessionOptions {
  readonly database: string
  /** For a row lock and for a metadata lock. */
  readonly lockWaitSeconds: number
  /** How long the server keeps a session whose client says nothing. */
  readonly idleSeconds: number
}

type Server = "MySQL" | "MariaDB"

/**
 * A session variable that statements depend on. Its default may come from the server, `init_connect`, a proxy or a
 * pooler.
 */
interface Pin {
  readonly name: string
  /** As `SET` takes it. */
  readonly literal: (options: SessionOptions) => string
  /** As `SELECT @@name` returns it, where that differs. */
  readonly shown?: string
  /** The only server that knows it. */
  readonly only?: Server
  /** Repeated by each text that writes, see `sessionSettings`. */
  readonly inTexts?: true
}

const SQL_MODE = "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
const NO_LIMIT = "18446744073709551615"

const pin = (name: string, literal: string, more: Omit<Pin, "name" | "literal"> = {}): Pin => ({
  name,
  literal: () => literal,
  ...more
})
const inTexts = { inTexts: true } as const
const onMySql = { only: "MySQL" } as const
const onMariaDb = { only: "MariaDB" } as const

/** docs/guides/stores.md, "Session state", says what each is for. No ordinary user needs a privilege to set them. */
const pins: ReadonlyArray<Pin> = [
  // Meaning.
  pin("sql_mode", `'${SQL_MODE}'`, { shown: SQL_MODE, ...inTexts }),
  pin("time_zone", "'+00:00'", { shown: "+00:00", ...inTexts }),
  pin("sql_select_limit", NO_LIMIT, inTexts),
  pin("sql_auto_is_null", "0"),
  pin("sql_safe_updates", "0"),
  pin("sql_big_selects", "1"),
  pin("max_join_size", NO_LIMIT),
  pin("unique_checks", "1", inTexts),
  pin("foreign_key_checks", "1"),
  pin("check_constraint_checks", "1", onMariaDb),
  pin("old_mode", "''", { shown: "", ...onMariaDb }),
  // Durability and isolation. The isolation level itself has a statement of its own.
  pin("autocommit", "1", inTexts),
  pin("completion_type", "0", { shown: "NO_CHAIN", ...inTexts }),
  // Waiting.
  { name: "innodb_lock_wait_timeout", literal: (options) => String(options.lockWaitSeconds), ...inTexts },
  { name: "lock_wait_timeout", literal: (options) => String(options.lockWaitSeconds), ...inTexts },
  { name: "wait_timeout", literal: (options) => String(options.idleSeconds) },
  pin("net_read_timeout", "30"),
  pin("net_write_timeout", "60"),
  pin("net_retry_count", "10"),
  pin("max_execution_time", "0", onMySql),
  pin("max_statement_time", "0", onMariaDb),
  pin("idle_transaction_timeout", "0", onMariaDb),
  pin("idle_readonly_transaction_timeout", "0", onMariaDb),
  pin("idle_write_transaction_timeout", "0", onMariaDb),
  // Space: a limit turns a statement that is sound into one that fails.
  pin("max_session_mem_used", "9223372036854775807", onMariaDb),
  pin("tmp_disk_table_size", "18446744073709551615", onMariaDb),
  // Text. Which key a duplicate violates is read from the message (`MySqlFailure.ts`).
  pin("lc_messages", "'en_US'", { shown: "en_US" }),
  // What the server adds to each answer: nothing that the driver needs, and a set of GTIDs may be long.
  pin("session_track_gtids", "OFF", onMySql),
  pin("session_track_schema", "0"),
  pin("session_track_state_change", "0"),
  pin("session_track_transaction_info", "'OFF'", { shown: "OFF" }),
  pin("session_track_system_variables", "''", { shown: "" })
]

/** What is read back beside the pins. */
const alsoShown: ReadonlyArray<{ readonly name: string; readonly shown: string; readonly only?: Server }> = [
  { name: "character_set_client", shown: "utf8mb4" },
  { name: "character_set_connection", shown: "utf8mb4" },
  { name: "character_set_results", shown: "utf8mb4" },
  { name: "collation_connection", shown: "utf8mb4_bin" },
  { name: "transaction_isolation", shown: "READ-COMMITTED", only: "MySQL" },
  { name: "transaction_read_only", shown: "0", only: "MySQL" },
  { name: "tx_isolation", shown: "READ-COMMITTED", only: "MariaDB" },
  { name: "tx_read_only", shown: "0", only: "MariaDB" }
]

/** The least packet: what the largest text of an instance, of 5,000 users or 512 claims, needs several times over. */
const MIN_PACKET_BYTES = 1_048_576

/** `items` as a list that each server reads its own part of, by comments that only it executes. */
const commaList = <A extends { readonly only?: Server }>(
  items: ReadonlyArray<A>,
  show: (item: A) => string
): string => {
  const part = (only: Server | undefined) => items.filter((item) => item.only === only).map(show)
  const [both, mysql, mariadb] = [part(undefined), part("MySQL"), part("MariaDB")]
  const apart = (open: string, list: ReadonlyArray<string>) =>
    list.length === 0 ? "" : ` ${open} , ${list.join(", ")} */`
  return both.join(", ") + apart("/*!80000", mysql) + apart("/*M!", mariadb)
}

// A collation of its own: the default one of a character set is a setting too.
const NAMES = "NAMES utf8mb4 COLLATE utf8mb4_bin"

/** READ COMMITTED takes no gap locks (PROTOCOL, bug 3). Only this spelling is known to MySQL and to every MariaDB. */
const TRANSACTIONS = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE"

const setText = (chosen: ReadonlyArray<Pin>, options: SessionOptions): string =>
  `SET ${NAMES}, ${commaList(chosen, ({ literal, name }) => `SESSION ${name} = ${literal(options)}`)}`

/** Lets the clock of NOW() run again, should it have been stopped. It reads as the time, so it is no pin. */
const RUNNING_CLOCK = "SET SESSION timestamp = DEFAULT"

/**
 * Before all else, because: - the driver writes text in the character set that the server last reported (`init_connect`
 * may have one reported), and the next
 *   statement ends reports;
 * - modes change what literals mean: under MariaDB's EMPTY_STRING_IS_NULL an empty text is NULL;
 * - not every variable can be set within a transaction that was left open, and under another `completion_type` ROLLBACK
 * begins a new one.
 */
const FIRST = `SET ${NAMES}, SESSION sql_mode = '${SQL_MODE}', SESSION completion_type = 0;
ROLLBACK`

/**
 * The statements that each script that writes begins with. They repeat of `setUpText` what a wrong commit could come
 * from, so that it also holds behind a proxy that hands out server connections as it likes and forgets what a session
 * was set to. Only the group commit's usual text does without, as they are a tenth of mysqld's time for it: it is exact
 * with any settings, and its times are right if they hold.
 */
export const sessionSettings = (lockWaitSeconds: number): ReadonlyArray<string> => [
  TRANSACTIONS,
  setText(pins.filter(({ inTexts }) => inTexts === true), { database: "", lockWaitSeconds, idleSeconds: 0 })
]

const withSource = (variable: { readonly name: string }) => `@@session.${variable.name} AS \`${variable.name}\``

/**
 * The variables as they are. Beside them what only a privileged user could set, and what only the server's start can:
 * where SYSDATE() is NOW(), the clock is not read after the lock. The two differ by microseconds; only if they do not,
 * the statement sleeps to make sure.
 */
export const showText = `SELECT ${commaList([...pins, ...alsoShown], withSource)}, DATABASE() AS \`database\`,
@@session.insert_id AS insert_id, @@session.max_allowed_packet AS max_allowed_packet,
IF(@@global.log_bin, @@session.sql_log_bin, 1) AS sql_log_bin,
IF(SYSDATE(6) <> NOW(6), 0, SLEEP(0.002) + (SYSDATE(6) = NOW(6))) AS sysdate_is_now`

/**
 * What every connection begins with, in one round trip, before it serves anything. The last result is the row for
 * `facts`.
 */
export const setUpText = (options: SessionOptions): string =>
  `${FIRST};
${setText(pins, options)};
${RUNNING_CLOCK};
${TRANSACTIONS};
USE \`${options.database.replaceAll("`", "``")}\`;
${showText}`

/** For connections that only look: no limit hides rows, and no timeout but their own cuts them off. */
export const controlText = setText(
  pins.filter(({ name }) =>
    ["sql_mode", "sql_select_limit", "max_execution_time", "max_statement_time"].includes(name)),
  { database: "", lockWaitSeconds: 1, idleSeconds: 1 }
)

/** What not every server knows, and no session of an ordinary user can change: looked at once, at the start. */
export const showMoreText =
  "SHOW SESSION VARIABLES WHERE Variable_name IN ('log_bin', 'binlog_format', 'skip_replication', 'wsrep_dirty_reads')"

/** Judges the rows of `showMoreText`. */
export const moreFacts = (rows: ReadonlyArray<Row>): ReadonlyArray<SessionFact> => {
  const found = new Map(rows.map((row) => [String(row.Variable_name), String(row.Value)]))
  const judged = (name: string, fits: (value: string) => boolean, required: string): ReadonlyArray<SessionFact> => {
    const value = found.get(name)
    return value === undefined ? [] : [{ name, value, required: fits(value) ? undefined : required }]
  }
  const logs = found.get("log_bin") !== "OFF"
  return [
    // A statement's text does not say which rows READ COMMITTED saw: the server refuses to log it, and with it every
    // commit.
    ...judged("binlog_format", (value) => !logs || value !== "STATEMENT", "ROW or MIXED"),
    ...judged("skip_replication", (value) => !logs || value === "OFF", "OFF"),
    ...judged("wsrep_dirty_reads", (value) => value === "OFF", "OFF")
  ]
}

/** Judges the row of `showText`. */
export const facts = (row: Row, options: SessionOptions): ReadonlyArray<SessionFact> => {
  const required = new Map<string, string>([
    ...pins.map(({ literal, name, shown }) => [name, shown ?? literal(options)] as const),
    ...alsoShown.map(({ name, shown }) => [name, shown] as const),
    ["database", options.database],
    ["insert_id", "0"],
    ["sql_log_bin", "1"],
    ["sysdate_is_now", "0"]
  ])
  return Object.entries(row).map(([name, found]): SessionFact => {
    const value = String(found)
    if (name === "max_allowed_packet") {
      return { name, value, required: Number(value) >= MIN_PACKET_BYTES ? undefined : `at least ${MIN_PACKET_BYTES}` }
    }
    const right = required.get(name)
    // A fraction of a second, as some servers return it, and the case of a database's name on a system that knows none.
    const fits = right === undefined || value.toLowerCase() === right.toLowerCase() ||
      (value !== "" && Number(value) === Number(right))
    return { name, value, required: fits ? undefined : right }
  })
}

/** Judges the character set in which the driver writes what it sends. */
export const driverFact = (encoding: string): SessionFact => ({
  name: "the driver's character set",
  value: encoding,
  required: encoding === "utf8" ? undefined : "utf8"
})

/** The server's sessions cannot be made what the statements need; trying again does not help. */
export class SessionUnfit extends Error {
  override readonly name = "SessionUnfit"
}

/** Why a session with these facts cannot be used; `undefined`: it can. */
export const unfit = (found: ReadonlyArray<SessionFact>): SessionUnfit | undefined => {
  const wrong = found.filter(({ required }) => required !== undefined)
  if (wrong.length === 0) return undefined
  const list = wrong.map(({ name, required, value }) =>
    `${name} is ${value === "" ? "empty" : value} and has to be ${required}`)
  return new SessionUnfit(
    `sessions of this database server do not fit (docs/guides/stores.md, "Session state"): ${list.join("; ")}`
  )
}
