import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Steps from "../../../base/Steps.ts"
import { AuditChain } from "../../../ports/AuditChain.ts"
import * as SqlAuditChain from "../../SqlAuditChain.ts"
import { unavailable } from "../../SqlFailure.ts"
import { integer } from "../../text/Literals.ts"
import { LibSqlDriver } from "../LibSql.ts"
import { makeStatements } from "../Statements.ts"

const make = Effect.map(LibSqlDriver, (driver) =>
  SqlAuditChain.make({
    time: Number,
    changeId: "a.change_id",
    now: () => integer(driver.now()),
    // A thousand links are read in 10 ms, and a whole log would be read in one turn of the event loop.
    read: (text) => Steps.step(makeStatements(driver).read(text)),
    // A transaction that writes has the whole file for itself.
    commit: (statements) =>
      Effect.uninterruptible(
        Effect.tryPromise({ try: () => driver.batch([...statements], "write"), catch: unavailable })
      )
  }))

/** The chain of the audit log in the embedded ledger's file. */
export const layer: Layer.Layer<AuditChain, never, LibSqlDriver> = Layer.effect(AuditChain, make)
