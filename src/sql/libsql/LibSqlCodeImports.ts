import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CodeImports } from "../../ports/CodeImports.ts"
import type { LedgerUnavailable } from "../../ports/Ledger.ts"
import * as SqlCodeImports from "../codes/SqlCodeImports.ts"
import { driverError, errorField } from "../SqlFailure.ts"
import { actColumns, actorText, factColumns, factValues, stateText } from "../text/AuditLogText.ts"
import { integer } from "../text/Literals.ts"
import { untilKnown } from "../UntilKnown.ts"
import { LibSqlDriver } from "./LibSql.ts"
import { libsqlText as text, makeStatements, runBatch } from "./Statements.ts"

const textOrNull = (value: string | null): string => value === null ? "NULL" : text(value)

const guarded = ({ cause }: LedgerUnavailable): SqlCodeImports.Written | undefined => {
  const message = String(errorField(driverError(cause), "message"))
  if (message.includes("NOT NULL constraint failed: ")) return "Guarded"
  return message.includes("UNIQUE constraint failed: code_pool.campaign_id, code_pool.code") ? "Taken" : undefined
}

/** The pools in the file of `LibSql`. */
export const layer: Layer.Layer<CodeImports, never, LibSqlDriver> = Layer.effect(
  CodeImports,
  Effect.map(LibSqlDriver, (driver) =>
    SqlCodeImports.make({
      time: Number,
      now: () => integer(driver.now()),
      text,
      read: makeStatements(driver).read,
      write: (statements) =>
        untilKnown(runBatch(driver, () => [...statements], () => "Done" as const), { attempts: 4 }).pipe(
          Effect.catchTag("LedgerUnavailable", (failure) => {
            const end = guarded(failure)
            return end === undefined ? Effect.fail(failure) : Effect.succeed(end)
          })
        ),
      lockCampaign: () => [],
      // Some five milliseconds, and a flush.
      codesAtOnce: 500,
      act: ({ actor, changeId }, { action, after, before }, campaignId) => [
        `INSERT INTO admin_audit (${actColumns}) VALUES (${
          [
            text(changeId),
            integer(driver.now()),
            text(actorText(actor)),
            text(action),
            integer(campaignId),
            textOrNull(stateText(before)),
            textOrNull(stateText(after))
          ].join(", ")
        })`,
        `INSERT INTO admin_audit_facts (${factColumns})
VALUES (${[text(changeId), ...factValues(actor, "DONE").map(textOrNull)].join(", ")})`
      ]
    }))
)
