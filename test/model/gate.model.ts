import * as fc from "fast-check"
import * as Effect from "effect/Effect"
import { expect } from "vitest"
import type { CampaignId, CampaignTerms } from "../../src/domain/Campaign.ts"
import type { Coupon, UserId } from "../../src/domain/Coupon.ts"
import type { Gate, GateUnavailable, ReserveAnswer } from "../../src/ports/Gate.ts"

/**
 * A gate next to a ledger of a few lines, and all that works on them: claims, relay, two hydrators, reconciler, reaper.
 * What is one step here is one step of the real thing: whatever reads in one store and writes in another takes two, so
 * that any other step may fall between.
 */

/** What the test sees of a gate beside the port, where it can. */
export interface Spy {
  readonly look: (campaignId: CampaignId) => Promise<{
    readonly members: ReadonlySet<UserId>
    readonly pending: ReadonlyMap<UserId, string>
    readonly hydrated: boolean
  }>
  /** Remembers the campaign as it is; the result brings it back, as a failover to a replica that lagged would. */
  readonly snapshot: (campaignId: CampaignId) => Promise<() => Promise<void>>
}

const USERS: ReadonlyArray<UserId> = [1n, 2n, 3n, 4n, 9_223_372_036_854_775_806n, 9_223_372_036_854_775_807n]
const PAGE = 2
const LONG = 60_000

export type Step =
  | { readonly op: "request"; readonly users: ReadonlyArray<number> }
  | { readonly op: "hydrator"; readonly which: 0 | 1; readonly lease: number; readonly times: number }
  | {
    readonly op:
      | "repeat" | "commit" | "fail" | "failLate" | "deliverLate" | "bypass" | "confirm" | "settle" | "flush"
            | "reconcile"
            | "reap" | "snapshot" | "loseTail" | "raise" | "lower"
    readonly pick: number
  }

const pick = fc.nat({ max: 11 })
const step = (op: Exclude<Step["op"], "request" | "hydrator">, weight: number) => ({
  weight,
  arbitrary: fc.record({ op: fc.constant(op), pick }) as fc.Arbitrary<Step>
})

/** A hydration from begin to end on an empty ledger. */
const warmUp: Step = { op: "hydrator", which: 0, lease: LONG, times: 8 }

const anySteps: fc.Arbitrary<ReadonlyArray<Step>> = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        op: fc.constant("request" as const),
        users: fc.array(fc.nat({ max: USERS.length - 1 }), { minLength: 1, maxLength: 3 })
      })
    },
    {
      weight: 10,
      arbitrary: fc.record({
        op: fc.constant("hydrator" as const),
        which: fc.constantFrom(0 as const, 0 as const, 1 as const),
        lease: fc.constantFrom(LONG, LONG, 0),
        // A hydration takes five steps and more: one by one it would seldom come to an end.
        times: fc.constantFrom(1, 1, 2, 8)
      })
    },
    step("commit", 6),
    step("confirm", 5),
    step("settle", 4),
    step("repeat", 2),
    step("fail", 2),
    step("failLate", 2),
    step("deliverLate", 2),
    step("bypass", 2),
    step("flush", 1),
    step("reconcile", 4),
    step("reap", 2),
    step("snapshot", 1),
    step("loseTail", 1),
    step("raise", 3),
    step("lower", 1)
  ),
  { minLength: 1, maxLength: 40, size: "max" }
)

/** Sequences that get somewhere: hydration and claims often, disasters now and then, most on a gate that is warm. */
export const steps: fc.Arbitrary<ReadonlyArray<Step>> = fc.tuple(fc.nat({ max: 3 }), anySteps).map(([cold, sequence]) =>
  cold === 0 ? sequence : [warmUp, ...sequence]
)

interface Attempt {
  readonly userId: UserId
  readonly nonce: string
  readonly value: string
  /** No loss, no sweep and no confirmation of the user since: the gate must still hold it (G7). */
  sound: boolean
}

interface Outboxed {
  readonly coupon: Coupon | undefined
  readonly terms: CampaignTerms | undefined
  published: boolean
}

interface Hydrator {
  state:
    | { readonly at: "idle" }
    | { readonly at: "begin"; readonly terms: CampaignTerms }
    | { readonly at: "terms" | "read"; readonly token: string; readonly cursor: number }
    | { readonly at: "chunk"; readonly token: string; readonly cursor: number; readonly page: ReadonlyArray<Coupon> }
    | { readonly at: "end"; readonly token: string; readonly cursor: number }
}

const run = <A>(effect: Effect.Effect<A, GateUnavailable>): Promise<A> => Effect.runPromise(effect)

const at = <A>(items: ReadonlyArray<A>, index: number): A | undefined => items[index % Math.max(1, items.length)]

/** Runs one sequence on a campaign of its own, checking the invariants after every step, then heals it. */
export const play = async (
  gate: Gate["Type"],
  spy: Spy | undefined,
  campaignId: CampaignId,
  sequence: ReadonlyArray<Step>
) => {
  const ledger = new Map<UserId, Coupon>()
  let terms: CampaignTerms = {
    campaignId,
    couponLimit: 3,
    status: "ACTIVE",
    startTime: Date.now() - LONG,
    endTime: undefined,
    version: 1
  }
  let attempts: Array<Attempt> = []
  let late: Array<Attempt> = []
  let outbox: Array<Outboxed> = []
  const hydrators: ReadonlyArray<Hydrator> = [{ state: { at: "idle" } }, { state: { at: "idle" } }]
  let view: { readonly issued: number; readonly unrelayed: number; readonly version: number } | undefined
  /**
   * A raise under way: the limit, the version that it raises, and whether the gate has it. In the ledger from its first
   * step on.
   */
  let raise: { readonly couponLimit: number; readonly version: number; readonly sentToGate: boolean } | undefined
  /** The highest limit announced for this version. */
  let announced = 0
  let expired: ReadonlyArray<{ readonly userId: UserId; readonly value: string }> = []
  let restore: (() => Promise<void>) | undefined
  /** The gate fell back to an earlier moment and this was not noticed yet: G2 is suspended until it is. */
  let tailLost = false
  /** It fell back to terms that may be older than a raise, likewise. */
  let termsLost = false
  /** Nothing happened yet that may admit more than the limit. */
  let exact = true
  let serial = 0
  const fresh = () => `t-${campaignId}-${++serial}`

  const unsettledUsers = () =>
    new Set(outbox.flatMap((event) => event.coupon === undefined ? [] : [event.coupon.userId]))
  /** What the ledger tells a rebuild. */
  const gateTerms = (): CampaignTerms => ({ ...terms, couponLimit: Math.max(terms.couponLimit, announced) })

  const change = (next: Partial<CampaignTerms>) => {
    terms = { ...terms, ...next, version: terms.version + 1 }
    announced = 0
    outbox.push({ coupon: undefined, terms, published: false })
  }

  const lose = () => {
    for (const attempt of attempts) attempt.sound = false
    exact = false
  }

  const issue = (userId: UserId) => {
    if (ledger.has(userId) || ledger.size >= terms.couponLimit) return
    const coupon: Coupon = {
      campaignId,
      id: ledger.size + 1,
      userId,
      code: `C${ledger.size + 1}`,
      issuedAt: terms.startTime
    }
    ledger.set(userId, coupon)
    outbox.push({ coupon, terms: undefined, published: false })
  }

  const judge = (userId: UserId, answer: ReserveAnswer) => {
    switch (answer._tag) {
      case "Already":
        return expect(ledger.has(userId), "G1: Already means the ledger has it").toBe(true)
      case "SoldOut":
        if (termsLost) return
        expect(ledger.has(userId), "I8b: a holder never receives sold out").toBe(false)
        expect(ledger.size, "I8: sold out is a fact, also while limits change").toBe(terms.couponLimit)
        return
      case "Reserved":
      case "Pending":
      case "Full":
      case "Cold":
        return
      default:
        throw new Error(`an open campaign answered ${answer._tag}`)
    }
  }

  const request = async (users: ReadonlyArray<UserId>) => {
    const requests = users.map((userId) => ({ userId, nonce: fresh() }))
    const answers = await run(gate.reserve(campaignId, requests))
    answers.forEach((answer, k) => {
      const { nonce, userId } = requests[k]!
      judge(userId, answer)
      if (answer._tag === "Reserved") attempts.push({ userId, nonce, value: answer.value, sound: true })
    })
    return answers
  }

  const settleAttempt = (attempt: Attempt) => {
    attempts = attempts.filter((other) => other !== attempt)
  }

  const confirm = async (coupon: Coupon) => {
    await run(gate.confirm(campaignId, [coupon]))
    for (const attempt of attempts) if (attempt.userId === coupon.userId) attempt.sound = false
  }

  const configure = async (of: CampaignTerms) => {
    await run(gate.configure(of))
    if (of.version === terms.version && of.couponLimit === gateTerms().couponLimit) termsLost = false
  }

  const publish = async (event: Outboxed) => {
    if (event.coupon !== undefined) await confirm(event.coupon)
    if (event.terms !== undefined) await configure(event.terms)
    event.published = true
  }

  const advance = async (hydrator: Hydrator, lease: number) => {
    const state = hydrator.state
    switch (state.at) {
      case "idle":
        hydrator.state = { at: "begin", terms: gateTerms() }
        return
      case "begin": {
        const token = fresh()
        const grant = await run(gate.hydrateBegin(state.terms, token, lease))
        if (grant === "Granted") tailLost = false
        hydrator.state = grant === "Granted" ? { at: "terms", token, cursor: 0 } : { at: "idle" }
        return
      }
      case "terms":
        // The terms were read before the generation began: a change that was published between found a gate without one
        // and is gone. So they are read again, now that a change is heard.
        await configure(gateTerms())
        hydrator.state = { ...state, at: "read" }
        return
      case "read": {
        const page = Array.from(ledger.values()).filter((coupon) => coupon.id > state.cursor).slice(0, PAGE)
        hydrator.state = page.length === 0 ? { ...state, at: "end" } : { ...state, at: "chunk", page }
        return
      }
      case "chunk": {
        const done = await run(gate.hydrateChunk(campaignId, state.token, state.cursor, state.page))
        hydrator.state = done ? { at: "read", token: state.token, cursor: state.page.at(-1)!.id } : { at: "idle" }
        return
      }
      case "end":
        await run(gate.hydrateEnd(campaignId, state.token, state.cursor))
        hydrator.state = { at: "idle" }
    }
  }

  const sweep = async () => {
    for (const { userId, value } of expired) {
      const coupon = ledger.get(userId)
      if (coupon !== undefined) {
        await confirm(coupon)
      } else {
        await run(gate.release(campaignId, [{ userId, value }]))
        for (const attempt of attempts) if (attempt.value === value) attempt.sound = false
        exact = false
      }
    }
    expired = []
  }

  const judgeReconcile = async () => {
    const state = await run(gate.inspect(campaignId))
    expect(state.issued, "G1 by the reconciler's count").toBeLessThanOrEqual(ledger.size)
    const isShort = view !== undefined && state.issued < view.issued - view.unrelayed
    if (isShort && state.generation !== undefined && state.hydrated) {
      expect(tailLost, "the reconciler suspects a gate that lost nothing").toBe(true)
      if (await run(gate.cold(campaignId, state.generation))) tailLost = false
    } else if (view !== undefined && state.hydrated && state.version < view.version) {
      await configure(gateTerms())
      expect((await run(gate.inspect(campaignId))).version, "the reconciler brings the terms").toBe(terms.version)
    }
    view = undefined
  }

  const take = async (step: Step) => {
    switch (step.op) {
      case "request":
        return await request(step.users.map((k) => USERS[k]!))
      case "hydrator":
        for (let k = 0; k < step.times; k++) {
          await advance(hydrators[step.which]!, step.lease)
          if (hydrators[step.which]!.state.at === "idle") return
        }
        return
      case "repeat": {
        const attempt = at(attempts, step.pick)
        if (attempt === undefined) return
        const [answer] = await run(gate.reserve(campaignId, [attempt]))
        judge(attempt.userId, answer!)
        if (attempt.sound && answer!._tag !== "Cold") {
          expect(answer, "G7: the same nonce gets the same answer").toEqual({ _tag: "Reserved", value: attempt.value })
        } else if (answer!._tag === "Reserved" && answer!.value !== attempt.value) {
          // Lost, and reserved anew: the client goes on with the new value.
          settleAttempt(attempt)
          attempts.push({ ...attempt, value: answer!.value, sound: true })
        }
        return
      }
      case "commit": {
        const attempt = at(attempts, step.pick)
        if (attempt === undefined) return
        settleAttempt(attempt)
        const before = ledger.size
        issue(attempt.userId)
        if (!ledger.has(attempt.userId)) await run(gate.release(campaignId, [attempt]))
        else if (ledger.size === before && !unsettledUsers().has(attempt.userId)) {
          await run(gate.release(campaignId, [attempt]))
        }
        return
      }
      case "fail": {
        const attempt = at(attempts, step.pick)
        if (attempt === undefined) return
        settleAttempt(attempt)
        return await run(gate.release(campaignId, [attempt]))
      }
      case "failLate": {
        const attempt = at(attempts, step.pick)
        if (attempt === undefined) return
        settleAttempt(attempt)
        late.push(attempt)
        return
      }
      case "deliverLate": {
        const attempt = at(late, step.pick)
        if (attempt === undefined) return
        // Delivered, and perhaps once more later.
        if (step.pick % 2 === 0) late = late.filter((other) => other !== attempt)
        return await run(gate.release(campaignId, [attempt]))
      }
      case "bypass":
        // Redis is down for one instance, which goes to the ledger alone.
        exact = false
        return issue(at(USERS, step.pick)!)
      case "confirm": {
        const event = at(outbox, step.pick)
        return event === undefined ? undefined : await publish(event)
      }
      case "settle": {
        const event = at(outbox.filter((event) => event.published), step.pick)
        outbox = outbox.filter((other) => other !== event)
        return
      }
      case "flush":
        tailLost = false
        termsLost = false
        lose()
        return await run(gate.forget(campaignId))
      case "reconcile":
        if (view !== undefined) return await judgeReconcile()
        view = { issued: ledger.size, unrelayed: unsettledUsers().size, version: terms.version }
        return
      case "reap":
        if (expired.length > 0) return await sweep()
        expired = await run(gate.expired(campaignId, 0, 10))
        return
      case "snapshot":
        restore = await spy?.snapshot(campaignId)
        return
      case "loseTail":
        if (restore === undefined) return
        await restore()
        restore = undefined
        tailLost = true
        termsLost = true
        return lose()
      case "raise": {
        // Each in its turn, and anything between: announced in the ledger, sent to the gate, made in the ledger.
        if (raise === undefined) {
          const couponLimit = terms.couponLimit + 1
          if (couponLimit > 5) return
          announced = Math.max(announced, couponLimit)
          raise = { couponLimit, version: terms.version, sentToGate: false }
        } else if (!raise.sentToGate) {
          const { couponLimit, version } = raise
          // What the changer read when it began, whatever the campaign is by now.
          if (version === terms.version) await configure({ ...terms, couponLimit: Math.max(couponLimit, announced) })
          else await run(gate.configure({ ...terms, couponLimit, version }))
          raise = { ...raise, sentToGate: true }
        } else {
          if (raise.version === terms.version) change({ couponLimit: raise.couponLimit })
          raise = undefined
        }
        return
      }
      case "lower": {
        const couponLimit = terms.couponLimit - 1
        if (couponLimit < Math.max(1, ledger.size)) return
        change({ couponLimit })
        exact = false
      }
    }
  }

  const verify = async () => {
    const [definite, sight] = await Promise.all([run(gate.check(campaignId, USERS)), spy?.look(campaignId)])
    USERS.forEach((userId, k) => {
      if (definite[k] && !termsLost) expect(ledger.has(userId), "I8b: check is never true for a holder").toBe(false)
    })
    if (sight === undefined) return
    const { hydrated, members, pending } = sight
    for (const userId of members) expect(ledger.has(userId), `G1: ${userId} is in the ledger`).toBe(true)
    if (hydrated && !tailLost) {
      const unsettled = unsettledUsers()
      for (const userId of ledger.keys()) {
        if (!unsettled.has(userId)) expect(members.has(userId), `G2: the gate knows ${userId}`).toBe(true)
      }
    }
    for (const attempt of attempts) {
      if (attempt.sound) {
        expect(pending.get(attempt.userId), "G7: a live reservation keeps its value").toBe(attempt.value)
      }
    }
    if (exact) {
      expect(members.size + pending.size, "admitted at most the limit").toBeLessThanOrEqual(gateTerms().couponLimit)
    }
  }

  /** All of them finish: then the gate equals the ledger (I9) and the campaign fills to exactly its limit (I7). */
  const heal = async () => {
    for (const attempt of [...attempts, ...late]) await run(gate.release(campaignId, [attempt]))
    attempts = []
    // A raise that was not finished lets too many through, until the campaign changes again.
    if (announced > terms.couponLimit) change({})
    for (const event of outbox) await publish(event)
    outbox = []
    const reconcile = async () => {
      view = { issued: ledger.size, unrelayed: 0, version: terms.version }
      await judgeReconcile()
    }
    await reconcile()
    for (const hydrator of hydrators) {
      do await advance(hydrator, 0)
      while (hydrator.state.at !== "idle")
    }
    // A gate that fell back to the middle of a hydration is seen to be short only once that hydration has ended.
    await reconcile()
    // One hydrator may have been barred by the lease of the other, which then ended for nothing.
    const state = await run(gate.inspect(campaignId))
    if (!state.hydrated) {
      if (state.generation !== undefined) await run(gate.cold(campaignId, state.generation))
      do await advance(hydrators[0]!, LONG)
      while (hydrators[0]!.state.at !== "idle")
    }
    await verify()
    expired = await run(gate.expired(campaignId, 0, 100))
    await sweep()
    expect(await run(gate.inspect(campaignId)), "I9").toMatchObject({ hydrated: true, issued: ledger.size, pending: 0 })
    const free = terms.couponLimit - ledger.size
    const holders = new Set(ledger.keys())
    const answers = await request(USERS)
    const reserved = answers.filter((answer) => answer._tag === "Reserved")
    expect(reserved.length, "I7: as many as are left").toBe(free)
    USERS.forEach((userId, k) => {
      if (holders.has(userId)) expect(answers[k]!._tag).toBe("Already")
      else if (answers[k]!._tag !== "Reserved") expect(answers[k]!._tag).toBe(free === 0 ? "SoldOut" : "Full")
    })
    for (const attempt of attempts) issue(attempt.userId)
    for (const event of outbox) await publish(event)
    expect(await run(gate.check(campaignId, USERS)), "sold out to all but the holders").toEqual(
      USERS.map((userId) => !ledger.has(userId))
    )
    expect(ledger.size, "I7").toBe(terms.couponLimit)
  }

  try {
    for (const step of sequence) {
      await take(step)
      await verify()
    }
    await heal()
  } finally {
    await run(gate.forget(campaignId))
  }
}
