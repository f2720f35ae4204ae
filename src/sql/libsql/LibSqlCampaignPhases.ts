import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CampaignPhases } from "../../ports/CampaignPhases.ts"
import { CommitInDoubt } from "../../ports/Ledger.ts"
import type { Row } from "../Rows.ts"
import * as SqlCampaignPhases from "../SqlCampaignPhases.ts"
import { unavailable } from "../SqlFailure.ts"
import { missingPhases, type PhaseDialect } from "../text/CampaignPhaseText.ts"
import { integer } from "../text/Literals.ts"
import { LibSqlDriver } from "./LibSql.ts"
import { classifyLibsql } from "./LibSqlFailure.ts"

export const phaseDialect: PhaseDialect = { time: integer, later: "MAX", insertIgnore: "INSERT OR IGNORE" }

const make = Effect.gen(function*() {
  const sql = yield* SqlClient
  const driver = yield* LibSqlDriver
  const now = () => integer(driver.now())
  const texts = SqlCampaignPhases.makeTexts(now, Number, phaseDialect)
  const run = (text: string) => Effect.mapError(sql.unsafe<Row>(text), unavailable)

  /** Returns how many rows the last statement changed. */
  const write = (statements: ReadonlyArray<string>) =>
    Effect.tryPromise({
      try: async () => (await driver.batch([...statements], "write")).at(-1)!.rowsAffected,
      catch: (cause) => classifyLibsql(cause) === "InDoubt" ? new CommitInDoubt({ cause }) : unavailable(cause)
    }).pipe(Effect.uninterruptible)

  return SqlCampaignPhases.make(
    texts,
    run,
    (ids) => write([missingPhases(ids, now(), phaseDialect)]),
    (state, reached, dueAt) =>
      Effect.map(
        write([...(reached.length === 0 ? [] : [texts.entries(state, reached)]), texts.advance(state, reached, dueAt)]),
        (changed) => changed > 0
      )
  )
})

/** The record in the embedded ledger's file. */
export const layer: Layer.Layer<CampaignPhases, never, SqlClient | LibSqlDriver> = Layer.effect(CampaignPhases, make)
