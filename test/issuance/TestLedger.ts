import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import {
  afterIssueDefaults, type Campaign, type CampaignId, type CampaignSettings, type CampaignTerms
} from "../../src/domain/Campaign.ts"
import { openedAt, type PhaseFacts, phaseOf, type PhaseReached, soldOutAt } from "../../src/domain/CampaignPhase.ts"
import * as ActReason from "../../src/domain/audit/ActReason.ts"
import type { ChangeRecord } from "../../src/domain/ChangeRecord.ts"
import { type Coupon, erasedUser } from "../../src/domain/Coupon.ts"
import { codesText, defaultCodes, sameCodes } from "../../src/domain/codes/CampaignCodes.ts"
import { isLastShare, isSoonGone, PACE_COUPONS } from "../../src/domain/codes/FewCodes.ts"
import { drawCodes } from "../../src/domain/codes/DrawCodes.ts"
import {
  CampaignEnded,
  CampaignNotStarted,
  CampaignPaused,
  CodesExhausted,
  CouponAlreadyClaimed,
  CouponSoldOut,
  RecordNotFound
} from "../../src/domain/Failure.ts"
import { AuditChain } from "../../src/ports/AuditChain.ts"
import { KeyWatch } from "../../src/agents/KeyWatch.ts"
import { type AuditEntry, AuditLog, type AuditRecord } from "../../src/ports/AuditLog.ts"
import {
  type AppendVerdict,
  type ChunkResult,
  type CodeImport,
  CodeImports,
  type EndVerdict,
  type ImportKey,
  type ImportState,
  type StartVerdict
} from "../../src/ports/CodeImports.ts"
import { sort } from "../../src/sql/codes/SqlCodeImports.ts"
import { type CampaignChange, CampaignStore, RequestRepeated } from "../../src/ports/CampaignStore.ts"
import {
  type Claim,
  type ClaimBatch,
  type ClaimVerdict,
  CommitInDoubt,
  Ledger,
  LedgerUnavailable,
  MAX_CAMPAIGNS_LOOKED_AT,
  type ResolvedVerdict
} from "../../src/ports/Ledger.ts"
import { type ErasedCoupon, type Erasure, Erasures } from "../../src/ports/operation/Erasures.ts"
import { erasureAct } from "../../src/sql/text/ErasureText.ts"
import { CampaignPhases } from "../../src/ports/CampaignPhases.ts"
import { type CampaignEvent, EventLog } from "../../src/ports/EventLog.ts"
import { Outbox, type OutboxEvent } from "../../src/ports/Outbox.ts"
import type { Redemption } from "../../src/domain/redemption/Redemption.ts"
import { rulesOfValidity, sameValidity } from "../../src/domain/validity/CouponValidity.ts"
import type { ValidityChange } from "../../src/domain/validity/ValidityHistory.ts"
import { rulesFromText } from "../../src/domain/validity/ZoneRules.ts"
import {
  type CouponStanding, type RedemptionAnswer, type RedemptionBatch, type RedemptionItem, Redemptions, revocationBatch
} from "../../src/ports/Redemptions.ts"
import { changePayload, redemptionEvent } from "../../src/sql/events/EventCandidates.ts"
import { revocationAct } from "../../src/sql/redemptions/RevocationText.ts"
import * as MemoryWebhooks from "../webhooks/MemoryWebhooks.ts"
import { changeAct, creationAct, settingsState } from "../../src/sql/text/CampaignText.ts"

/**
 * How the next `issue` ends: as it should, or in doubt after or without having committed, or refused outright.
 * `firstErased`: the first user of the batch held a coupon at the commit and was erased right after it.
 */
export type Fate = "commit" | "doubtCommitted" | "doubtLost" | "unavailable" | "firstErased"

/** What tests see and set of the ledger in memory. */
export class TestLedger extends Context.Tag("test/TestLedger")<TestLedger, {
  readonly batches: Array<ClaimBatch>
  readonly coupons: (campaignId: CampaignId) => Array<Coupon>
  readonly outbox: Map<string, OutboxEvent>
  /** Runs before each batch is decided: a test holds it, or says how it ends. */
  onIssue: (batch: ClaimBatch) => Effect.Effect<Fate>
  onChange: (change: CampaignChange) => Effect.Effect<Fate>
  readonly redemptionBatches: Array<RedemptionBatch>
  onRedeem: (batch: RedemptionBatch) => Effect.Effect<Fate>
  onErase: (erasure: Erasure) => Effect.Effect<Fate>
  /** Every other operation fails while this is true. */
  down: boolean
  /** Phases that were recorded, in order. */
  readonly phases: (campaignId: CampaignId) => ReadonlyArray<PhaseReached>
  /** What becomes of the next record of a phase; `lost`: another instance was faster. */
  onRecord: () => "commit" | "lost" | "unavailable"
  readonly addCampaign: (terms?: Partial<Campaign>) => Campaign
  /** Changes a campaign as another instance would. */
  readonly change: (campaignId: CampaignId, settings: Partial<Campaign>) => void
  /** Forgets coupons with a greater id, as a restored backup would. */
  readonly restore: (campaignId: CampaignId, lastId: number) => void
  /** The campaign's log, as far as it was appended to. */
  readonly events: (campaignId: CampaignId) => ReadonlyArray<CampaignEvent>
}>() {}

const make = Effect.sync(() => {
  const campaigns = new Map<CampaignId, Campaign>()
  const coupons = new Map<CampaignId, Array<Coupon>>()
  const outbox = new Map<string, OutboxEvent>()
  /** When events were written, by their ids. */
  const writtenAt = new Map<string, number>()
  /** Markers of redemptions: the campaigns whose logs are to get them. */
  const marks = new Map<string, CampaignId>()
  /** What forbids a late commit, and since when. */
  const voided = new Map<string, number>()
  const records: Array<AuditRecord & { readonly changeId: string }> = []
  /** Committed changes, and what they changed. */
  const changes = new Map<string, CampaignId>()
  /** The campaigns that calls with an id have made. */
  const requests = new Map<string, { readonly campaignId: CampaignId; readonly content: string }>()
  const validities = new Map<CampaignId, ReadonlyArray<ValidityChange>>()
  const setValidity = ({ campaignId, validity, version }: Pick<Campaign, "campaignId" | "validity" | "version">) => {
    const text = validity === undefined ? undefined : rulesOfValidity(validity)
    const rules = text === undefined ? undefined : rulesFromText(text)
    const change: ValidityChange = { version, firstId: held(campaignId).length + 1, validity, rules }
    validities.set(campaignId, [...validities.get(campaignId) ?? [], change])
  }
  const held = (campaignId: CampaignId) => coupons.get(campaignId) ?? []
  /** What the table of phases holds. */
  const phaseRecords = new Map<CampaignId, {
    since: number
    limitSince: number
    openedBefore: number | undefined
    dueAt: number | undefined
    readonly log: Array<PhaseReached>
  }>()
  /** What was committed, in order, and how much of it is in the log. */
  const logs = new Map<CampaignId, {
    readonly facts: Array<Omit<CampaignEvent, "campaignId" | "sequence">>
    readonly events: Array<CampaignEvent>
    movedAt: number
    removed: number
    /** The version under which the log has that the end has passed. */
    endedVersion: number
  }>()
  const note = (
    campaignId: CampaignId,
    type: CampaignEvent["type"],
    more: Partial<Pick<CampaignEvent, "firstNumber" | "lastNumber" | "payload" | "at">> = {}
  ) => {
    const { facts } = logs.get(campaignId)!
    facts.push({ type, firstNumber: 0, lastNumber: 0, payload: {}, at: Date.now(), ...more })
  }
  const noteSoldOut = ({ campaignId, couponLimit, version }: Campaign) =>
    note(campaignId, "campaign.sold_out", { payload: { version, couponLimit } })
  /** The end of a campaign passes before whatever comes after it. */
  const noteEnd = ({ campaignId, endTime, status, version }: Campaign) => {
    const log = logs.get(campaignId)!
    if (status === "ENDED" || endTime === undefined || endTime > Date.now() || log.endedVersion >= version) return
    log.endedVersion = version
    note(campaignId, "campaign.ended", {
      payload: { version, endTime: settingsState(campaigns.get(campaignId)!).endTime },
      at: endTime
    })
  }
  const noteChange = (before: Campaign, after: Campaign) => {
    noteEnd(before)
    const { campaignId, couponLimit, status, version } = after
    const type = before.status === status
      ? "campaign.updated"
      : status === "ENDED"
      ? "campaign.ended"
      : status === "PAUSED"
      ? "campaign.paused"
      : "campaign.resumed"
    note(campaignId, type, { payload: changePayload(version, settingsState(after), settingsState(before)) })
    const isOver = ({ endTime = Infinity, status }: Campaign) => status !== "ENDED" && endTime <= Date.now()
    // A change that leaves a campaign over is no second end.
    if (isOver(before) && isOver(after)) logs.get(campaignId)!.endedVersion = version
    if (before.couponLimit !== couponLimit && held(campaignId).length === couponLimit) noteSoldOut(after)
  }
  /** Moves facts to the log; neighbouring ranges become one. Returns the campaigns whose logs moved. */
  const appendTo = (campaignIds: ReadonlyArray<CampaignId>, withEnds: boolean) =>
    [...new Set(campaignIds)].filter((campaignId) => {
      const log = logs.get(campaignId)
      if (log === undefined) return false
      if (withEnds) noteEnd(campaigns.get(campaignId)!)
      const length = log.events.length
      for (const fact of log.facts.splice(0)) {
        const last = log.events.length > length ? log.events.at(-1) : undefined
        if (fact.type === "coupon.issued" && last?.type === "coupon.issued") {
          log.events.splice(-1, 1, { ...last, lastNumber: fact.lastNumber, at: fact.at })
        } else log.events.push({ ...fact, campaignId, sequence: log.removed + log.events.length + 1 })
      }
      if (log.events.length === length) return false
      log.movedAt = Date.now()
      return true
    })
  const headOf = (campaignId: CampaignId) => {
    const log = logs.get(campaignId)
    const sequence = log === undefined ? 0 : log.removed + log.events.length
    return sequence === 0 ? [] : [{ campaignId, sequence, movedAt: log!.movedAt }]
  }
  const factsOf = (campaign: Campaign): PhaseFacts => ({
    ...campaign,
    ...phaseRecords.get(campaign.campaignId)!,
    issuedCount: held(campaign.campaignId).length,
    lastIssuedAt: held(campaign.campaignId)[campaign.couponLimit - 1]?.issuedAt,
    now: Date.now()
  })

  const control: TestLedger["Type"] = {
    batches: [],
    coupons: held,
    outbox,
    onIssue: () => Effect.succeed("commit"),
    onChange: () => Effect.succeed("commit"),
    redemptionBatches: [],
    onRedeem: () => Effect.succeed("commit"),
    onErase: () => Effect.succeed("commit"),
    down: false,
    phases: (campaignId) => phaseRecords.get(campaignId)?.log ?? [],
    onRecord: () => "commit",
    addCampaign: (terms = {}) => {
      const campaign: Campaign = {
        campaignId: campaigns.size + 1,
        name: "test",
        couponLimit: 100,
        announcedLimit: terms.couponLimit ?? 100,
        status: "ACTIVE",
        startTime: 0,
        endTime: undefined,
        version: 1,
        issuedCount: 0,
        returned: 0,
        codes: defaultCodes,
        codeCount: 0,
        ...afterIssueDefaults,
        createdAt: 0,
        // An ended campaign ended just now.
        updatedAt: Date.now(),
        phase: "OPEN",
        openedAt: undefined,
        soldOutAt: undefined,
        readAt: 0,
        ...terms
      }
      const { createdAt } = campaign
      phaseRecords.set(campaign.campaignId, {
        since: createdAt,
        limitSince: createdAt,
        openedBefore: undefined,
        dueAt: Date.now(),
        log: []
      })
      campaigns.set(campaign.campaignId, campaign)
      coupons.set(campaign.campaignId, [])
      if (campaign.validity !== undefined) setValidity(campaign)
      logs.set(campaign.campaignId, { facts: [], events: [], movedAt: 0, removed: 0, endedVersion: 0 })
      note(campaign.campaignId, "campaign.created", {
        payload: changePayload(1, settingsState(campaign), undefined),
        at: campaign.createdAt
      })
      appendTo([campaign.campaignId], false)
      return campaign
    },
    change: (campaignId, settings) => {
      const before = campaigns.get(campaignId)!
      const terms: Campaign = { ...before, ...settings, version: before.version + 1 }
      noteChange(before, terms)
      campaigns.set(campaignId, terms)
      outbox.set(`change ${terms.version}`, { _tag: "Changed", id: `change ${terms.version}`, campaignId, terms })
    },
    restore: (campaignId, lastId) => void coupons.set(campaignId, held(campaignId).slice(0, lastId)),
    events: (campaignId) => logs.get(campaignId)?.events ?? []
  }

  const up = Effect.suspend(() => control.down ? Effect.fail(new LedgerUnavailable({ cause: "test" })) : Effect.void)
  const read = <A>(f: () => A) => Effect.map(up, f)
  const find = (campaignId: CampaignId) => {
    const campaign = campaigns.get(campaignId)
    if (campaign === undefined) return undefined
    const facts = factsOf(campaign)
    return {
      ...campaign,
      issuedCount: facts.issuedCount,
      phase: phaseOf(facts),
      openedAt: openedAt(facts),
      soldOutAt: soldOutAt(facts),
      readAt: facts.now
    }
  }

  const publishing = new Set<string>()

  const forbid = (id: string) => {
    if (!voided.has(id)) voided.set(id, Date.now())
  }

  const emit = (event: OutboxEvent) => {
    outbox.set(event.id, event)
    writtenAt.set(event.id, Date.now())
  }

  const recordAct = ({ changeId, ...entry }: AuditEntry) => {
    if (records.some((record) => record.changeId === changeId)) return
    const { name, reason } = entry.actor
    const actor = {
      ...entry.actor,
      name: Array.from(name).slice(0, 200).join(""),
      reason: reason === undefined ? undefined : ActReason.normalize(reason)
    }
    records.push({ ...entry, changeId, actor, id: records.length + 1, at: Date.now() })
  }

  const termsOf = ({ campaignId, couponLimit, endTime, startTime, status, version }: Campaign): CampaignTerms =>
    ({ campaignId, couponLimit, endTime, startTime, status, version })

  /** The coupons of each batch. */
  const batches = new Map<string, ReadonlySet<number>>()
  /** How many codes pools had when few were left. */
  const lowAt = new Map<CampaignId, number>()
  /** Codes by their numbers, less one; of them the campaign has `codeCount`. */
  const pools = new Map<CampaignId, Array<string>>()
  const poolOf = (campaignId: CampaignId) => pools.get(campaignId) ?? []

  /** The claims of batches whose codes had to be drawn anew. */
  const recoded = new WeakMap<ClaimBatch, ReadonlyArray<Claim>>()
  const claimsOf = (batch: ClaimBatch) => recoded.get(batch) ?? batch.claims

  /**
   * A code is one user's: if another user has one of these, all are drawn again. So are those of a campaign that has no
   * default codes.
   */
  const drawAgain = (batch: ClaimBatch) => {
    const source = campaigns.get(batch.campaignId)?.codes ?? defaultCodes
    if (source._tag === "Pool") return
    const draw = drawCodes(source.format)
    const codes = new Set(held(batch.campaignId).map(({ code }) => code))
    const fresh = batch.claims.filter(({ userId }) =>
      !held(batch.campaignId).some((coupon) => coupon.userId === userId)
    )
    const taken = fresh.some(({ code }) => codes.has(code)) ||
      new Set(fresh.map(({ code }) => code)).size < fresh.length
    if (taken || codesText(source) !== undefined) {
      recoded.set(batch, batch.claims.map(({ userId }) => ({ userId, code: draw() })))
    }
  }

  const decide = (batch: ClaimBatch): ReadonlyArray<ClaimVerdict> => {
    const campaign = campaigns.get(batch.campaignId)
    const issued: Array<Coupon> = []
    const now = Date.now()
    drawAgain(batch)
    const verdicts = claimsOf(batch).map(({ code, userId }): ClaimVerdict => {
      if (campaign === undefined) return { _tag: "Rejected", reason: new RecordNotFound() }
      if (now < campaign.startTime) return { _tag: "Rejected", reason: new CampaignNotStarted() }
      const existing = held(batch.campaignId).find((coupon) => coupon.userId === userId)
      if (existing) return { _tag: "Rejected", reason: new CouponAlreadyClaimed({ coupon: existing }) }
      if (campaign.status === "ENDED" || (campaign.endTime !== undefined && now >= campaign.endTime)) {
        return { _tag: "Rejected", reason: new CampaignEnded() }
      }
      if (campaign.status === "PAUSED") return { _tag: "Rejected", reason: new CampaignPaused() }
      if (held(batch.campaignId).length >= campaign.couponLimit) {
        return { _tag: "Rejected", reason: new CouponSoldOut() }
      }
      const isPool = campaign.codes._tag === "Pool"
      if (isPool && held(batch.campaignId).length >= campaign.codeCount) {
        return { _tag: "Rejected", reason: new CodesExhausted() }
      }
      const coupon = {
        campaignId: batch.campaignId,
        id: held(batch.campaignId).length + 1,
        userId,
        code: isPool ? poolOf(batch.campaignId)[held(batch.campaignId).length]! : code,
        issuedAt: now
      }
      held(batch.campaignId).push(coupon)
      issued.push(coupon)
      return { _tag: "Issued", coupon, validity: validities.get(batch.campaignId)?.at(-1)?.version }
    })
    if (issued.length > 0) {
      batches.set(batch.batchId, new Set(issued.map(({ id }) => id)))
      note(batch.campaignId, "coupon.issued", {
        firstNumber: issued[0]!.id,
        lastNumber: issued.at(-1)!.id,
        at: now
      })
      if (issued.at(-1)!.id === campaign!.couponLimit) noteSoldOut(campaign!)
      const { codeCount, codes } = campaign!
      const all = held(batch.campaignId)
      const left = codeCount - all.length
      const since = Math.max(1, all.length - PACE_COUPONS)
      const isLow = isLastShare(codeCount, all.length) ||
        isSoonGone(left, all.length - since, now - all[since - 1]!.issuedAt)
      if (codes._tag === "Pool" && isLow && lowAt.get(batch.campaignId) !== codeCount) {
        lowAt.set(batch.campaignId, codeCount)
        note(batch.campaignId, "codes.low", { payload: { codeCount, left }, at: now })
      }
      emit({ _tag: "Issued", id: batch.batchId, campaignId: batch.campaignId, coupons: issued })
    }
    return verdicts
  }

  /** Makes a campaign what `to` is, with all that follows from that but the row of the audit log. */
  const applyChange = (campaignId: CampaignId, to: CampaignSettings, changeId: string) => {
    const campaign = find(campaignId)!
    const next: Campaign = {
      ...campaign,
      ...to,
      announcedLimit: to.couponLimit,
      version: campaign.version + 1,
      updatedAt: Date.now()
    }
    const record = phaseRecords.get(campaignId)!
    record.openedBefore = openedAt(factsOf(campaign))
    record.dueAt = Date.now()
    if (
      to.status !== campaign.status || to.startTime !== campaign.startTime || to.endTime !== campaign.endTime
    ) record.since = Date.now()
    if (to.couponLimit !== campaign.couponLimit) record.limitSince = Date.now()
    noteChange(campaigns.get(campaignId)!, next)
    campaigns.set(campaignId, next)
    if (!sameValidity(campaign.validity, to.validity)) setValidity(next)
    changes.set(changeId, campaignId)
    emit({ _tag: "Changed", id: changeId, campaignId, terms: termsOf(next) })
  }

  const store = CampaignStore.of({
    create: ({ actor, changeId, draft, request }) =>
      Effect.flatMap(up, (): Effect.Effect<Campaign, CommitInDoubt | RequestRepeated> => {
        if (request !== undefined && requests.has(request.id)) return Effect.fail(new RequestRepeated())
        if (voided.has(changeId)) return Effect.fail(new CommitInDoubt({ cause: "test" }))
        const now = Date.now()
        const { campaignId } = control.addCampaign({ ...draft, createdAt: now, updatedAt: now })
        voided.set(changeId, now)
        changes.set(changeId, campaignId)
        if (request !== undefined) requests.set(request.id, { campaignId, content: request.content })
        recordAct({ changeId, actor, outcome: "DONE", ...creationAct(draft), campaignId })
        return Effect.succeed(find(campaignId)!)
      }),
    findCreated: (id) =>
      read(() => {
        const made = requests.get(id)
        return made === undefined ? undefined : { campaign: find(made.campaignId)!, content: made.content }
      }),
    find: (campaignId) => read(() => find(campaignId)),
    change: (change) =>
      Effect.gen(function*() {
        yield* up
        const fate = yield* control.onChange(change)
        if (fate === "unavailable") return yield* new LedgerUnavailable({ cause: "test" })
        if (fate === "doubtLost" || voided.has(change.changeId)) return yield* new CommitInDoubt({ cause: "test" })
        const { from: { campaignId, version }, to } = change
        const campaign = find(campaignId)
        if (campaign?.version !== version) return { _tag: "Stale" as const }
        if (campaign.issuedCount > 0 && !sameCodes(campaign.codes, to.codes)) return { _tag: "Stale" as const }
        if (campaign.issuedCount > to.couponLimit) return { _tag: "BelowIssued" as const, issued: campaign.issuedCount }
        applyChange(campaignId, to, change.changeId)
        recordAct({ changeId: change.changeId, actor: change.actor, outcome: "DONE", ...changeAct(change) })
        return fate === "commit"
          ? { _tag: "Changed" as const, campaign: find(campaignId)! }
          : yield* new CommitInDoubt({ cause: "test" })
      }),
    resolveChange: (changeId) =>
      read(() => {
        forbid(changeId)
        const campaignId = changes.get(changeId)
        return campaignId === undefined ? undefined : find(campaignId)
      }),
    announceRaise: (campaignId, version, couponLimit) =>
      read(() => {
        const campaign = campaigns.get(campaignId)
        if (campaign?.version === version) {
          campaigns.set(campaignId, { ...campaign, announcedLimit: Math.max(campaign.announcedLimit, couponLimit) })
        }
      }),
    list: ({ beforeId = Infinity, limit, namePrefix, only, phases, status }) =>
      read(() => {
        const found = [...campaigns.keys()].toReversed().map((id) => find(id)!)
          .filter((of) =>
            of.campaignId < beforeId && (only?.has(of.campaignId) ?? true) && of.name.startsWith(namePrefix) &&
            (status === undefined || of.status === status) &&
            (phases.length === 0 || phases.includes(of.phase))
          )
        return {
          campaigns: found.slice(0, limit),
          nextBeforeId: found.length > limit ? found[limit - 1]!.campaignId : undefined
        }
      }),
    startTimes: (ids) =>
      read(() =>
        ids.flatMap((id) => campaigns.get(id) ?? []).map(({ campaignId, startTime }) => ({ campaignId, startTime }))
      ),
    newestCampaignIds: (limit) => read(() => [...campaigns.keys()].toReversed().slice(0, limit))
  })

  const ledger = Ledger.of({
    issue: (batch) =>
      Effect.gen(function*() {
        if (batch.claims.length === 0) return []
        control.batches.push(batch)
        const fate = yield* control.onIssue(batch)
        if (fate === "unavailable") return yield* new LedgerUnavailable({ cause: "test" })
        if (fate === "doubtLost" || voided.has(batch.batchId)) return yield* new CommitInDoubt({ cause: "test" })
        if (fate === "firstErased") {
          return [{ _tag: "NotIssued" as const }, ...decide({ ...batch, claims: batch.claims.slice(1) })]
        }
        const verdicts = decide(batch)
        return fate === "commit" ? verdicts : yield* new CommitInDoubt({ cause: "test" })
      }),
    resolve: (batch) =>
      read(() => {
        if (batch.claims.length === 0) return []
        forbid(batch.batchId)
        return claimsOf(batch).map(({ code, userId }): ResolvedVerdict => {
          const coupon = held(batch.campaignId).find((coupon) => coupon.userId === userId)
          if (coupon === undefined) return { _tag: "NotIssued" }
          const isOwn = campaigns.get(batch.campaignId)?.codes._tag === "Pool"
            ? batches.get(batch.batchId)?.has(coupon.id) === true
            : coupon.code === code
          return isOwn ? { _tag: "Issued", coupon } : { _tag: "HeldAlready", coupon }
        })
      }),
    findCoupons: (campaignId, userIds) => read(() => held(campaignId).filter(({ userId }) => userIds.includes(userId))),
    listCoupons: (campaignId, afterId, limit) =>
      read(() => held(campaignId).filter(({ id }) => id > afterId).slice(0, limit)),
    couponsAmong: ({ before = Infinity, campaignId, descending, firstId, from = 0, lastId, limit }) =>
      read(() => {
        const found = held(campaignId).filter(({ id, issuedAt }) =>
          id >= firstId && id <= lastId && issuedAt >= from && issuedAt < before)
        return (descending ? found.toReversed() : found).slice(0, limit)
      }),
    couponsOfUser: ({ before = Infinity, descending, from = 0, limit, position, userId }) =>
      read(() => {
        const ids = descending ? [...campaigns.keys()].toReversed() : [...campaigns.keys()]
        const looked = ids
          .filter((id) => position === undefined || (descending ? id < position : id > position))
          .slice(0, MAX_CAMPAIGNS_LOOKED_AT)
        const found = looked.flatMap(held).filter((coupon) =>
          coupon.userId === userId && coupon.issuedAt >= from && coupon.issuedAt < before)
        const last = looked.length < MAX_CAMPAIGNS_LOOKED_AT ? undefined : looked.at(-1)
        return found.length < limit
          ? { coupons: found, next: last }
          : { coupons: found.slice(0, limit), next: found[limit - 1]!.campaignId }
      }),
    findByCode: (campaignId, code) => read(() => held(campaignId).find((coupon) => coupon.code === code)),
    tally: (campaignId) =>
      read(() =>
        campaigns.has(campaignId)
          ? {
            issued: held(campaignId).length,
            version: campaigns.get(campaignId)!.version,
            unrelayed: [...outbox.values()].reduce(
              (sum, event) =>
                event._tag === "Issued" && event.campaignId === campaignId ? sum + event.coupons.length : sum,
              0
            )
          }
          : undefined
      )
  })

  const waiting = (ids: ReadonlyArray<string>) => {
    const now = Date.now()
    return { events: ids.length, oldestAgeMillis: Math.max(0, ...ids.map((id) => now - (writtenAt.get(id) ?? now))) }
  }

  const box = Outbox.of({
    poll: (limit, publish, except = []) =>
      Effect.gen(function*() {
        yield* up
        const events = [...outbox.values()]
          .filter(({ campaignId, id }) => !except.includes(campaignId) && !publishing.has(id))
          .slice(0, limit)
          // Terms are those of the poll.
          .map((event) =>
            event._tag === "Changed" ? { ...event, terms: termsOf(campaigns.get(event.campaignId)!) } : event
          )
        const redeemedNow = [...marks].filter(([, campaignId]) => !except.includes(campaignId))
          .slice(0, limit - events.length)
        for (const [id] of redeemedNow) marks.delete(id)
        const marked = redeemedNow.map(([, campaignId]) => campaignId)
        if (events.length === 0) {
          const taken = marked.length
          return { taken, settled: taken, appended: appendTo([...marked, ...except], false) }
        }
        for (const { id } of events) publishing.add(id)
        const settled = yield* Effect.ensuring(
          publish(events),
          Effect.sync(() => {
            for (const { id } of events) publishing.delete(id)
          })
        )
        for (const id of settled) outbox.delete(id)
        const appended = appendTo([...events.map(({ campaignId }) => campaignId), ...marked, ...except], false)
        return { taken: events.length + marked.length, settled: settled.length + marked.length, appended }
      }),
    backlog: read(() => waiting([...outbox.keys()])),
    backlogOf: (campaignId) =>
      read(() => waiting([...outbox].filter(([, event]) => event.campaignId === campaignId).map(([id]) => id))),
    purgeVoid: (olderThanMillis) =>
      read(() => {
        const before = Date.now() - olderThanMillis
        const old = [...voided].filter(([, at]) => at < before).slice(0, 1_000)
        for (const [id] of old) voided.delete(id)
        return old.length
      })
  })

  /** Its acts get no places. */
  const noChain = AuditChain.of({
    seal: () => Effect.succeed({ sealed: 0, head: { sequence: 0, hash: "0".repeat(64) } }),
    head: Effect.succeed({ sequence: 0, hash: "0".repeat(64) }),
    links: () => Effect.succeed([]),
    unsealed: Effect.sync(() => records.length)
  })

  const audit = AuditLog.of({
    append: (entry) => read(() => recordAct(entry)),
    list: ({ action, actor, beforeId = Infinity, campaignId, limit, only, since = -Infinity, until = Infinity }) =>
      read(() =>
        records.filter((record) =>
          record.id < beforeId && (campaignId === undefined || record.campaignId === campaignId) &&
          (only === undefined || (record.campaignId !== undefined && only.has(record.campaignId))) &&
          (actor === undefined || record.actor.name === actor) &&
          (action === undefined || record.action === action || record.action.startsWith(`${action}.`)) &&
          record.at >= since && record.at < until
        ).toReversed().slice(0, limit).map(({ changeId: _, ...record }) => record)
      )
  })

  const phases = CampaignPhases.of({
    due: (limit) =>
      read(() =>
        [...phaseRecords].filter(([, { dueAt = Infinity }]) => dueAt <= Date.now()).slice(0, limit).map(([id]) => id)
      ),
    read: (ids) =>
      read(() =>
        ids.flatMap((campaignId) => {
          const campaign = campaigns.get(campaignId)
          if (campaign === undefined) return []
          const { dueAt, log } = phaseRecords.get(campaignId)!
          const { name, version } = campaign
          return [{
            campaignId, name, version, dueAt,
            facts: factsOf(campaign),
            recordedVersion: version,
            sequence: log.length,
            recorded: log.at(-1)
          }]
        })
      ),
    record: ({ campaignId, facts, sequence, version }, reached, dueAt) =>
      Effect.suspend(() => {
        const fate = control.onRecord()
        if (control.down || fate === "unavailable") return Effect.fail(new LedgerUnavailable({ cause: "test" }))
        const record = phaseRecords.get(campaignId)!
        if (
          fate === "lost" || record.log.length !== sequence || campaigns.get(campaignId)!.version !== version
        ) return Effect.succeed(false)
        record.log.push(...reached)
        record.openedBefore ??= openedAt(facts)
        record.dueAt = dueAt
        return Effect.succeed(true)
      }),
    history: (campaignId) =>
      read(() =>
        phaseRecords.get(campaignId)!.log.map((of, index) => ({ ...of, sequence: index + 1, noticedAt: of.at }))
          .toReversed()
      )
  })

  /** What was done to each campaign's coupons, how each request was answered, and which states stand. */
  interface Redeemed {
    readonly acts: Array<Redemption>
    readonly answers: Map<string, { readonly of: RedemptionItem; readonly answer: RedemptionAnswer }>
    readonly standings: Map<number, CouponStanding>
  }
  const redeemed = new Map<CampaignId, Redeemed>()
  const redeemedIn = (campaignId: CampaignId) => {
    const of: Redeemed = redeemed.get(campaignId) ?? { acts: [], answers: new Map(), standings: new Map() }
    redeemed.set(campaignId, of)
    return of
  }

  const decideRedemption = (
    { campaignId }: RedemptionBatch,
    of: RedemptionItem
  ): RedemptionAnswer => {
    const { acts, standings } = redeemedIn(campaignId)
    const { undoWindowMillis } = campaigns.get(campaignId)!
    const { action, couponId, details, expiresAt = Infinity, requestId, slotReturned } = of
    const stands = standings.get(couponId)
    const now = Date.now()
    const refused = (reason: "REDEEMED" | "REVOKED" | "EXPIRED" | "ABSENT"): RedemptionAnswer => {
      const says = reason === "REDEEMED" || reason === "REVOKED"
      return { _tag: "Refused", reason, standing: says ? acts[stands!.sequence - 1] : undefined }
    }
    if (stands?.state === "REVOKED") return refused("REVOKED")
    if (action !== "UNDO" && expiresAt <= now) return refused("EXPIRED")
    if (action !== "UNDO" && stands !== undefined) return refused("REDEEMED")
    if (action === "UNDO" && stands === undefined) return refused("ABSENT")
    if (action === "UNDO" && stands!.at < now - undoWindowMillis) return refused("REDEEMED")
    const sequence = acts.length + 1
    const act = { campaignId, sequence, couponId, action, requestId, slotReturned, ...details, at: now }
    acts.push(act)
    if (action === "UNDO") standings.delete(couponId)
    else {
      const { terminalId } = act
      const state = action === "REDEEM" ? "REDEEMED" : "REVOKED"
      standings.set(couponId, { campaignId, couponId, state, sequence, at: now, terminalId })
    }
    note(campaignId, redemptionEvent(act).type, redemptionEvent(act))
    return { _tag: "Done", redemption: act }
  }

  const answerTo = (campaignId: CampaignId, item: RedemptionItem): RedemptionAnswer | undefined => {
    const known = redeemedIn(campaignId).answers.get(item.requestId)
    if (known === undefined) return undefined
    const isSame = known.of.couponId === item.couponId && known.of.action === item.action &&
      known.of.slotReturned === item.slotReturned
    return isSame ? known.answer : { _tag: "Conflict" }
  }

  const redemptions = Redemptions.of({
    commit: (batch) =>
      Effect.gen(function*() {
        yield* up
        if (batch.items.length === 0) return []
        control.redemptionBatches.push(batch)
        const fate = yield* control.onRedeem(batch)
        if (fate === "unavailable") return yield* new LedgerUnavailable({ cause: "test" })
        if (fate === "doubtLost" || voided.has(batch.batchId)) return yield* new CommitInDoubt({ cause: "test" })
        const { answers } = redeemedIn(batch.campaignId)
        for (const item of batch.items) {
          if (!answers.has(item.requestId)) {
            answers.set(item.requestId, { of: item, answer: decideRedemption(batch, item) })
          }
        }
        marks.set(batch.batchId, batch.campaignId)
        if (fate !== "commit") return yield* new CommitInDoubt({ cause: "test" })
        return batch.items.map((item) => answerTo(batch.campaignId, item)!)
      }),
    revoke: (revocation) =>
      Effect.gen(function*() {
        yield* up
        const { actor, campaignId, changeId, item, raise } = revocation
        const batch = revocationBatch(revocation)
        control.redemptionBatches.push(batch)
        const fate = yield* control.onRedeem(batch)
        if (fate === "unavailable") return yield* new LedgerUnavailable({ cause: "test" })
        if (fate === "doubtLost" || voided.has(changeId)) return yield* new CommitInDoubt({ cause: "test" })
        const { answers, standings } = redeemedIn(campaignId)
        if (!answers.has(item.requestId)) {
          const { expiresAt = Infinity, slotReturned } = item
          const isRevocable = !standings.has(item.couponId) && expiresAt > Date.now()
          const stands = raise !== undefined && campaigns.get(campaignId)!.version === raise.from.version
          if (slotReturned && isRevocable && !stands) return { _tag: "Stale" as const }
          const answer = decideRedemption(batch, item)
          answers.set(item.requestId, { of: item, answer })
          if (answer._tag === "Done") recordAct({ changeId, actor, outcome: "DONE", ...revocationAct(revocation) })
          if (answer._tag === "Done" && raise !== undefined) applyChange(raise.from.campaignId, raise.to, changeId)
        }
        marks.set(changeId, campaignId)
        if (fate !== "commit") return yield* new CommitInDoubt({ cause: "test" })
        return answerTo(campaignId, item)!
      }),
    answers: (batch) => read(() => batch.items.map((item) => answerTo(batch.campaignId, item))),
    resolve: (batch) =>
      read(() => {
        forbid(batch.batchId)
        return batch.items.map((item) => answerTo(batch.campaignId, item))
      }),
    findByCodes: (campaignId, codes) => read(() => held(campaignId).filter(({ code }) => codes.includes(code))),
    standings: (coupons) =>
      read(() => ({
        now: Date.now(),
        standings: coupons.flatMap(({ campaignId, id }) => redeemedIn(campaignId).standings.get(id) ?? [])
      })),
    validities: (campaignIds) =>
      read(() =>
        campaignIds.filter((id) => campaigns.has(id)).map((campaignId) => ({
          campaignId, issued: held(campaignId).length, changes: [...validities.get(campaignId) ?? []]
        }))
      ),
    list: ({ afterSequence, campaignId, couponId, limit }) =>
      read(() =>
        redeemedIn(campaignId).acts
          .filter((of) => of.sequence > afterSequence && (couponId === undefined || of.couponId === couponId))
          .slice(0, limit)
      )
  })

  /** What was erased lately, in the order of campaign and number, and under which change. */
  const erased = new Map<string, ErasedCoupon & { readonly changeId: string; readonly at: number }>()
  const keyOf = (campaignId: CampaignId, couponId: number) => `${campaignId}/${couponId}`
  const isUnrelayed = (coupon: Coupon) =>
    [...outbox.values()].some((event) =>
      event._tag === "Issued" && event.campaignId === coupon.campaignId &&
      event.coupons.some(({ id }) => id === coupon.id))

  const erasures = Erasures.of({
    erase: (erasure) =>
      Effect.gen(function*() {
        yield* up
        const fate = yield* control.onErase(erasure)
        if (fate === "unavailable") return yield* new LedgerUnavailable({ cause: "test" })
        if (fate === "doubtLost") return yield* new CommitInDoubt({ cause: "test" })
        const { actor, campaignId, changeId, couponId, settledMillis, userId } = erasure
        if (erased.get(keyOf(campaignId, couponId))?.changeId === changeId) return "Erased" as const
        const coupon = held(campaignId)[couponId - 1]
        if (coupon?.userId !== userId) return "Absent" as const
        if (coupon.issuedAt > Date.now() - settledMillis || isUnrelayed(coupon)) return "NotSettled" as const
        held(campaignId)[couponId - 1] = { ...coupon, userId: erasedUser(couponId) }
        erased.set(keyOf(campaignId, couponId), { campaignId, couponId, userId, changeId, at: Date.now() })
        recordAct({ changeId, actor, outcome: "DONE", ...erasureAct(erasure) })
        return fate === "commit" ? "Erased" as const : yield* new CommitInDoubt({ cause: "test" })
      }),
    recent: (position = { campaignId: 0, couponId: 0 }, limit) =>
      read(() =>
        [...erased.values()]
          .toSorted((a, b) => a.campaignId - b.campaignId || a.couponId - b.couponId)
          .filter(({ campaignId, couponId }) =>
            campaignId > position.campaignId ||
            (campaignId === position.campaignId && couponId > position.couponId))
          .slice(0, limit)
          .map(({ campaignId, couponId, userId }) => ({ campaignId, couponId, userId }))
      ),
    followed: (campaignId, couponIds) =>
      read(() => {
        for (const id of couponIds) {
          const of = erased.get(keyOf(campaignId, id))
          if (of !== undefined) erased.set(keyOf(campaignId, id), { ...of, userId: undefined })
        }
      }),
    purge: (olderThanMillis) =>
      read(() => {
        const before = Date.now() - olderThanMillis
        for (const [key, { at, userId }] of erased) if (userId === undefined && at < before) erased.delete(key)
      })
  })

  const eventLog = EventLog.of({
    read: (campaignId, afterSequence, limit) =>
      read(() => control.events(campaignId).filter(({ sequence }) => sequence > afterSequence).slice(0, limit)),
    head: (campaignId) => read(() => headOf(campaignId)[0]?.sequence ?? 0),
    heads: (campaignIds) => read(() => campaignIds.flatMap(headOf)),
    movedSince: (since, limit) =>
      read(() =>
        [...logs.keys()].flatMap(headOf).filter(({ movedAt }) => movedAt >= since)
          .toSorted((a, b) => a.movedAt - b.movedAt).slice(0, limit)
      ),
    append: (campaignIds) => read(() => appendTo(campaignIds, true)),
    lagging: (afterId, size) =>
      read(() => {
        const page = [...campaigns.values()].filter(({ campaignId }) => campaignId > afterId).slice(0, size)
        const lags = ({ campaignId, endTime = Infinity, status, version }: Campaign) => {
          const { endedVersion, facts } = logs.get(campaignId)!
          return facts.length > 0 || (status !== "ENDED" && endTime <= Date.now() && endedVersion < version)
        }
        return {
          campaignIds: page.filter(lags).map(({ campaignId }) => campaignId),
          nextAfterId: page.length === size ? page.at(-1)!.campaignId : undefined
        }
      }),
    lag: read(() => {
      const facts = [...logs.values()].flatMap((log) => log.facts).filter(({ type }) => type !== "campaign.sold_out")
      const ages = facts.map(({ at }) => Date.now() - at)
      return { commits: facts.length, oldestAgeMillis: Math.max(0, ...ages) }
    }),
    remove: ({ afterId, graceMillis, neededAfter, olderThanMillis, size }) =>
      Effect.gen(function*() {
        const page = yield* read(() => [...logs].filter(([campaignId]) => campaignId > afterId).slice(0, size))
        let removed = 0
        for (const [campaignId, log] of page) {
          const needed = (yield* neededAfter(campaignId)) ?? Infinity
          const before = Date.now() - olderThanMillis
          const kept = log.events.findIndex(({ at, sequence }) =>
            at >= before || (sequence > needed && at >= before - graceMillis))
          const old = log.events.splice(0, Math.min(1_000, kept < 0 ? log.events.length : kept))
          log.removed += old.length
          removed += old.length
        }
        return { removed, nextAfterId: page.length === size ? page.at(-1)![0] : undefined }
      })
  })

  interface Imported {
    codeImport: CodeImport
    readonly firstNumber: number
    readonly chunks: Array<{ readonly text: string; readonly result: ChunkResult }>
  }
  const imports = new Map<CampaignId, Array<Imported>>()
  const importsOf = (campaignId: CampaignId) => imports.get(campaignId) ?? []
  const importOf = ({ campaignId, importId }: ImportKey) => importsOf(campaignId)[importId - 1]
  const act = (action: string, campaignId: CampaignId, { actor, changeId }: ChangeRecord, after: unknown) =>
    recordAct({ changeId, actor, action, outcome: "DONE", campaignId, before: undefined, after })
  const ended = (of: Imported, state: ImportState) => {
    of.codeImport = { ...of.codeImport, state, updatedAt: Date.now() }
    return { _tag: "Ended" as const, codeImport: of.codeImport }
  }

  const codeImports = CodeImports.of({
    start: ({ campaignId, requestId, ...record }) =>
      read((): StartVerdict => {
        const campaign = campaigns.get(campaignId)
        if (campaign === undefined) return { _tag: "NoCampaign" }
        const all = importsOf(campaignId)
        const same = all.find(({ codeImport }) => codeImport.requestId === requestId)
        if (same !== undefined) return { _tag: "Started", codeImport: same.codeImport }
        if (campaign.codes._tag !== "Pool") return { _tag: "NoPool" }
        const other = all.find(({ codeImport }) => codeImport.state === "OPEN")
        if (other !== undefined) return { _tag: "OtherOpen", codeImport: other.codeImport }
        const now = Date.now()
        const codeImport: CodeImport = {
          campaignId, requestId, importId: all.length + 1, state: "OPEN", chunks: 0, received: 0, accepted: 0,
          duplicateInFile: 0, duplicateInCampaign: 0, invalid: 0, startedAt: now, updatedAt: now
        }
        imports.set(campaignId, [...all, { codeImport, firstNumber: campaign.codeCount + 1, chunks: [] }])
        act("codes.import.start", campaignId, record, { importId: codeImport.importId, requestId })
        return { _tag: "Started", codeImport }
      }),
    append: (key, index, codes) =>
      read((): AppendVerdict => {
        const of = importOf(key)
        if (of === undefined) return { _tag: "NoImport" }
        const text = JSON.stringify(codes)
        const chunk = of.chunks[index]
        if (chunk !== undefined) {
          return chunk.text === text
            ? { _tag: "Appended", codeImport: of.codeImport, result: chunk.result }
            : { _tag: "OtherCodes" }
        }
        const { codeImport, firstNumber } = of
        if (codeImport.state !== "OPEN") return { _tag: "NotOpen", codeImport }
        if (index > codeImport.chunks) return { _tag: "OutOfOrder", expected: codeImport.chunks }
        const pool = poolOf(key.campaignId)
        const { accepted, result, tally } = sort(codes, new Map(pool.map((code, at) => [code, at + 1])), firstNumber)
        pools.set(key.campaignId, [...pool, ...accepted.toReversed()])
        of.chunks.push({ text, result })
        of.codeImport = {
          ...codeImport,
          chunks: index + 1,
          received: codeImport.received + codes.length,
          accepted: codeImport.accepted + accepted.length,
          duplicateInFile: codeImport.duplicateInFile + tally.DUPLICATE_IN_FILE,
          duplicateInCampaign: codeImport.duplicateInCampaign + tally.DUPLICATE_IN_CAMPAIGN,
          invalid: codeImport.invalid + tally.INVALID,
          updatedAt: Date.now()
        }
        return { _tag: "Appended", codeImport: of.codeImport, result }
      }),
    finish: ({ campaignId, chunks, importId, ...record }) =>
      read((): EndVerdict => {
        const of = importOf({ campaignId, importId })
        if (of === undefined) return { _tag: "NoImport" }
        const { codeImport } = of
        if (codeImport.state === "FINISHED") return { _tag: "Ended", codeImport }
        if (codeImport.state !== "OPEN") return { _tag: "NotOpen", codeImport }
        if (codeImport.chunks !== chunks) return { _tag: "Changed" }
        const codeCount = of.firstNumber - 1 + codeImport.accepted
        note(campaignId, "codes.imported", { payload: { importId, codes: codeImport.accepted, codeCount } })
        campaigns.set(campaignId, { ...campaigns.get(campaignId)!, codeCount })
        act("codes.import.finish", campaignId, record, { importId, codeCount })
        return ended(of, "FINISHED")
      }),
    abort: ({ campaignId, importId, ...record }) =>
      read((): EndVerdict => {
        const of = importOf({ campaignId, importId })
        if (of === undefined) return { _tag: "NoImport" }
        const { codeImport } = of
        if (codeImport.state === "FINISHED") return { _tag: "NotOpen", codeImport }
        if (codeImport.state === "ABORTED") return { _tag: "Ended", codeImport }
        pools.set(campaignId, poolOf(campaignId).slice(0, of.firstNumber - 1))
        of.chunks.length = 0
        act("codes.import.abort", campaignId, record, undefined)
        return ended(of, "ABORTED")
      }),
    find: (key) => read(() => importOf(key)?.codeImport),
    list: (campaignId, beforeId, limit) =>
      read(() =>
        importsOf(campaignId).map(({ codeImport }) => codeImport).filter(({ importId }) => importId < beforeId)
          .toReversed().slice(0, limit)
      )
  })

  return Context.make(TestLedger, control).pipe(
    Context.add(CodeImports, codeImports),
    Context.add(Erasures, erasures),
    Context.add(EventLog, eventLog),
    Context.add(CampaignStore, store),
    Context.add(Ledger, ledger),
    Context.add(Outbox, box),
    Context.add(Redemptions, redemptions),
    Context.add(CampaignPhases, phases),
    Context.add(AuditLog, audit),
    Context.add(AuditChain, noChain),
    Context.add(KeyWatch, { runOnce: Effect.void })
  )
})

export const layer = Layer.merge(
  Layer.effectContext(make) satisfies Layer.Layer<
    | TestLedger
    | AuditChain
    | AuditLog
    | CampaignStore
    | CodeImports
    | Erasures
    | EventLog
    | KeyWatch
    | Ledger
    | Outbox
    | CampaignPhases
    | Redemptions
  >,
  MemoryWebhooks.layerPorts
)
