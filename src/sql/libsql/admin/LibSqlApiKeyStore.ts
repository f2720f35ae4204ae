import type { InStatement } from "@libsql/client"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ApiKeyStore } from "../../../security/ApiKeyStore.ts"
import * as SqlApiKeyStore from "../../SqlApiKeyStore.ts"
import { actorText, stateText } from "../../text/AuditLogText.ts"
import { integer } from "../../text/Literals.ts"
import { LibSqlDriver } from "../LibSql.ts"
import { libsqlText, makeStatements } from "../Statements.ts"
import { libsqlFacts } from "./LibSqlAuditLog.ts"

const make = Effect.map(LibSqlDriver, (driver) => {
  const textOrNull = (text: string | null) => text === null ? "NULL" : libsqlText(text)
  return SqlApiKeyStore.make<InStatement>({
    time: Number,
    text: libsqlText,
    at: integer,
    now: () => integer(Date.now()),
    today: () => libsqlText(new Date().toISOString().slice(0, 10)),
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
    onSameKey: "ON CONFLICT (key_id) DO UPDATE SET",
    later: "MAX",
    read: makeStatements(driver).read,
    // A transaction that writes has the whole file for itself.
    commit: (statements) =>
      Effect.uninterruptible(
        Effect.tryPromise({ try: () => driver.batch([...statements], "write"), catch: (cause) => cause })
      )
  })
})

/** The keys in the embedded ledger's file. */
export const layer: Layer.Layer<ApiKeyStore, never, LibSqlDriver> = Layer.effect(ApiKeyStore, make)
