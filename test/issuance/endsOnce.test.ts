import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as AppConfig from "../../src/config/AppConfig.ts"
import type { CampaignId } from "../../src/domain/Campaign.ts"
import type { Coupon } from "../../src/domain/Coupon.ts"
import { Gate, GateUnavailable } from "../../src/ports/Gate.ts"
import * as Issuance from "../../src/UseCases.ts"
import { admissionLimit } from "../../src/metrics/RequestMetrics.ts"
import { IssueCoupon } from "../../src/claim/IssueCoupon.ts"
import { Startup, type UseCases } from "../../src/rpc/Startup.ts"
import * as EventStream from "../../src/ports/EventStream.ts"
import * as MemoryGate from "../../src/memory/MemoryGate.ts"
import { routes } from "../../src/rpc/CouponRoutes.ts"
import * as Dispatcher from "../../src/rpc/dispatch/Dispatcher.ts"
import { inLongProfile } from "../support/profile.ts"
import { echo } from "../transport/Stub.ts"
import { claim } from "./claim.ts"
import * as TestLedgerLayer from "./TestLedger.ts"
import { type Fate, TestLedger } from "./TestLedger.ts"

/** One click: whose, when, and with which timeout of its own. Milliseconds. */
interface Click {
  readonly user: number
  readonly at: number
  readonly timeout: number | undefined
  /** A caller of `claim` that leaves at that time, rather than one of `begin` by the dispatcher. */
  readonly leavesAfter: number | undefined
}

/** What happens to one campaign: its clicks, and the stores meanwhile. */
interface Sequence {
  readonly clicks: ReadonlyArray<Click>
  readonly limit: number
  readonly status: "ACTIVE" | "PAUSED" | "ENDED"
  /** How each batch of the campaign ends, in turn, and how long the ledger takes for it. */
  readonly batches: ReadonlyArray<{ readonly fate: Fate; readonly millis: number }>
  /** How each question to the gate ends, in turn. */
  readonly gate: ReadonlyArray<{ readonly answers: boolean; readonly millis: number }>
}

/** The shortest that the configuration takes. */
const REQUEST_MILLIS = 100
const SEQUENCES = inLongProfile(2_000, 500)
/** That many run at a time: they share the process, as claims do, and nothing else. */
const AT_A_TIME = 50
/** So often others are drawn while an answer is missing, as it may be where a busy machine is late. */
const DRAWS = 8

const click = fc.record({
  user: fc.integer({ min: 1, max: 3 }),
  at: fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 0, max: 4 }) }, fc.integer({ min: 0, max: 140 })),
  timeout: fc.option(fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 140 })), {
    nil: undefined,
    freq: 2
  }),
  leavesAfter: fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, fc.integer({ min: 0, max: 60 }))
})

/** Mostly quick, at times longer than a claim may take. */
const delay = fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 0, max: 10 }) }, fc.integer({ min: 0, max: 200 }))

const sequences = (gateFails: boolean) =>
  fc.record({
    clicks: fc.array(click, { minLength: 2, maxLength: 10 }),
    limit: fc.oneof({ weight: 3, arbitrary: fc.constant(100) }, fc.integer({ min: 1, max: 2 })),
    status: fc.oneof(
      { weight: 8, arbitrary: fc.constant("ACTIVE" as const) },
      fc.constantFrom("PAUSED" as const, "ENDED" as const)
    ),
    batches: fc.array(
      fc.record({
        fate: fc.oneof(
          { weight: 4, arbitrary: fc.constant<Fate>("commit") },
          fc.constantFrom<Fate>("doubtCommitted", "doubtLost", "unavailable")
        ),
        millis: delay
      }),
      { minLength: 4, maxLength: 12 }
    ),
    gate: fc.array(
      fc.record({
        answers: gateFails ? fc.boolean() : fc.constant(true),
        millis: fc.oneof({ weight: 12, arbitrary: fc.integer({ min: 0, max: 2 }) }, delay)
      }),
      { minLength: 4, maxLength: 12 }
    )
  })

/** What became of a click. */
interface ClickOutcome {
  readonly user: number
  /** The tag of each answer, `OK`, or `LEFT`; exactly one if all is well. */
  readonly answers: Array<string>
  readonly codes: Array<string>
}

/** The same script for every campaign, from its own sequence. */
interface Script {
  readonly sequence: Sequence
  batches: number
  questions: number
  readonly outcomes: Array<ClickOutcome>
  /** Fibers that claims asked for. */
  forks: number
  /** Batches that held a user of whom no click was open any more. */
  readonly late: Array<number>
}

/** A script of no clicks, whose batches take this long. */
const quiet = (millis: number): Script => ({
  sequence: {
    clicks: [],
    limit: 1,
    status: "ACTIVE",
    batches: [{ fate: "commit", millis }],
    gate: [{ answers: true, millis: 0 }]
  },
  batches: 0,
  questions: 0,
  outcomes: [],
  forks: 0,
  late: []
})

const issueCoupon = routes.find(({ method }) => method.name === "IssueCoupon")!

/** After these a user may hold a coupon; after any others it is a broken promise (invariant I6). */
const MAY_HOLD = new Set(["OK", "CouponAlreadyClaimed", "OutcomeUnknown", "DeadlineExceeded", "LEFT"])

const pause = (millis: number) => Effect.sleep(`${millis} millis`)

/** The gate in memory, slowed and silenced by each campaign's script. */
const scriptedGate = (scripts: Map<CampaignId, Script>) =>
  Layer.map(MemoryGate.layer, (context) => context).pipe(
    Layer.project(Gate, Gate, (gate) => ({
      ...gate,
      reserve: (campaignId, requests) => {
        const script = scripts.get(campaignId)
        if (script === undefined) return gate.reserve(campaignId, requests)
        const { answers, millis } = script.sequence.gate[script.questions++ % script.sequence.gate.length]!
        const answer = answers
          ? gate.reserve(campaignId, requests)
          : Effect.fail(new GateUnavailable({ cause: "scripted" }))
        return millis === 0 ? answer : Effect.zipRight(pause(millis), answer)
      }
    }))
  )

const world = (scripts: Map<CampaignId, Script>) =>
  Issuance.layer.pipe(
    Layer.provideMerge(Layer.mergeAll(scriptedGate(scripts), EventStream.layerOff, TestLedgerLayer.layer)),
    Layer.provideMerge(AppConfig.layerTest({
      RELAY_INTERVAL: "10 seconds",
      REAPER_INTERVAL: "60 seconds",
      AUDIT_INTERVAL: "60 seconds",
      REQUEST_TIMEOUT: `${REQUEST_MILLIS} millis`,
      COLD_WAIT: "40 millis",
      // Both ways past the gate occur.
      GATE_BYPASS_AFTER: "3",
      LATENCY_TARGET: "1 second",
      MAX_IN_FLIGHT: "5000"
    })),
    Layer.orDie
  )

const play = (gateFails: boolean, seed: number, seen: Set<string>) =>
  Effect.gen(function*() {
    const scripts = new Map<CampaignId, Script>()
    const all = fc.sample(sequences(gateFails), { numRuns: SEQUENCES, seed })
    yield* Effect.gen(function*() {
      const ledger = yield* TestLedger
      const gate = yield* Gate
      const useCase = yield* IssueCoupon

      ledger.onIssue = ({ campaignId, claims }) => {
        const script = scripts.get(campaignId)
        if (script === undefined) return Effect.succeed("commit")
        const { clicks } = script.sequence
        for (const { userId } of claims) {
          const isOpen = script.outcomes.some(({ answers, user }) => BigInt(user) === userId && answers.length === 0)
          if (!isOpen && clicks.length > 0) script.late.push(Number(userId))
        }
        const { fate, millis } = script.sequence.batches[script.batches++ % script.sequence.batches.length]!
        return millis === 0 ? Effect.succeed(fate) : Effect.as(pause(millis), fate)
      }

      const recorded: UseCases = {
        ...echo,
        issueCoupon: {
          begin: (request, { done, fork }) =>
            useCase.begin(request, {
              done,
              fork: (work) => {
                scripts.get(request.campaignId)!.forks++
                fork(work)
              }
            }),
          claim: useCase.claim
        }
      }
      const startup = Layer.succeed(Startup, { current: () => recorded, waitingFor: () => [] })
      const dispatcher = yield* Effect.provide(Dispatcher.make, startup)
      const client = dispatcher.clientOf({ headers: {}, socket: { remoteAddress: "127.0.0.1" } } as never)
      const bare = {
        route: issueCoupon,
        timeoutMillis: undefined,
        authorization: undefined,
        traceparent: undefined,
        metadata: undefined,
        client,
        // A claim without a key asks neither for anything.
        request: undefined as never,
        response: undefined as never
      }

      /** Runs a click to its first answer; a second one is noted too, whenever it comes. */
      const click = (campaignId: CampaignId, script: Script, { at, leavesAfter, timeout, user }: Click) =>
        Effect.suspend(() => {
          const outcome: ClickOutcome = { user, answers: [], codes: [] }
          const note = (tag: string, code?: string) => {
            outcome.answers.push(tag)
            if (code !== undefined) outcome.codes.push(code)
          }
          script.outcomes.push(outcome)
          if (leavesAfter !== undefined) {
            // The claim goes on without its caller, so it counts as open for good.
            return Effect.ignore(
              Effect.timeoutOption(Effect.disconnect(claim(campaignId, user, timeout)), `${leavesAfter} millis`)
            )
          }
          return Effect.async<void>((resume) => {
            const ended = (tag: string, code?: string) => {
              note(tag, code)
              resume(Effect.void)
            }
            dispatcher.dispatch({
              ...bare,
              input: { campaignId, userId: BigInt(user) },
              timeoutMillis: timeout,
              answered: (coupon) => ended("OK", (coupon as Coupon).code),
              failed: (failure) => {
                const code = failure?._tag === "CouponAlreadyClaimed" ? failure.coupon.code : undefined
                ended(failure?._tag ?? "Defect", code)
              }
            })
          })
        }).pipe(Effect.delay(`${at} millis`))

      const run = (sequence: Sequence) =>
        Effect.gen(function*() {
          const campaign = ledger.addCampaign({ couponLimit: sequence.limit, status: sequence.status })
          const { campaignId } = campaign
          // A gate that is open: nothing has to wait for its rebuild.
          yield* gate.hydrateBegin(campaign, "open", 1_000)
          yield* gate.hydrateEnd(campaignId, "open", 0)
          const script: Script = { ...quiet(0), sequence, outcomes: [], late: [] }
          scripts.set(campaignId, script)
          yield* Effect.forEach(sequence.clicks, (of) => click(campaignId, script, of), {
            concurrency: "unbounded",
            discard: true
          })
        })
      yield* Effect.forEach(all, run, { concurrency: AT_A_TIME, discard: true })

      // Timers run in the order of their time: when a follower's whole REQUEST_TIMEOUT has passed, so has that of all
      // before it.
      const last = ledger.addCampaign()
      scripts.set(last.campaignId, quiet(3 * REQUEST_MILLIS))
      yield* Effect.all([Effect.exit(claim(last.campaignId, 1)), Effect.exit(claim(last.campaignId, 1))], {
        concurrency: "unbounded"
      })

      expect(dispatcher.inFlight()).toBe(0)
      // As many as the limit grants one client, no more and no less: admission counted every end once.
      const from = ledger.addCampaign().campaignId
      scripts.set(from, quiet(0))
      const silent = { answered: () => {}, failed: () => {} }
      let granted = 0
      while (dispatcher.admits(issueCoupon, client) && granted < 10_000) {
        dispatcher.dispatch({ ...bare, ...silent, input: { campaignId: from, userId: BigInt(++granted) } })
      }
      // A client's share: eight times what is free (`Admission`).
      expect(granted).toBe(Math.floor((8 * admissionLimit.value()) / 9) + 1)
      yield* Effect.repeat(Effect.sync(dispatcher.inFlight), {
        schedule: Schedule.spaced("5 millis"),
        until: (left) => left === 0
      })
    }).pipe(
      Effect.zipRight(Effect.map(TestLedger, (ledger) => judge(scripts, ledger, gateFails, seen))),
      Effect.provide(world(scripts)),
      Effect.scoped,
      Effect.flatMap((verdict) => Effect.sync(verdict))
    )
  })

/** Reads the books once the world is closed, which waits for every commit. */
const judge = (
  scripts: Map<CampaignId, Script>,
  ledger: TestLedger["Type"],
  gateFails: boolean,
  seen: Set<string>
) =>
() => {
  for (const [campaignId, { forks, late, sequence, outcomes }] of scripts) {
    if (sequence.clicks.length === 0) continue
    const context = JSON.stringify({ sequence, outcomes })
    const coupons = ledger.coupons(campaignId)
    expect(late, `users who were claimed for after their last answer: ${context}`).toEqual([])
    if (!gateFails) expect(forks, `fibers: ${context}`).toBe(0)
    for (const user of new Set(outcomes.map((of) => of.user))) {
      const own = outcomes.filter((of) => of.user === user)
      const coupon = coupons.find(({ userId }) => userId === BigInt(user))
      const clicked = own.filter(({ answers }) => answers.length > 0)
      const left = sequence.clicks.filter((of) => of.user === user && of.leavesAfter !== undefined).length
      expect(clicked, `every click but those that left was answered: ${context}`).toHaveLength(own.length - left)
      for (const { answers } of clicked) {
        expect(answers, `exactly one answer: ${context}`).toHaveLength(1)
        seen.add(answers[0]!)
      }
      const answers = own.flatMap((of) => of.answers)
      expect(answers.filter((tag) => tag === "OK").length, `one OK a user: ${context}`).toBeLessThanOrEqual(1)
      for (const code of own.flatMap((of) => of.codes)) expect(code, context).toBe(coupon?.code)
      if (coupon !== undefined && left === 0) {
        expect(answers.some((tag) => MAY_HOLD.has(tag)), `a coupon of which no answer spoke: ${context}`).toBe(true)
      }
    }
  }
  expect([...seen]).not.toContain("Defect")
}

/** A schedule that never draws one of these proves nothing about it. */
const EXPECTED = [
  "OK", "CouponAlreadyClaimed", "OutcomeUnknown", "DeadlineExceeded", "Unavailable", "CampaignEnded",
  "CampaignPaused", "CouponSoldOut"
]

describe("a claim ends exactly once", () => {
  it.live.each([["a gate that answers", false], ["a gate that fails at times", true]] as const)(
    `over ${SEQUENCES} interleavings of clicks, timeouts and outages, with %s`,
    ([, gateFails]) =>
      Effect.gen(function*() {
        const seen = new Set<string>()
        for (let draw = 0; draw < DRAWS && !EXPECTED.every((answer) => seen.has(answer)); draw++) {
          yield* play(gateFails, Math.floor(Math.random() * 2 ** 31), seen)
        }
        expect([...seen].sort()).toEqual(expect.arrayContaining(EXPECTED))
      })
  )
})
