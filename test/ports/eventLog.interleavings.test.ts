import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { afterAll, describe, expect } from "vitest"
import { named } from "../../src/domain/Actor.ts"
import { type CampaignSettings, settingsOf } from "../../src/domain/Campaign.ts"
import * as AppConfig from "../../src/config/AppConfig.ts"
import { EventLog } from "../../src/ports/EventLog.ts"
import { Ledger } from "../../src/ports/Ledger.ts"
import { Redemptions } from "../../src/ports/Redemptions.ts"
import type { EventCandidate } from "../../src/sql/events/EventCandidates.ts"
import { appendStatements, findCandidates } from "../../src/sql/events/SqlEventLog.ts"
import * as LibSql from "../../src/sql/libsql/LibSql.ts"
import * as LibSqlCampaignStore from "../../src/sql/libsql/LibSqlCampaignStore.ts"
import * as LibSqlEventLog from "../../src/sql/libsql/LibSqlEventLog.ts"
import * as LibSqlLedger from "../../src/sql/libsql/LibSqlLedger.ts"
import * as LibSqlRedemptions from "../../src/sql/libsql/LibSqlRedemptions.ts"
import { makeStatements } from "../../src/sql/libsql/Statements.ts"
import { inLongProfile } from "../support/profile.ts"
import { makeRandom } from "../faults/Random.ts"
import { batchId, batchOf, campaigns, createCampaign, draft, users } from "./ledger.exercise.ts"
import { item } from "./redemptions.exercise.ts"

const directory = mkdtempSync(Path.join(tmpdir(), "coupon-interleavings-"))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const world = Layer.mergeAll(
  LibSqlCampaignStore.layer, LibSqlLedger.layer, LibSqlEventLog.layer, LibSqlRedemptions.layer
).pipe(
  Layer.provideMerge(LibSql.layer),
  Layer.provide(AppConfig.layerTest({ DATA_DIR: directory }))
)

const RELAYS = 3
const STEPS = 60
const SEQUENCES = inLongProfile(60, 20)
const PAST = Date.UTC(2025, 5, 26)

/** A relay between its steps: the rows that it took, and then what it found the log to lack. */
interface Relay {
  readonly taken: ReadonlyArray<string>
  readonly candidates: ReadonlyArray<EventCandidate> | undefined
}

/**
 * One campaign, whose relays read and commit whenever it suits them, or die in between. `withOlder`: relays of a
 * program without logs settle events, too. Returns what the log says, and what was committed, in short, and what
 * was redeemed and undone, which the log has in the same order.
 */
const play = (seed: number, withOlder: boolean) =>
  Effect.gen(function*() {
    const driver = yield* LibSql.LibSqlDriver
    const ledger = yield* Ledger
    const log = yield* EventLog
    const redemptions = yield* Redemptions
    const { read } = makeStatements(driver)
    const random = makeRandom(seed)
    const below = (n: number) => random.integer(0, n - 1)
    const dialect = { text: LibSqlEventLog.eventLogDialect(driver), time: Number }
    const { campaignId } = yield* createCampaign(draft({ couponLimit: 6 }))
    const committed: Array<string> = ["v1"]
    const redeemed: Array<string> = []
    const relays: Array<Relay | undefined> = Array.from({ length: RELAYS }, () => undefined)
    let issued = 0

    const issue = Effect.gen(function*() {
      const verdicts = yield* ledger.issue(batchOf(campaignId, users(1 + committed.length * 10, 1 + below(3))))
      const { couponLimit } = (yield* campaigns.find(campaignId))!
      for (const { _tag } of verdicts) if (_tag === "Issued") committed.push(`#${++issued}`)
      if (verdicts.some(({ _tag }) => _tag === "Issued") && issued === couponLimit) committed.push("sold out")
    })

    const change = Effect.gen(function*() {
      const from = (yield* campaigns.find(campaignId))!
      const changes: ReadonlyArray<Partial<CampaignSettings>> = [
        { name: `name ${committed.length}` },
        { couponLimit: Math.max(1, issued) },
        { couponLimit: issued + 1 + below(9) },
        { couponLimit: issued + 1 + below(9) },
        { status: "PAUSED" },
        { status: "ACTIVE" },
        { endTime: PAST },
        { endTime: undefined },
        { status: "ACTIVE", endTime: undefined, couponLimit: issued + 5 }
      ]
      const to = { ...settingsOf(from), ...changes[below(changes.length)]! }
      const key = { changeId: batchId(), actor: named("test"), action: "campaign.update" }
      expect((yield* campaigns.change({ ...key, from, to }))._tag).toBe("Changed")
      committed.push(`v${from.version + 1}`)
      if (to.couponLimit !== from.couponLimit && to.couponLimit === issued) committed.push("sold out")
      if (to.endTime !== undefined && from.endTime === undefined) committed.push("over")
    })

    /** Some coupons, of which some are redeemed already, or not yet, and so are refused. */
    const redeem = Effect.gen(function*() {
      const action = below(3) === 0 ? "UNDO" : "REDEEM"
      const coupons = Array.from({ length: issued }, (_, k) => k + 1).filter(() => below(2) === 0)
      const items = coupons.map((couponId) => item(couponId, { action }))
      const answers = yield* redemptions.commit({ batchId: batchId(), campaignId, items })
      for (const answer of answers) {
        if (answer._tag === "Done") redeemed.push(`${action} #${answer.redemption.couponId}`)
      }
    })

    const waiting = Effect.map(
      read(`SELECT batch_id FROM outbox WHERE kind <> 'VOID' AND campaign_id = ${campaignId}`),
      (rows) => rows.map((row) => String(row.batch_id))
    )
    const settle = (ids: ReadonlyArray<string>) =>
      `DELETE FROM outbox WHERE batch_id IN (${ids.map((id) => `'${id}'`).join(",")})`

    /** The next step of a relay, as `Outbox.poll` makes it. */
    const relay = Effect.gen(function*() {
      const k = below(RELAYS)
      const { candidates, taken } = relays[k] ?? { taken: undefined, candidates: undefined }
      if (taken === undefined) relays[k] = { taken: yield* waiting, candidates: undefined }
      else if (candidates === undefined) {
        const found = yield* findCandidates(dialect, { read, settled: new Set() }, [campaignId])
        relays[k] = { taken, candidates: found }
      } else {
        const statements = [
          ...appendStatements(candidates, dialect.text, LibSqlEventLog.lockHeads(driver)),
          // Of those that it took some are settled, and some are left for later.
          settle(taken.filter(() => below(4) > 0))
        ]
        yield* Effect.promise(() => driver.batch(statements, "write"))
        relays[k] = undefined
      }
    })

    for (let step = 0; step < STEPS; step++) {
      const die = below(40)
      if (die < 7) yield* issue
      else if (die < 10) yield* redeem
      else if (die < 16) yield* change
      else if (die < 34) yield* relay
      else if (die < 37) relays[below(RELAYS)] = undefined
      else if (die < 39) yield* log.append([campaignId])
      else if (withOlder) yield* read(settle(yield* waiting))
    }
    yield* log.append([campaignId])
    const events = yield* log.read(campaignId, 0, 1_000)
    expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, k) => k + 1))
    expect(yield* log.head(campaignId)).toBe(events.length)
    const types = { "coupon.redeemed": "REDEEM", "coupon.redemption_undone": "UNDO" } as Record<string, string>
    const acts = events.filter(({ type }) => type in types)
    for (const { payload, sequence } of acts) {
      const coupon = events.find(({ lastNumber }) => lastNumber >= Number(payload["number"]))
      expect(coupon!.sequence).toBeLessThan(sequence)
    }
    expect(acts.map(({ payload, type }) => `${types[type]} #${String(payload["number"])}`)).toEqual(redeemed)
    const logged = events.filter(({ type }) => !(type in types)).flatMap(({ firstNumber, lastNumber, payload, type }) =>
      type === "coupon.issued"
        ? Array.from({ length: lastNumber - firstNumber + 1 }, (_, k) => `#${firstNumber + k}`)
        : type === "campaign.sold_out"
        ? ["sold out"]
        : type === "campaign.ended" && !("changed" in payload)
        ? ["over"]
        : [`v${String(payload.version)}`]
    )
    return { logged, committed, redeemed }
  })

describe("the event log, with relays that stop anywhere", () => {
  it.live(`has what was committed, once, in that order, in ${SEQUENCES} interleavings`, () =>
    Effect.gen(function*() {
      let acts = 0
      for (let k = 0; k < SEQUENCES; k++) {
        const seed = Math.floor(Math.random() * 2 ** 31)
        const { committed, logged, redeemed } = yield* play(seed, false)
        expect({ seed, logged }).toEqual({ seed, logged: committed })
        acts += redeemed.length
      }
      expect(acts).toBeGreaterThan(SEQUENCES)
    }).pipe(Effect.provide(world)), 120_000)

  it.live(`has each coupon and change once, in ${SEQUENCES} interleavings with relays of an older program`, () =>
    Effect.gen(function*() {
      for (let k = 0; k < SEQUENCES; k++) {
        const seed = Math.floor(Math.random() * 2 ** 31)
        const { committed, logged } = yield* play(seed, true)
        // Where a change stands among the coupons is known by time alone, which has milliseconds here.
        for (const kind of ["#", "v"]) {
          const of = (all: ReadonlyArray<string>) => all.filter((text) => text.startsWith(kind))
          expect({ seed, logged: of(logged) }).toEqual({ seed, logged: of(committed) })
        }
      }
    }).pipe(Effect.provide(world)), 120_000)
})
