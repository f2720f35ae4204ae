import * as Effect from "effect/Effect"
import { type CampaignPhase, openedAt, type PhaseReached } from "../domain/CampaignPhase.ts"
import type { EpochMillis } from "../domain/Time.ts"
import type { CampaignPhases, PhaseEvent, PhaseState } from "../ports/CampaignPhases.ts"
import type { CommitInDoubt, LedgerUnavailable } from "../ports/Ledger.ts"
import { makeRows, type Row } from "./Rows.ts"
import type { PhaseDialect } from "./text/CampaignPhaseText.ts"
import { campaignColumns, campaignTable } from "./text/CampaignText.ts"
import { integer } from "./text/Literals.ts"

/** The texts and readers of a dialect; `now` is the ledger's clock, as an expression. */
export const makeTexts = (
  now: () => string,
  time: (value: unknown) => EpochMillis,
  { time: literal }: PhaseDialect
) => {
  const rowsOf = makeRows(time)
  const optional = (value: unknown) => value === null ? undefined : time(value)
  const literalOr = (value: EpochMillis | undefined) => value === undefined ? "NULL" : literal(value)
  const unchanged = ({ campaignId, recordedVersion, sequence }: PhaseState) =>
    `campaign_id = ${integer(campaignId)} AND sequence = ${integer(sequence)} AND version = ${integer(recordedVersion)}`

  return {
    due: (limit: number) =>
      `SELECT campaign_id FROM campaign_phases WHERE due_at <= ${now()} ORDER BY due_at LIMIT ${integer(limit)}`,
    states: (ids: string) =>
      `SELECT ${campaignColumns(now())}, p.phase, p.phase_at, p.sequence, p.due_at ` +
      `FROM ${campaignTable} WHERE c.id IN (${ids})`,
    history: (campaignId: number, limit: number, beforeSequence: number | undefined) =>
      `SELECT sequence, phase, at, noticed_at FROM campaign_phase_log WHERE campaign_id = ${integer(campaignId)} ` +
      (beforeSequence === undefined ? "" : `AND sequence < ${integer(beforeSequence)} `) +
      `ORDER BY sequence DESC LIMIT ${integer(limit)}`,
    unchanged,
    entries: (state: PhaseState, reached: ReadonlyArray<PhaseReached>) =>
      "INSERT INTO campaign_phase_log (campaign_id, sequence, phase, at, noticed_at)\n" +
      reached.map(({ at, phase }, index) =>
        `SELECT campaign_id, sequence + ${index + 1}, '${phase}', ${literal(at)}, ${now()} ` +
        `FROM campaign_phases WHERE ${unchanged(state)}`)
        .join(" UNION ALL\n"),
    advance: (state: PhaseState, reached: ReadonlyArray<PhaseReached>, dueAt: EpochMillis | undefined) => {
      const last = reached.at(-1)
      return "UPDATE campaign_phases SET " + [
        `opened_at = COALESCE(opened_at, ${literalOr(openedAt(state.facts))})`,
        ...(last === undefined ? [] : [`phase = '${last.phase}'`, `phase_at = ${literal(last.at)}`]),
        // An older program has changed the campaign: this is when it was noticed.
        ...(state.version === state.recordedVersion ? [] : [`since = ${literal(state.facts.since)}`]),
        `due_at = ${literalOr(dueAt)}`,
        // Last, for the condition and MySQL's assignments read them.
        `sequence = ${integer(state.sequence + reached.length)}`,
        `version = ${integer(state.version)}`
      ].join(", ") + ` WHERE ${unchanged(state)}`
    },
    /** `undefined`: the campaign has no row of phases yet. */
    state: (row: Row): PhaseState | undefined => {
      if (row.phase_version === null) return undefined
      const [version, recordedVersion] = [Number(row.version), Number(row.phase_version)]
      const facts = rowsOf.phaseFacts(row)
      return {
        campaignId: Number(row.id),
        name: row.name as string,
        facts: version === recordedVersion ? facts : { ...facts, since: facts.now },
        version,
        recordedVersion,
        sequence: Number(row.sequence),
        recorded: row.phase === null ? undefined : { phase: row.phase as CampaignPhase, at: time(row.phase_at) },
        dueAt: optional(row.due_at)
      }
    },
    event: (row: Row): PhaseEvent => ({
      sequence: Number(row.sequence),
      phase: row.phase as CampaignPhase,
      at: time(row.at),
      noticedAt: time(row.noticed_at)
    })
  }
}

/** What the adapters have in common, over their ways of reading and writing. */
export const make = (
  texts: ReturnType<typeof makeTexts>,
  run: (text: string) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable>,
  addMissing: (ids: string) => Effect.Effect<unknown, LedgerUnavailable | CommitInDoubt>,
  record: CampaignPhases["Type"]["record"]
): CampaignPhases["Type"] => {
  const states = (ids: string) => Effect.map(run(texts.states(ids)), (rows) => rows.map(texts.state))
  return {
    due: (limit) =>
      Effect.map(Effect.suspend(() => run(texts.due(limit))), (rows) => rows.map((row) => Number(row.campaign_id))),
    read: (campaignIds) => {
      if (campaignIds.length === 0) return Effect.succeed([])
      const ids = campaignIds.map(integer).join(",")
      return Effect.flatMap(states(ids), (found) =>
        found.includes(undefined) ? Effect.zipRight(addMissing(ids), states(ids)) : Effect.succeed(found)).pipe(
          Effect.map((found) => found.filter((state) => state !== undefined))
        )
    },
    record,
    history: (campaignId, limit, beforeSequence) =>
      Effect.map(run(texts.history(campaignId, limit, beforeSequence)), (rows) => rows.map(texts.event))
  }
}
