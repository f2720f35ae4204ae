import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../../config/AppConfig.ts"
import { CodeImports } from "../../ports/CodeImports.ts"
import type { LedgerUnavailable } from "../../ports/Ledger.ts"
import * as SqlCodeImports from "../codes/SqlCodeImports.ts"
import { actColumns } from "../text/AuditLogText.ts"
import { integer } from "../text/Literals.ts"
import { mysqlAct, mysqlFacts } from "./admin/MySqlAuditLog.ts"
import { mysqlText, timeFromSql } from "./Literals.ts"
import { isDuplicateKey, mysqlErrno } from "./MySqlFailure.ts"
import { script } from "./Script.ts"
import * as Transactions from "./Transactions.ts"

const NULL_REFUSED = 1_048

const guarded = ({ cause }: LedgerUnavailable): SqlCodeImports.Written | undefined =>
  mysqlErrno(cause) === NULL_REFUSED ? "Guarded" : isDuplicateKey(cause, "code_pool_code") ? "Taken" : undefined

/** The pools of `MySqlLedger`. */
export const layer: Layer.Layer<CodeImports, never, SqlClient | AppConfig> = Layer.effect(
  CodeImports,
  Effect.gen(function*() {
    const { read, run, settings } = Transactions.make(yield* SqlClient, yield* AppConfig)
    return SqlCodeImports.make({
      time: timeFromSql,
      now: () => "SYSDATE(6)",
      text: mysqlText,
      read,
      write: (statements) =>
        run(script(...settings, "START TRANSACTION", ...statements, "COMMIT")).pipe(
          Effect.as("Done" as const),
          Effect.catchTag("LedgerUnavailable", (failure) => {
            const end = guarded(failure)
            return end === undefined ? Effect.fail(failure) : Effect.succeed(end)
          })
        ),
      codesAtOnce: undefined,
      lockCampaign: (campaignId) => [`SELECT id FROM campaigns WHERE id = ${campaignId} FOR UPDATE`],
      act: (record, action, campaignId) => {
        const entry = { ...record, ...action }
        return [
          `INSERT INTO admin_audit (${actColumns}) VALUES (${mysqlAct(entry, "SYSDATE(6)", integer(campaignId))})`,
          mysqlFacts(entry, "DONE")
        ]
      }
    })
  })
)
