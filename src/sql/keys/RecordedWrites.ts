import * as Effect from "effect/Effect"
import type { EpochMillis } from "../../domain/Time.ts"
import type { AuditEntry } from "../../ports/AuditLog.ts"
import { KeysUnavailable } from "../../security/ApiKeys.ts"
import type { Row } from "../Rows.ts"
import { actColumns } from "../text/AuditLogText.ts"

/** What the audit log is to have of a write. */
export type KeyEntry = Omit<AuditEntry, "campaignId">

/** The keys and their sessions, where the databases differ. */
export interface KeyDialect<Statement> {
  readonly time: (value: unknown) => EpochMillis
  /** Any text, and a time, as literals. */
  readonly text: (text: string) => string
  readonly at: (time: EpochMillis) => string
  /** The clock, and its day in UTC, as expressions. */
  readonly now: () => string
  readonly today: () => string
  /** So many milliseconds after a time, which is an expression. */
  readonly after: (time: string, millis: number) => string
  /** A change id as a literal. */
  readonly changeId: (id: string) => string
  /** An act's values, as `actColumns` has them. */
  readonly act: (entry: KeyEntry, now: string) => string
  /** Adds the facts of an act, if it was recorded. */
  readonly facts: (entry: KeyEntry) => Statement
  /** Begins an INSERT that does nothing about a row whose key is there. */
  readonly insertIfAbsent: string
  readonly later: "GREATEST" | "MAX"
  readonly read: (text: string) => Effect.Effect<ReadonlyArray<Row>, unknown>
  /** Runs these as one transaction, after all others of keys. */
  readonly commit: (statements: ReadonlyArray<string | Statement>) => Effect.Effect<unknown, unknown>
}

/**
 * Runs a write whose act is recorded for the rows of `from`; `false`: there were none, and it did nothing. The other
 * statements read from `recorded`, which has a row only if the act was recorded.
 */
export type RecordedWrite = (
  entry: KeyEntry,
  from: (now: string) => string,
  statements: (recorded: string, now: string) => ReadonlyArray<string>
) => Effect.Effect<boolean, KeysUnavailable>

/** Writes that begin with their row of the audit log, in one transaction. */
export const recordedWrites = <Statement>(dialect: KeyDialect<Statement>): RecordedWrite => {
  const { act, changeId, commit, facts, now, read } = dialect
  return (entry, from, statements) =>
    Effect.suspend(() => {
      const [id, time] = [changeId(entry.changeId), now()]
      return commit([
        `INSERT INTO admin_audit (${actColumns}) SELECT ${act(entry, time)} FROM ${from(time)}`,
        facts(entry),
        ...statements(`admin_audit AS a WHERE a.change_id = ${id}`, time)
      ]).pipe(
        Effect.zipRight(read(`SELECT COUNT(*) AS acts FROM admin_audit WHERE change_id = ${id}`)),
        Effect.mapBoth({
          onFailure: (cause) => new KeysUnavailable({ cause }),
          onSuccess: ([row]) => Number(row!.acts) === 1
        })
      )
    })
}
