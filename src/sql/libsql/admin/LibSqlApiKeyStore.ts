import type { InStatement } from "@libsql/client"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ApiKeyStore } from "../../../security/ApiKeyStore.ts"
import { SessionStore } from "../../../security/sessions/SessionStore.ts"
import type { KeyDialect } from "../../keys/RecordedWrites.ts"
import * as SqlApiKeyStore from "../../keys/SqlApiKeyStore.ts"
import * as SqlSessionStore from "../../keys/SqlSessionStore.ts"
import { actorText, stateText } from "../../text/AuditLogText.ts"
import { integer } from "../../text/Literals.ts"
import { LibSqlDriver } from "../LibSql.ts"
import { libsqlText, makeStatements } from "../Statements.ts"
import { libsqlFacts } from "./LibSqlAuditLog.ts"

const dialect = Effect.map(LibSqlDriver, (driver) => {
  const textOrNull = (text: string | null) => text === null ? "NULL" : libsqlText(text)
  return {
    time: Number,
    text: libsqlText,
    at: integer,
    now: () => integer(driver.now()),
    today: () => libsqlText(new Date(driver.now()).toISOString().slice(0, 10)),
    after: (time, millis) => `${time} + ${integer(millis)}`,
    changeId: libsqlText,
    act: ({ action, actor, after, before, changeId }, now) =>
      [
        libsqlText(changeId),
        now,
        libsqlText(actorText(actor)),
        libsqlText(action),
        "NULL",
        textOrNull(stateText(before)),
        textOrNull(stateText(after))
      ].join(", "),
    facts: (entry) => libsqlFacts(entry, entry.outcome),
    insertIfAbsent: "INSERT OR IGNORE INTO",
    later: "MAX",
    read: makeStatements(driver).read,
    // A transaction that writes has the whole file for itself.
    commit: (statements) =>
      Effect.uninterruptible(
        Effect.tryPromise({ try: () => driver.batch([...statements], "write"), catch: (cause) => cause })
      )
  } satisfies KeyDialect<InStatement>
})

/** The keys and their sessions in the embedded ledger's file. */
export const layer: Layer.Layer<ApiKeyStore | SessionStore, never, LibSqlDriver> = Layer.effectContext(
  Effect.map(dialect, (keys) =>
    Context.make(ApiKeyStore, SqlApiKeyStore.make<InStatement>(keys)).pipe(
      Context.add(SessionStore, SqlSessionStore.make<InStatement>(keys))
    ))
)
