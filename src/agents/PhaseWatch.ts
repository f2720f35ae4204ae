import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { CampaignId } from "../domain/Campaign.ts"
import type { CampaignPhase, PhaseReached } from "../domain/CampaignPhase.ts"
import { nextDue, phasesReached } from "../domain/CampaignPhase.ts"
import { formatRfc3339 } from "../domain/Time.ts"
import { CampaignPhases, type PhaseState } from "../ports/CampaignPhases.ts"
import { EventLog } from "../ports/EventLog.ts"
import * as CampaignMetrics from "../metrics/CampaignMetrics.ts"
import { EventNews } from "./events/EventNews.ts"
import { KnownCampaigns } from "./KnownCampaigns.ts"
import type { CommitInDoubt, LedgerUnavailable } from "../ports/Ledger.ts"

/**
 * Records in the ledger that campaigns have reached a phase, logs it and counts it. Every instance watches; the one
 * that records a phase logs and counts it. So the record has each phase once, and log and metric have it at most once:
 * an instance that dies in between, or whose commit is in doubt, does neither. An end by time is appended to the event
 * log at once, as it is due; the upkeep of the log would come to it with its page of campaigns.
 */
export class PhaseWatch extends Context.Tag("coupon/issuance/PhaseWatch")<PhaseWatch, {
  /** Has the next run look at a campaign: something was issued, or changed. Called per batch, never per claim. */
  readonly touch: (campaignId: CampaignId) => void
  /** Looks at once, for a second at most; what fails is left to the next run. */
  readonly look: (campaignId: CampaignId) => Effect.Effect<void>
  /** Looks at campaigns that are due, were touched, or have claims. */
  readonly runOnce: Effect.Effect<void, LedgerUnavailable | CommitInDoubt>
}>() {}

/** How long a change waits for its phases to be recorded. */
const PATIENCE = "1 second"

/** Campaigns that are taken by one look at what is due, and that are read at a time. */
const DUE = 200
const READ = 500

const words: Readonly<Record<CampaignPhase, string>> = {
  SCHEDULED: "a campaign is scheduled",
  OPEN: "a campaign is open",
  SOLD_OUT: "a campaign is sold out",
  PAUSED: "a campaign is paused",
  ENDED: "a campaign has ended"
}

const announce = ({ campaignId, facts, name, sequence }: PhaseState, reached: ReadonlyArray<PhaseReached>) =>
  Effect.forEach(reached, ({ at, phase }, index) =>
    Effect.zipRight(
      Effect.sync(() => CampaignMetrics.phasesReached[phase].add()),
      Effect.logInfo(words[phase]).pipe(Effect.annotateLogs({
        campaignId,
        name,
        phase,
        at: formatRfc3339(at),
        event: sequence + index + 1,
        issued: facts.issuedCount,
        limit: facts.couponLimit
      }))
    ), { discard: true })

export const make = Effect.gen(function*() {
  const phases = yield* CampaignPhases
  const known = yield* KnownCampaigns
  const log = yield* EventLog
  const news = yield* EventNews
  let touched = new Set<CampaignId>()

  /** Appends the end of a campaign by its time; where that fails, the upkeep of the log does. */
  const appendEnd = ({ campaignId, facts }: PhaseState, reached: ReadonlyArray<PhaseReached>) =>
    facts.status !== "ENDED" && reached.some(({ phase }) => phase === "ENDED")
      ? Effect.ignore(Effect.tap(log.append([campaignId]), (appended) => Effect.sync(() => news.publish(appended))))
      : Effect.void

  const settle = (state: PhaseState) =>
    Effect.suspend(() => {
      const { facts } = state
      const reached = phasesReached(facts, state.recorded)
      const isDue = (state.dueAt !== undefined && state.dueAt <= facts.now) || state.version !== state.recordedVersion
      if (reached.length === 0 && !isDue) return Effect.void
      return Effect.flatMap(
        phases.record(state, reached, nextDue(facts)),
        (recorded) => recorded ? Effect.zipRight(announce(state, reached), appendEnd(state, reached)) : Effect.void
      )
    })

  const lookAt = (campaignIds: ReadonlyArray<CampaignId>) =>
    Effect.gen(function*() {
      for (let from = 0; from < campaignIds.length; from += READ) {
        const states = yield* phases.read(campaignIds.slice(from, from + READ))
        yield* Effect.forEach(states, settle, { concurrency: 4, discard: true })
      }
    })

  const runOnce = Effect.gen(function*() {
    const some = touched
    touched = new Set()
    const attempt = lookAt([...new Set([...some, ...known.active()])])
    yield* Effect.onError(attempt, () => Effect.sync(() => some.forEach((campaignId) => touched.add(campaignId))))
    for (;;) {
      const due = yield* phases.due(DUE)
      yield* lookAt(due)
      if (due.length < DUE) return
    }
  })

  return PhaseWatch.of({
    touch: (campaignId) => void touched.add(campaignId),
    look: (campaignId) =>
      lookAt([campaignId]).pipe(
        Effect.disconnect,
        Effect.timeout(PATIENCE),
        Effect.catchAllCause((cause) => {
          touched.add(campaignId)
          return Effect.logDebug("a campaign's phase could not be looked at yet", cause)
        })
      ),
    runOnce
  })
})

export const layer = Layer.effect(PhaseWatch, make)
