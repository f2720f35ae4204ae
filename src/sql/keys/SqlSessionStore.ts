import * as Effect from "effect/Effect"
import type { ChangeRecord } from "../../domain/ChangeRecord.ts"
import { KeysUnavailable } from "../../security/ApiKeys.ts"
import { SessionStore, type StoredSession } from "../../security/sessions/SessionStore.ts"
import type { Row } from "../Rows.ts"
import { integer } from "../text/Literals.ts"
import { type KeyDialect, type KeyEntry, recordedWrites } from "./RecordedWrites.ts"

/** Of one key, rows that one start removes beyond those that stay. */
const MOST_REMOVED = 1_000

const entryOf = (change: ChangeRecord, action: string, before: unknown, after: unknown): KeyEntry =>
  ({ ...change, action, outcome: "DONE", before, after })

/** What all ledgers do alike with the sessions of the console. */
export const make = <Statement>(dialect: KeyDialect<Statement>): SessionStore["Type"] => {
  const { after, now, read, text, time } = dialect
  const write = recordedWrites(dialect)

  const sessionOf = (row: Row): StoredSession => ({
    id: row.id as string,
    tokenHash: row.token_hash as string,
    keyId: row.key_id as string,
    createdAt: time(row.created_at),
    endsAt: time(row.ends_at),
    address: row.address as string
  })

  const all = Effect.mapBoth(
    Effect.suspend(() => {
      const present = now()
      return read(
        `SELECT ${present} AS ledger_now, s.* FROM deployment AS d ` +
          `LEFT JOIN console_sessions AS s ON s.ends_at > ${present} ORDER BY s.created_at, s.id`
      )
    }),
    {
      onFailure: (cause) => new KeysUnavailable({ cause }),
      // The deployment has one row; without a session it has the clock alone.
      onSuccess: (rows) => ({
        now: time(rows[0]!.ledger_now),
        sessions: rows.filter(({ id }) => id !== null).map(sessionOf)
      })
    }
  )

  return SessionStore.of({
    all,
    insert: ({ address, id, keyId, tokenHash }, { lifeMillis, most }, change) =>
      Effect.asVoid(write(
        entryOf(change, "session.start", undefined, { id, keyId }),
        () => "(SELECT 1 AS one) AS o",
        (recorded, present) => {
          const values = [...[id, tokenHash, keyId].map(text), present, after(present, lifeMillis), text(address)]
          const ofKey = `SELECT id FROM console_sessions WHERE key_id = ${text(keyId)}`
          const beyond = `${ofKey} ORDER BY created_at DESC, id DESC ` +
            `LIMIT ${integer(MOST_REMOVED)} OFFSET ${integer(most)}`
          return [
            `DELETE FROM console_sessions WHERE ends_at <= ${present}`,
            "INSERT INTO console_sessions (id, token_hash, key_id, created_at, ends_at, address) " +
            `SELECT ${values.join(", ")} FROM ${recorded}`,
            // MySQL deletes from no table that it selects from, unless that is a table of its own.
            `DELETE FROM console_sessions WHERE id IN (SELECT id FROM (${beyond}) AS old)`
          ]
        }
      )),
    remove: (id, change) =>
      Effect.gen(function*() {
        const session = (yield* all).sessions.find((one) => one.id === id)
        if (session === undefined) return false
        return yield* write(
          entryOf(change, "session.end", { id, keyId: session.keyId }, undefined),
          () => `console_sessions AS s WHERE s.id = ${text(id)}`,
          (recorded) => [
            `DELETE FROM console_sessions WHERE id = ${text(id)} AND EXISTS (SELECT 1 FROM ${recorded})`
          ]
        )
      })
  })
}
