import * as Effect from "effect/Effect"
import type { EpochMillis } from "../domain/Time.ts"
import { AuditLog, type AuditEntry } from "../ports/AuditLog.ts"
import { CommitInDoubt } from "../ports/Ledger.ts"
import type { Row } from "./Rows.ts"
import { type SqlFailure, unavailable } from "./SqlFailure.ts"
import { actRow, type AuditLiterals, listActs } from "./text/AuditLogText.ts"

/** The audit log, where the databases differ. */
export interface AuditLogDialect extends AuditLiterals {
  readonly time: (value: unknown) => EpochMillis
  /** Adds a row; does nothing if there is one with this change id. */
  readonly insert: (entry: AuditEntry) => Effect.Effect<unknown, unknown>
  readonly read: (text: string) => Effect.Effect<ReadonlyArray<Row>, unknown>
  readonly classify: (cause: unknown) => SqlFailure
}

/** An append whose outcome is in doubt is sent again under the same change id. */
const ATTEMPTS = 3

/** What all ledgers do alike with the audit log. */
export const make = ({ at, classify, insert, read, text, time }: AuditLogDialect): AuditLog["Type"] => {
  const rowOf = actRow(time)
  return AuditLog.of({
    append: (entry) =>
      Effect.suspend(() => insert(entry)).pipe(
        Effect.retry({ times: ATTEMPTS - 1, while: (cause) => classify(cause) !== "Rejected" }),
        Effect.mapBoth({
          onFailure: (cause) => classify(cause) === "InDoubt" ? new CommitInDoubt({ cause }) : unavailable(cause),
          onSuccess: () => undefined
        })
      ),
    list: (query) =>
      Effect.mapBoth(read(listActs(query, { at, text })), {
        onFailure: unavailable,
        onSuccess: (rows) => rows.map(rowOf)
      })
  })
}
