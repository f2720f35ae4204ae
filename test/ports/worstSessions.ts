import { inLongProfile } from "../support/profile.ts"
import type { DatabaseKind } from "../support/servers.ts"

/** A session's state at its worst: what `init_connect` makes of it, and a question with the answer that shows it. */
export interface Worst {
  readonly set: string
  readonly ask?: string
  readonly shown?: unknown
  readonly only?: DatabaseKind
}

const variable = (name: string, literal: string, shown: unknown = literal, only?: DatabaseKind): Worst => ({
  set: `SET SESSION ${name} = ${literal}`,
  ask: `@@session.${name}`,
  shown: String(shown),
  ...only === undefined ? {} : { only }
})

const worsts: ReadonlyArray<Worst> = [
  { set: "SET NAMES latin1", ask: "@@session.character_set_client", shown: "latin1" },
  variable("character_set_client", "'latin1'", "latin1"),
  variable("character_set_results", "'latin1'", "latin1"),
  variable("character_set_connection", "'latin1'", "latin1"),
  variable("collation_connection", "'utf8mb4_general_ci'", "utf8mb4_general_ci"),
  variable("sql_mode", "''", ""),
  {
    set: "SET SESSION sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,HIGH_NOT_PRECEDENCE,REAL_AS_FLOAT'"
  },
  { set: "SET SESSION sql_mode = 'ORACLE'", only: "mariadb" },
  {
    set: "SET SESSION sql_mode = 'EMPTY_STRING_IS_NULL,PAD_CHAR_TO_FULL_LENGTH,TIME_ROUND_FRACTIONAL'",
    only: "mariadb"
  },
  variable("time_zone", "'-11:00'", "-11:00"),
  variable("sql_select_limit", "0"),
  variable("sql_auto_is_null", "1"),
  variable("sql_safe_updates", "1"),
  { set: "SET SESSION sql_big_selects = 0, SESSION max_join_size = 1", ask: "@@session.sql_big_selects", shown: "0" },
  { set: "SET SESSION unique_checks = 0, SESSION foreign_key_checks = 0", ask: "@@session.unique_checks", shown: "0" },
  variable("check_constraint_checks", "0", "0", "mariadb"),
  variable("old_mode", "'ZERO_DATE_TIME_CAST'", "ZERO_DATE_TIME_CAST", "mariadb"),
  variable("autocommit", "0"),
  variable("completion_type", "'CHAIN'", "CHAIN"),
  variable("completion_type", "'RELEASE'", "RELEASE"),
  { set: "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE" },
  { set: "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED" },
  { set: "SET SESSION TRANSACTION READ ONLY" },
  { set: "SET TRANSACTION READ ONLY" },
  { set: "START TRANSACTION" },
  { set: "SET SESSION completion_type = CHAIN, SESSION autocommit = 0" },
  { set: "USE information_schema", ask: "DATABASE()", shown: "information_schema" },
  variable("innodb_lock_wait_timeout", "100000"),
  variable("lock_wait_timeout", "31536000"),
  variable("wait_timeout", "1"),
  variable("net_read_timeout", "1"),
  variable("net_write_timeout", "1"),
  variable("net_retry_count", "1"),
  variable("max_execution_time", "1", "1", "mysql"),
  { set: "SET SESSION max_statement_time = 0.000001", only: "mariadb" },
  variable("idle_transaction_timeout", "1", "1", "mariadb"),
  variable("idle_readonly_transaction_timeout", "1", "1", "mariadb"),
  variable("idle_write_transaction_timeout", "1", "1", "mariadb"),
  variable("max_session_mem_used", "400000", "400000", "mariadb"),
  variable("tmp_disk_table_size", "1024", "1024", "mariadb"),
  variable("lc_messages", "'ja_JP'", "ja_JP"),
  { set: "SET timestamp = 1", ask: "NOW() < '2000-01-01'", shown: "1" },
  variable("session_track_gtids", "ALL_GTIDS", "ALL_GTIDS", "mysql"),
  variable("session_track_schema", "1"),
  variable("session_track_state_change", "1"),
  variable("session_track_transaction_info", "'CHARACTERISTICS'", "CHARACTERISTICS"),
  variable("session_track_system_variables", "'*'", "*")
]

/** Whether it contradicts another one. */
const isApart = ({ set }: Worst): boolean =>
  /^USE|^START|EMPTY|ORACLE|SERIALIZABLE|UNCOMMITTED|max_statement_time|max_execution/.test(set)

/** Several at once. */
export const together = (kind: DatabaseKind): string =>
  worsts.filter((worst) => (worst.only ?? kind) === kind && !isApart(worst)).map(({ set }) => set).join("; ")

/** Those that are tested alone: all of them, or those that `together` leaves out. */
export const alone = (kind: DatabaseKind): ReadonlyArray<Worst> => {
  const all = worsts.filter(({ only }) => (only ?? kind) === kind)
  return inLongProfile(all, all.filter(isApart))
}
