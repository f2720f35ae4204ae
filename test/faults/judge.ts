import { setTimeout as pause } from "node:timers/promises"
import type { LoadGenerator } from "../e2e/load.ts"
import type { Change } from "../invariants/Changes.ts"
import type { Attempt } from "../invariants/History.ts"
import {
  checkInvariants,
  lagViolations,
  logRestViolations,
  restViolations,
  subsetViolations
} from "../invariants/invariants.ts"
import type { RedemptionAttempt } from "../invariants/Redemptions.ts"
import { openStores, type Stores } from "../invariants/Snapshot.ts"
import { askAgain } from "./Clients.ts"
import type { GateWatch } from "./GateWatch.ts"

/** Users of the fill phase begin here: no run has used them before. */
const FIRST_NEWCOMER = 900_000_000

/**
 * I7: new users claim until every campaign is sold out. Returns what no new user could get within `patienceMillis`.
 */
export const fill = async (
  load: LoadGenerator,
  urls: ReadonlyArray<string>,
  campaignIds: ReadonlyArray<number>,
  options: { readonly concurrency?: number; readonly patienceMillis: number }
): Promise<ReadonlyArray<string>> => {
  const patience = options.patienceMillis
  const stuck = new Map<number, string>()
  let user = FIRST_NEWCOMER
  const worker = async (campaignId: number, turn: number) => {
    for (;; turn++) {
      const userId = user++
      const end = performance.now() + patience
      let answer = await load.claim(urls[turn % urls.length]!, { campaignId, userId })
      for (let retry = 1; askAgain(answer); retry++) {
        if (performance.now() > end || stuck.has(campaignId)) {
          stuck.set(
            campaignId,
            `I7 campaign ${campaignId}: user ${userId} is new and received ${answer.outcome} for ${patience} ms`
          )
          return
        }
        await pause(30)
        answer = await load.claim(urls[(turn + retry) % urls.length]!, { campaignId, userId })
      }
      // A retry after an open answer may find its own coupon; sold out ends the campaign, anything else its worker.
      if (answer.outcome !== "OK" && answer.outcome !== "COUPON_ALREADY_CLAIMED") return
    }
  }
  await Promise.all(
    campaignIds.flatMap((campaignId) =>
      Array.from({ length: options.concurrency ?? 12 }, (_, k) => worker(campaignId, k))
    )
  )
  return [...stuck.values()]
}

/**
 * Violations by the names of the protocol's table, each one line; empty if all is well. Gate and outbox may need
 * `restMillis` to agree.
 */
export const verdict = async (
  stores: Stores,
  history: ReadonlyArray<Attempt>,
  options: {
    readonly watch?: GateWatch
    readonly restMillis: number
    readonly changes?: ReadonlyArray<Change>
    readonly redemptions?: ReadonlyArray<RedemptionAttempt>
  }
): Promise<ReadonlyArray<string>> => {
  const unrest = await rest(stores, options.restMillis)
  return [
    ...await check(stores, history, options.changes ?? [], options.redemptions),
    ...unrest,
    ...options.watch === undefined ? [] : [...options.watch.violations(), ...await strangers(stores, options.watch)]
  ]
}

/** Everything but what holds only at rest. */
const check = async (
  stores: Stores,
  history: ReadonlyArray<Attempt>,
  changes: ReadonlyArray<Change>,
  redemptions: ReadonlyArray<RedemptionAttempt> | undefined
): Promise<ReadonlyArray<string>> => {
  try {
    await checkInvariants(stores, history, { atRest: false, changes, redemptions })
    return []
  } catch (error) {
    const [first, ...lines] = (error as Error).message.split("\n")
    if (first !== "invariants are violated:") throw error
    return lines.map((line) => line.trim())
  }
}

/** Waits until nothing is under way any more; what still is after so long. */
const rest = async (stores: Stores, millis: number): Promise<ReadonlyArray<string>> => {
  const reader = await openStores(stores)
  try {
    const end = performance.now() + millis
    const unrest: Array<string> = []
    for (const campaignId of await reader.campaignIds()) {
      for (;;) {
        const ledger = await reader.ledger(campaignId)
        const open = [
          ...restViolations(
            await reader.gate?.(campaignId),
            ledger,
            "eventStream" in stores ? stores.eventStream : undefined
          ),
          ...logRestViolations(ledger)
        ]
        if (open.length === 0) break
        if (performance.now() > end) {
          unrest.push(...open.map((text) => `${text}, ${millis / 1_000} s after the last request`))
          break
        }
        await pause(50)
      }
    }
    return unrest
  } finally {
    await reader.close()
  }
}

/**
 * I11: a claim ends exactly once, so at rest none is counted as under way. Names each instance whose gauge is not back
 * to zero in `millis`.
 */
export const openClaims = async (urls: ReadonlyArray<string>, millis: number): Promise<ReadonlyArray<string>> => {
  const end = performance.now() + millis
  const open = async (url: string): Promise<ReadonlyArray<string>> => {
    for (;;) {
      const metrics = await fetch(`${url}/metrics`).then((reply) => reply.text(), () => undefined)
      // An instance that was killed has no claim under way.
      if (metrics === undefined) return []
      const gauge = /^coupon_requests_in_flight (\S+)$/m.exec(metrics)?.[1]
      if (gauge === "0") return []
      if (performance.now() > end) return [`I11 instance ${url}: coupon_requests_in_flight is ${gauge} at rest`]
      await pause(50)
    }
  }
  return (await Promise.all(urls.map(open))).flat()
}

/** G1 over the whole run: who ever joined an issued set holds a coupon. */
const strangers = async (stores: Stores, watch: GateWatch): Promise<ReadonlyArray<string>> => {
  const reader = await openStores(stores)
  try {
    const found: Array<string> = []
    for (const campaignId of await reader.campaignIds()) {
      const holders = new Set((await reader.ledger(campaignId)).coupons.map(({ userId }) => userId))
      const ghosts = [...watch.joined(campaignId)].filter((userId) => !holders.has(userId))
      if (ghosts.length > 0) {
        const all = `${ghosts.length} in all`
        found.push(`G1 campaign ${campaignId}: user ${ghosts[0]} joined the issued set without a coupon (${all})`)
      }
    }
    return found
  } finally {
    await reader.close()
  }
}

/** G1 and G2 while faults are going on, by looking again and again. */
export interface Sampler {
  /** From now on Redis may lose its tail, at any moment until `lost`: no lag is judged meanwhile. */
  readonly losing: () => void
  /** From now on a campaign's gate may lag behind its ledger until it was seen not to: it lost its tail. */
  readonly lost: () => void
  readonly samples: () => number
  /** Resolves with all violations. */
  readonly stop: () => Promise<ReadonlyArray<string>>
}

const SAMPLE_MILLIS = 300

/** Starts looking at these campaigns in turn. What cannot be read because a store is away is skipped. */
export const startSampling = (stores: Stores, campaignIds: ReadonlyArray<number>): Sampler => {
  const violations: Array<string> = []
  let excused = new Set<number>()
  let losses = 0
  let isLosing = false
  let samples = 0
  let stopping = false
  const look = async (campaignId: number) => {
    const reader = await openStores(stores)
    try {
      const lossesBefore = losses
      const gate = await reader.gate!(campaignId)
      const ledger = await reader.ledger(campaignId)
      const later = await reader.gate!(campaignId)
      samples++
      violations.push(...subsetViolations(gate, ledger))
      const lag = lagViolations(later, ledger)
      if (lossesBefore !== losses || isLosing) return
      if (lag.length > 0 && !excused.has(campaignId)) {
        violations.push(...lag.map((text) => `${text} (during the faults)`))
      }
      if (lag.length === 0 && later.hydrated) excused.delete(campaignId)
    } finally {
      await reader.close()
    }
  }
  const done = (async () => {
    for (let turn = 0; !stopping; turn++) {
      await Promise.race([look(campaignIds[turn % campaignIds.length]!).catch(() => {}), pause(3_000)])
      await pause(SAMPLE_MILLIS)
    }
  })()
  return {
    losing: () => {
      losses++
      isLosing = true
    },
    lost: () => {
      losses++
      isLosing = false
      excused = new Set(campaignIds)
    },
    samples: () => samples,
    stop: async () => {
      stopping = true
      await done
      return violations
    }
  }
}

/** The claims that a violation is about: of its user, or the last of its campaign. */
export const shortestHistory = (violation: string, history: ReadonlyArray<Attempt>): ReadonlyArray<Attempt> => {
  const campaignId = Number(/campaign (\d+)/.exec(violation)?.[1])
  const userId = /users?(?: [a-z]+)* (\d+)/.exec(violation)?.[1] ?? /: (\d+)/.exec(violation)?.[1]
  const ofCampaign = history.filter((attempt) => attempt.campaignId === campaignId)
  const ofUser = ofCampaign.filter((attempt) => attempt.userId === userId)
  return ofUser.length > 0 ? ofUser : ofCampaign.slice(-10)
}
