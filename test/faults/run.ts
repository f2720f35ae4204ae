import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { makeLoad, tally } from "../e2e/load.ts"
import { type EventReaders, startEventReaders, webhookSettings } from "./events/EventReaders.ts"
import type { Treatment } from "./events/Receivers.ts"
import type { Attempt } from "../invariants/History.ts"
import { query, type DatabaseKind } from "../support/privateServers.ts"
import { askAgain, startClients } from "./Clients.ts"
import type { Deadlocks } from "./Deadlocks.ts"
import { watchGate } from "./GateWatch.ts"
import { inject, InstanceLost, resourcesOf, type Scene } from "./inject.ts"
import { fill, openClaims, shortestHistory, startSampling, verdict } from "./judge.ts"
import { openWornCampaign, startRig, startServers, until, type Rig } from "./Rig.ts"
import { startOperator } from "./Operator.ts"
import { schedule, type Fault, type FaultKind } from "./Schedule.ts"
import { startTills } from "./Tills.ts"
import { startValidityChanges } from "./Validities.ts"

/** What to run. */
export interface RunOptions {
  readonly seed: number
  /** Length of the load with faults. */
  readonly seconds: number
  readonly database: DatabaseKind
  readonly say: (line: string) => void
  /**
   * The least number of OKs under faults for the run to prove anything; unless given, 1,000, or in proportion in a
   * short run.
   */
  readonly leastOks?: number
  /**
   * How long recovery, each new user's coupon and rest may take, in milliseconds; unless given, what the protocol
   * promises: 12 s.
   */
  readonly patienceMillis?: number
  /** Pause between the starts of two faults, on average; unless given, the schedule's own. */
  readonly everyMillis?: number
  /** Clients under faults; 40 unless given. */
  readonly clients?: number
}

/** What a run showed. */
export interface RunResult {
  readonly seed: number
  readonly seconds: number
  readonly database: DatabaseKind
  /** Claims that clients made. */
  readonly claims: number
  readonly answers: Readonly<Record<string, number>>
  /** Faults that came about, by kind. */
  readonly fired: Readonly<Partial<Record<FaultKind, number>>>
  /** In-doubt commits whose coupons turned out to exist, and those that were forbidden in time. */
  readonly inDoubt: { readonly issued: number; readonly notIssued: number }
  /** Changes of a campaign that were attempted, and those that were acknowledged. */
  readonly changes: { readonly attempted: number; readonly acknowledged: number }
  /** Requests of tills and of operators who revoke, and the slots that these have returned. */
  readonly redemptions: { readonly requests: number; readonly returned: number }
  /** Reservations whose life was watched (G7), looks at gate and ledger during the faults (G1, G2). */
  readonly watched: { readonly reservations: number; readonly samples: number }
  /** Requests to failing receivers, events that came to receivers, and streams that brought events to watchers. */
  readonly events: {
    readonly treated: Readonly<Record<Treatment, number>>
    readonly received: number
    readonly streams: number
  }
  /** Deadlocks in the database, which end nothing but cost an attempt each. */
  readonly deadlocks: Deadlocks
  /** From the end of the last fault until every instance had given a definite answer. */
  readonly recoveryMillis: number
  /** What was wrong; empty: the run passed. */
  readonly violations: ReadonlyArray<string>
  /** Where the history of a failed run is. */
  readonly historyFile: string | undefined
}

/**
 * One instance always asks the gate, one goes past it whenever it can, and one after a while: all three together, in
 * every run.
 */
const NODES = ["0", "5", "50"].map((after) => ({ ...webhookSettings, GATE_BYPASS_AFTER: after }))
const CLIENTS = 40

/** Attempts to have an in-doubt commit resolved each way, after the planned ones. */
const DOUBT_ATTEMPTS = 8

/** Of the patience with recovery: events reach their receivers within 15 s where a claim has its answer within 12. */
const DELIVERY_SHARE = 15 / 12

/** Users of a worn campaign, before the run. */
const FIRST_EARLIER_USER = 500_000_000

/**
 * The limits of fresh campaigns, and one that is long since under way, so that a rebuild takes many pages. Few clients
 * leave more to the fill phase, so their campaigns are smaller.
 */
const sizesOf = (seconds: number, clients: number) => {
  if (seconds >= 30) return { limits: [12_000, 4_000, 400, 200], worn: { limit: 100_000, taken: 94_000 } }
  return clients < CLIENTS
    ? { limits: [2_000, 500, 200, 100], worn: { limit: 8_000, taken: 7_000 } }
    : { limits: [3_000, 1_000, 200, 100], worn: { limit: 20_000, taken: 18_000 } }
}

const campaignsOf = (seconds: number, clients: number) => ({
  ...sizesOf(seconds, clients),
  // The smallest sell out early: what is said then is checked under faults too.
  weights: [25, 20, 15, 15, 25],
  /** Paused, resumed and raised all the time. */
  changing: { limit: seconds >= 30 ? 600 : 200, step: 40, weight: 20 }
})

const show = ({ answeredAt, askedAt, campaignId, code, instance, outcome, userId }: Attempt, start: number): string => {
  const seconds = (at: number) => ((at - start) / 1_000).toFixed(3)
  return `${seconds(askedAt)} to ${seconds(answeredAt)} s  campaign ${campaignId}  user ${userId}  ${instance}  ` +
    `${outcome}${code === undefined ? "" : ` ${code}`}`
}

/** In-doubt commits by how they were resolved, from what the instances logged. */
const doubts = (rig: Rig) => {
  const counts = { issued: 0, notIssued: 0 }
  for (const node of rig.nodes) {
    for (const line of node.logs().split("\n")) {
      if (!line.includes("the commit in doubt is resolved")) continue
      const { annotations } = JSON.parse(line) as {
        readonly annotations: { readonly issued: number; readonly notIssued: number }
      }
      if (annotations.issued > 0) counts.issued++
      if (annotations.notIssued > 0) counts.notIssued++
    }
  }
  return counts
}

/** R5: the limit is what it was at first, and what was returned. */
const limitViolations = async (rig: Rig, campaignId: number, limit: number): Promise<ReadonlyArray<string>> => {
  const [row] = await query(rig.databaseUrl, `SELECT coupon_limit, returned FROM campaigns WHERE id = ${campaignId}`)
  const [now, returned] = [Number(row!["coupon_limit"]), Number(row!["returned"])]
  return now === limit + returned
    ? []
    : [`R5 campaign ${campaignId}: the limit is ${now}, it was ${limit} and ${returned} slots were returned`]
}

/** Does every fault in its time, and waits where two would undo one another. Resolves when all are over. */
const carryOut = async (
  scene: Scene,
  faults: ReadonlyArray<Fault>,
  done: (fault: Fault, came: boolean) => void,
  begin: (fault: Fault) => void
) => {
  const start = performance.now()
  const busy = new Set<string>()
  const one = async (fault: Fault) => {
    await pause(Math.max(0, fault.at - (performance.now() - start)))
    const needs = resourcesOf(fault)
    await until(() => needs.every((need) => !busy.has(need)), 120_000)
    for (const need of needs) busy.add(need)
    begin(fault)
    try {
      done(fault, await inject(scene, fault))
    } catch (error) {
      // E.g. a foreign session that another fault ended: the fault has not come about as planned.
      scene.rig.redis.resume()
      done(fault, false)
      if (
        error instanceof InstanceLost ||
        !/ECONN|closed|EPIPE|not running|ER_|ETIMEDOUT|Too many|Can't add|did not answer/i.test(String(error))
      ) throw error
    } finally {
      for (const need of needs) busy.delete(need)
    }
  }
  await Promise.all(faults.map(one))
}

/** One run: load and faults, then healing, the fill phase, and the verdict. */
export const run = async (
  { clients: clientCount = CLIENTS, database, everyMillis, leastOks, patienceMillis = 12_000, say, seconds, seed }:
    RunOptions
): Promise<RunResult> => {
  const needed = leastOks ?? Math.min(1_000, 40 * seconds)
  const plan = schedule(seed, seconds, NODES.length, everyMillis)
  const servers = await startServers(database)
  const rig = await startRig(servers, { nodes: NODES, preload: ["jumpyClock.ts"] }).catch(async (error: unknown) => {
    await servers.stop()
    throw error
  })
  const load = makeLoad()
  const watch = watchGate(rig.redis.port)
  const violations: Array<string> = []
  const fired: Partial<Record<FaultKind, number>> = {}
  let failed = true
  let historyFile: string | undefined
  let readers: EventReaders | undefined
  try {
    const { changing, limits, weights, worn } = campaignsOf(seconds, clientCount)
    const wornId = await openWornCampaign(rig.databaseUrl, worn.limit, worn.taken, FIRST_EARLIER_USER)
    const fresh = await Promise.all(limits.map((limit, k) =>
      // One of them hands out own codes.
      k === 1 ? load.openPool(rig.urls()[0]!, limit) : load.openCampaign(rig.urls()[0]!, limit)))
    const changingId = await load.openCampaign(rig.urls()[0]!, changing.limit)
    const campaignIds = [...fresh, wornId, changingId]
    const earlier = await query(
      rig.databaseUrl,
      `SELECT user_id AS userId, code FROM coupons WHERE campaign_id = ${wornId}`
    )
    const past = earlier.map((row): Attempt => ({
      askedAt: 0,
      answeredAt: 0,
      campaignId: wornId,
      userId: String(row["userId"]),
      instance: "before the run",
      outcome: "OK",
      code: String(row["code"])
    }))
    const served = { databaseUrl: () => rig.databaseUrl, urls: rig.urls }
    readers = await startEventReaders(served, campaignIds, [...fresh.slice(2), changingId], seed)
    const start = performance.timeOrigin + performance.now()
    const demands = campaignIds.map((campaignId, k) => ({ campaignId, weight: weights[k] ?? changing.weight }))
    const clients = startClients(load, rig.urls, demands, clientCount, seed)
    const operator = startOperator(rig.urls, changingId, changing.step, seed)
    const tilled = fresh.map((campaignId, k) => ({ campaignId, limit: limits[k]!, returns: k >= 2 }))
    const tills = startTills(rig.urls, load.history, tilled, seed)
    // Its limit is neither changed nor raised by returned slots.
    const expiringId = fresh[0]!
    const validities = startValidityChanges(rig.urls, expiringId, seed)
    const sampler = startSampling(rig.stores, [...fresh, changingId])
    const scene: Scene = { rig, clients, campaignIds, readers, violation: (text) => violations.push(text) }
    const since = () => `${((performance.timeOrigin + performance.now() - start) / 1_000).toFixed(2).padStart(6)} s`

    const noted = (fault: Fault, came: boolean) => {
      if (came) fired[fault.kind] = (fired[fault.kind] ?? 0) + 1
      if (fault.kind === "loseTail") sampler.lost()
      say(`${since()}  ${came ? "over" : "came to nothing"}: ${fault.kind}`)
    }
    const begun = (fault: Fault) => {
      if (fault.kind === "loseTail") sampler.losing()
    }
    await carryOut(scene, plan, noted, begun)
    await pause(Math.max(0, seconds * 1_000 - (performance.timeOrigin + performance.now() - start)))
    // What found nothing to act on gets another chance; a doubt each way is part of every run.
    for (const kind of new Set(plan.map((fault) => fault.kind))) {
      for (let attempt = 0; fired[kind] === undefined && attempt < 3; attempt++) {
        await carryOut(scene, [{ ...plan.find((fault) => fault.kind === kind)!, at: 0 }], noted, begun)
      }
      if (fired[kind] === undefined) violations.push(`harness: ${kind} never came about`)
    }
    for (let attempt = 0; attempt < DOUBT_ATTEMPTS; attempt++) {
      const { issued, notIssued } = doubts(rig)
      if (issued > 0 && notIssued > 0) break
      const node = attempt % NODES.length
      const kind = issued === 0 ? "replyLost" : "lateDelivery"
      await carryOut(scene, [{ kind, node, at: 0, millis: 150, store: "sql" }], noted, begun)
      await until(() => doubts(rig)[kind === "replyLost" ? "issued" : "notIssued"] > 0, 2_000)
    }

    const healedAt = performance.now()
    for (const [k, url] of rig.urls().entries()) {
      let answer = await load.claim(url, { campaignId: wornId, userId: 800_000_000 + k })
      while (askAgain(answer) && performance.now() - healedAt < patienceMillis) {
        await pause(20)
        answer = await load.claim(url, { campaignId: wornId, userId: 800_000_000 + k })
      }
      if (askAgain(answer)) {
        violations.push(
          `recovery: instance ${k} still said ${answer.outcome} ${patienceMillis} ms after the last fault`
        )
      }
    }
    const recoveryMillis = Math.round(performance.now() - healedAt)
    const changes = await operator.stop()
    const validityChanges = await validities.stop()
    await clients.stop()
    const { attempts: redemptions, open, returns } = await tills.stop()
    if (open.length > 0) violations.push(`recovery: request ${open[0]} has no answer for good (${open.length} in all)`)
    violations.push(...await sampler.stop())
    const claims = load.history.length
    const answers = tally(load.history)
    say(`${since()}  healed; filling up with new users`)
    violations.push(...await fill(load, rig.urls(), campaignIds, { patienceMillis }))
    say(`${since()}  full; checking`)
    const history = [...past, ...load.history]
    const allChanges = [...changes, ...returns]
    const checked = { watch, changes: allChanges, redemptions, restMillis: patienceMillis }
    violations.push(...await verdict(rig.stores, history, checked))
    for (const { campaignId, limit } of tilled) violations.push(...await limitViolations(rig, campaignId, limit))
    violations.push(...await openClaims(rig.urls(), patienceMillis))
    violations.push(...await readers.violations(patienceMillis * DELIVERY_SHARE))

    const inDoubt = doubts(rig)
    if ((answers["OK"] ?? 0) < needed) violations.push(`harness: only ${answers["OK"] ?? 0} OKs, fewer than ${needed}`)
    const acknowledged = (kind: string) =>
      changes.filter((change) => change.kind === kind && change.outcome === "OK").length
    for (const kind of ["pause", "resume", "raise"]) {
      if (acknowledged(kind) === 0) violations.push(`harness: no ${kind} was acknowledged`)
    }
    for (const action of ["REDEEM", "UNDO", "REVOKE"]) {
      const done = redemptions.some((of) => of.action === action && of.outcome === "OK")
      if (!done) violations.push(`harness: no ${action} was acknowledged`)
    }
    if (returns.length === 0) violations.push("harness: no slot was returned")
    if (validityChanges < 2) violations.push("harness: no validity was changed")
    if (!redemptions.some((of) => of.campaignId === expiringId && of.outcome === "COUPON_EXPIRED")) {
      violations.push("harness: no coupon had expired when a till came")
    }
    if (inDoubt.issued === 0) violations.push("harness: no in-doubt commit turned out to have happened")
    if (inDoubt.notIssued === 0) violations.push("harness: no in-doubt commit was forbidden in time")
    if (sampler.samples() === 0) violations.push("harness: gate and ledger were never looked at together")
    if (watch.reservations() === 0) violations.push("harness: no reservation was watched")
    const events = { treated: readers.treated(), ...readers.counts() }
    if (events.received === 0) violations.push("harness: no event came to a receiver")
    if (events.streams < 2 * campaignIds.length) violations.push(`harness: watchers had ${events.streams} streams`)
    failed = violations.length > 0
    if (failed) {
      historyFile = keep(seed, load.history, rig)
      for (const violation of violations.slice(0, 10)) {
        say(`  ${violation}`)
        for (const attempt of shortestHistory(violation, history)) say(`      ${show(attempt, start)}`)
      }
      say(`  the whole history and the instances' logs: ${historyFile}`)
    }
    return {
      seed,
      seconds,
      database,
      claims,
      answers,
      fired,
      inDoubt,
      redemptions: {
        requests: new Set(redemptions.map(({ requestId }) => requestId)).size,
        returned: returns.length
      },
      changes: { attempted: changes.length, acknowledged: changes.filter(({ outcome }) => outcome === "OK").length },
      watched: { reservations: watch.reservations(), samples: sampler.samples() },
      events,
      deadlocks: servers.deadlocks(),
      recoveryMillis,
      violations,
      historyFile
    }
  } finally {
    if (failed && historyFile === undefined) {
      say(`  the history so far and the instances' logs: ${keep(seed, load.history, rig)}`)
    }
    watch.stop()
    load.close()
    await readers?.stop()
    await rig.stop()
    await servers.stop()
  }
}

/** Writes the history, a JSON object a line, and the instances' logs to a directory that stays. */
const keep = (seed: number, history: ReadonlyArray<Attempt>, rig: Rig): string => {
  const dir = Fs.mkdtempSync(Path.join(Os.tmpdir(), `coupon-faults-seed-${seed}-`))
  const file = Path.join(dir, "history.jsonl")
  Fs.writeFileSync(file, history.map((attempt) => `${JSON.stringify(attempt)}\n`).join(""))
  for (const node of rig.nodes) Fs.writeFileSync(Path.join(dir, `instance-${node.index}.log`), node.logs())
  return file
}
