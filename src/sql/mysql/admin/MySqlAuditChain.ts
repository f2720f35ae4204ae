import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../../../config/AppConfig.ts"
import { AuditChain } from "../../../ports/AuditChain.ts"
import * as SqlAuditChain from "../../SqlAuditChain.ts"
import { unavailable } from "../../SqlFailure.ts"
import { timeFromSql } from "../Literals.ts"
import { script } from "../Script.ts"
import * as Transactions from "../Transactions.ts"

const make = Effect.gen(function*() {
  const { read, run, settings } = Transactions.make(yield* SqlClient, yield* AppConfig)
  return SqlAuditChain.make({
    time: timeFromSql,
    changeId: "LOWER(HEX(a.change_id))",
    now: () => "UTC_TIMESTAMP(6)",
    read,
    commit: (statements) =>
      run(script(
        ...settings,
        "START TRANSACTION",
        "SELECT sequence FROM admin_audit_head WHERE id = 1 FOR UPDATE",
        ...statements,
        "COMMIT"
      )).pipe(
        // What it did is read afterwards, and doing it again does nothing.
        Effect.catchTag("CommitInDoubt", ({ cause }) => Effect.fail(unavailable(cause))),
        Effect.uninterruptible
      )
  })
})

/** The chain of the audit log in MySQL or MariaDB. */
export const layer: Layer.Layer<AuditChain, never, SqlClient | AppConfig> = Layer.effect(AuditChain, make)
