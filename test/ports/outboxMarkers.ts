import { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import { expect } from "vitest"
import { named } from "../../src/domain/Actor.ts"
import { isMarker, type Marker } from "../../src/sql/text/OutboxMarkers.ts"
import { batchId, campaigns, createCampaign, draft } from "./ledger.exercise.ts"

/** A creation, a change and a forbidden change each leave a marker of their own kind. `key`: an id as a literal. */
export const expectMarkers = (key: (id: string) => string) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const markersOf = (id: string) =>
      Effect.filter(
        ["CREATED", "CHANGED", "VOID"] satisfies ReadonlyArray<Marker>,
        (marker) =>
          Effect.map(
            sql.unsafe(`SELECT 1 FROM outbox WHERE batch_id = ${key(id)} AND ${isMarker(marker)}`),
            ({ length }) => length === 1
          )
      )
    const [created, changed, forbidden] = [batchId(), batchId(), batchId()] as const
    const from = yield* createCampaign(draft(), { changeId: created })
    const to = { ...from, name: "renamed" }
    yield* campaigns.change({ changeId: changed, actor: named("test"), action: "campaign.update", from, to })
    yield* campaigns.resolveChange(forbidden)
    expect(yield* markersOf(created)).toEqual(["CREATED"])
    expect(yield* markersOf(changed)).toEqual(["CHANGED"])
    expect(yield* markersOf(forbidden)).toEqual(["VOID"])
    // Resolving what was done leaves its marker as it is.
    yield* campaigns.resolveChange(created)
    expect(yield* markersOf(created)).toEqual(["CREATED"])
  })
