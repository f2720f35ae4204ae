import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppConfig } from "../../config/AppConfig.ts"
import { CampaignPhases } from "../../ports/CampaignPhases.ts"
import * as SqlCampaignPhases from "../SqlCampaignPhases.ts"
import { missingPhases, type PhaseDialect } from "../text/CampaignPhaseText.ts"
import { timeFromSql, timeToSql } from "./Literals.ts"
import { named, script } from "./Script.ts"
import * as Transactions from "./Transactions.ts"

export const phaseDialect: PhaseDialect = {
  time: (time) => `CAST(${timeToSql(time)} AS DATETIME(6))`,
  later: "GREATEST",
  insertIgnore: "INSERT IGNORE"
}

const make = Effect.gen(function*() {
  const { read, run, settings } = Transactions.make(yield* SqlClient, yield* AppConfig)
  const now = () => "UTC_TIMESTAMP(6)"
  const texts = SqlCampaignPhases.makeTexts(now, timeFromSql, phaseDialect)
  const once = { attempts: 1 }
  const addMissing = (ids: string) =>
    run(script(...settings, "START TRANSACTION", missingPhases(ids, now(), phaseDialect), "COMMIT"), once)

  return SqlCampaignPhases.make(texts, read, addMissing, (state, reached, dueAt) =>
    Effect.map(
      run(
        script(
          ...settings,
          "START TRANSACTION",
          // A row is locked, or another instance was faster and nothing that follows is done.
          named("unchanged", `SELECT 1 FROM campaign_phases WHERE ${texts.unchanged(state)} FOR UPDATE`),
          ...(reached.length === 0 ? [] : [texts.entries(state, reached)]),
          texts.advance(state, reached, dueAt),
          "COMMIT"
        ),
        once
      ),
      ({ rows }) => rows("unchanged").length > 0
    ))
})

/** The record in MySQL or MariaDB. */
export const layer: Layer.Layer<CampaignPhases, never, SqlClient | AppConfig> = Layer.effect(CampaignPhases, make)
