import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { AppConfig } from "../config/AppConfig.ts"
import * as Violations from "./Violations.ts"
import type { CampaignId } from "../domain/Campaign.ts"
import { Gate, type GateUnavailable } from "../ports/Gate.ts"
import type { LedgerUnavailable } from "../ports/Ledger.ts"
import { LedgerFacts } from "../ports/LedgerFacts.ts"

/** A campaign and its violations. */
export interface Finding {
  readonly observation: Violations.Observation
  readonly violations: ReadonlyArray<Violations.Violation>
}

const PAGE = 100

/** How long an event may wait for the relay (I9). */
const EVENT_MILLIS = 10_000

export const limitsOf = (config: AppConfig["Type"]): Violations.Limits => ({
  eventMillis: EVENT_MILLIS,
  // A reservation of this age is resolved by the reaper's next run.
  reservationMillis: Duration.toMillis(Duration.sum(config.reservationTimeout, config.reaperInterval)) + EVENT_MILLIS
})

/** Verifies one campaign; empty if there is none. `gateHere`: this process can read its gate. */
export const findingOf = (
  campaignId: CampaignId,
  options: { readonly limits: Violations.Limits; readonly gateHere: boolean }
): Effect.Effect<ReadonlyArray<Finding>, LedgerUnavailable | GateUnavailable, LedgerFacts | Gate> =>
  Effect.gen(function*() {
    const ledger = yield* LedgerFacts
    const gate = yield* Gate
    const before = yield* gate.inspect(campaignId)
    const facts = yield* ledger.facts(campaignId)
    const after = yield* gate.inspect(campaignId)
    if (facts === undefined) return []
    const gateStates = options.gateHere ? { before, after } : undefined
    const observation: Violations.Observation = { ledger: facts, gate: gateStates }
    return [{ observation, violations: Violations.violationsOf(observation, options.limits) }]
  })

const allIds: Stream.Stream<CampaignId, LedgerUnavailable, LedgerFacts> = Stream.paginateChunkEffect(0, (afterId) =>
  Effect.gen(function*() {
    const ids = yield* Effect.flatMap(LedgerFacts, (ledger) => ledger.campaignIds(afterId, PAGE))
    return [Chunk.fromIterable(ids), ids.length < PAGE ? Option.none<number>() : Option.some(ids.at(-1)!)] as const
  }))

/**
 * Verifies every campaign, or every one of `only`, by ascending id, one after another, so that claims keep the stores'
 * capacity.
 */
export const findings = (
  options: { readonly limits: Violations.Limits; readonly gateHere: boolean },
  only?: ReadonlySet<CampaignId>
): Stream.Stream<Finding, LedgerUnavailable | GateUnavailable, LedgerFacts | Gate> =>
  (only === undefined ? allIds : Stream.fromIterable([...only].sort((a, b) => a - b))).pipe(
    // One campaign may take seconds: each finding is emitted as soon as it is known.
    Stream.rechunk(1),
    Stream.mapEffect((campaignId) => findingOf(campaignId, options)),
    Stream.flattenIterables
  )
