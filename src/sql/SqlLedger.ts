import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import type { CampaignId, CampaignStatus } from "../domain/Campaign.ts"
import type { Coupon, UserId } from "../domain/Coupon.ts"
import { codesFromText, isPool } from "../domain/codes/CampaignCodes.ts"
import { drawCodes } from "../domain/codes/DrawCodes.ts"
import type { EpochMillis } from "../domain/Time.ts"
import type { Claim, ClaimBatch, ClaimVerdict, CommitInDoubt, Ledger, LedgerUnavailable } from "../ports/Ledger.ts"
import { type CommitFacts, type LockedCampaign, resolution, verdictsOn } from "./ClaimDecision.ts"
import { couponByCode, type CouponDialect, couponsAmong, couponsOfUser } from "./text/CouponText.ts"
import { integer } from "./text/Literals.ts"
import { unrelayedCoupons } from "./OutboxRows.ts"
import { codesOf, makeRows, type Row } from "./Rows.ts"
import { type FailedAttempt, type Retries, untilKnown } from "./UntilKnown.ts"

/** A batch as it is sent: the ledger draws codes itself where the default format or the first draw do not do. */
export interface PlannedBatch {
  readonly batchId: string
  readonly campaignId: CampaignId
  readonly claims: ReadonlyArray<Claim>
  /** The text that the codes were drawn by (`codesText`): a campaign with another one inserts none of them. */
  readonly codes?: string | undefined
}

/** The coupons and issuing of a ledger, where the databases differ. */
export interface LedgerDialect {
  readonly time: (value: unknown) => EpochMillis
  /** A batch id as a literal. */
  readonly key: (batchId: string) => string
  readonly read: (text: string) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable>
  /** The coupons that these users hold, of which there is at least one. */
  readonly couponsOf: (campaignId: CampaignId, userIds: ReadonlyArray<UserId>) => string
  /** As `listCoupons` of the port. */
  readonly couponPage: (
    campaignId: CampaignId,
    afterId: number,
    limit: number
  ) => Effect.Effect<ReadonlyArray<Coupon>, LedgerUnavailable>
  readonly search: CouponDialect
  /** Sends the group commit of a batch once. */
  readonly attempt: (
    batch: PlannedBatch
  ) => Effect.Effect<Either.Either<CommitFacts, FailedAttempt>, LedgerUnavailable>
  readonly retries: Retries
  /** A cheaper commit of a whole batch. `undefined`: nothing was committed, and `attempt` has to find out why. */
  readonly commitWhole?: (
    batch: PlannedBatch
  ) => Effect.Effect<ReadonlyArray<ClaimVerdict> | undefined, LedgerUnavailable | CommitInDoubt>
  /** Makes sure that no transaction under this key can commit from now on, and then reads. */
  readonly forbidAndRead: (
    key: string,
    campaignId: CampaignId,
    text: string
  ) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable>
}

/** Reads the campaign that a group commit locked; `undefined` without a row. */
export const lockedCampaign = (
  row: Row | undefined,
  time: (value: unknown) => EpochMillis
): LockedCampaign | undefined =>
  row === undefined ? undefined : {
    couponLimit: Number(row.coupon_limit),
    issuedCount: Number(row.current_coupon),
    status: row.status as CampaignStatus,
    startTime: time(row.start_time),
    endTime: row.end_time === null ? undefined : time(row.end_time),
    codes: codesOf(row),
    codeCount: Number(row.code_count),
    validity: row.validity_version === null ? undefined : Number(row.validity_version)
  }

/** Of so many campaigns an instance knows the codes; beyond, it learns them again by a commit that inserts nothing. */
const MAX_KNOWN = 10_000

/** What all ledgers do alike: attempts, new codes, verdicts and resolution. */
export const make = (dialect: LedgerDialect): Ledger["Type"] => {
  const { attempt, commitWhole, couponPage, couponsOf, forbidAndRead, key, read, retries, search, time } = dialect
  const couponOf = makeRows(time).coupon

  const findCoupons: Ledger["Type"]["findCoupons"] = (campaignId, userIds) =>
    userIds.length === 0
      ? Effect.succeed([])
      : Effect.map(read(couponsOf(campaignId, userIds)), (rows) => rows.map(couponOf))

  /** What draws the codes of campaigns that have no default codes, as far as this instance has seen. */
  const known = new Map<CampaignId, string>()

  const learn = (campaignId: CampaignId, codes: string | undefined): void => {
    if (codes === undefined) return void known.delete(campaignId)
    if (known.size >= MAX_KNOWN) known.clear()
    known.set(campaignId, codes)
  }

  /** Batches as they were last sent, where that is not as they came: `resolve` needs their codes. */
  const plans = new WeakMap<ClaimBatch, PlannedBatch>()

  /** Draws all codes of a batch anew, by what is known of its campaign. */
  const drawAgain = (batch: ClaimBatch): PlannedBatch => {
    const { batchId, campaignId } = batch
    const codes = known.get(campaignId)
    const source = codesFromText(codes)
    const draw = source._tag === "Generated" ? drawCodes(source.format) : () => ""
    const claims = batch.claims.map(({ userId }) => ({ userId, code: draw() }))
    const plan = { batchId, campaignId, claims, codes }
    plans.set(batch, plan)
    return plan
  }

  const planOf = (batch: ClaimBatch): PlannedBatch => plans.get(batch) ?? batch

  /**
   * Commits what can be issued of the batch, and finds the verdicts on the rest. Again, if the campaign's codes are not
   * what the batch's were drawn by: then nothing was inserted, and now it is known.
   */
  const sortOut: Ledger["Type"]["issue"] = (batch) =>
    Effect.flatMap(
      untilKnown(Effect.suspend(() => attempt(planOf(batch))), retries, ({ failure }) => {
        if (failure === "CodeTaken") drawAgain(batch)
      }),
      (facts) => {
        const { claims, codes } = planOf(batch)
        if (facts.campaign === undefined || facts.campaign.codes === codes) {
          return verdictsOn(facts, claims, findCoupons)
        }
        learn(batch.campaignId, facts.campaign.codes)
        drawAgain(batch)
        return sortOut(batch)
      }
    )

  return {
    issue: (batch) => {
      if (batch.claims.length === 0) return Effect.succeed([])
      return Effect.uninterruptible(Effect.suspend(() => {
        const plan = known.has(batch.campaignId) ? drawAgain(batch) : batch
        if (commitWhole === undefined) return sortOut(batch)
        return Effect.flatMap(commitWhole(plan), (whole) =>
          whole === undefined ? sortOut(batch) : Effect.succeed(whole))
      }))
    },

    resolve: (batch) => {
      if (batch.claims.length === 0) return Effect.succeed([])
      const { batchId, campaignId } = batch
      const { claims, codes } = planOf(batch)
      const held = couponsOf(campaignId, claims.map((claim) => claim.userId))
      if (!isPool(codes)) {
        return Effect.map(forbidAndRead(batchId, campaignId, held), (rows) => resolution(claims, rows.map(couponOf)))
      }
      const withBatch = `SELECT h.*, b.first_id FROM (${held}) AS h LEFT JOIN coupon_batches AS b
ON b.campaign_id = h.campaign_id AND b.batch_id = ${key(batchId)} AND h.id BETWEEN b.first_id AND b.last_id`
      return Effect.map(forbidAndRead(batchId, campaignId, withBatch), (rows) => {
        const own = new Set(rows.filter((row) => row.first_id !== null).map((row) => Number(row.id)))
        return resolution(claims, rows.map(couponOf), ({ id }) => own.has(id))
      })
    },

    findCoupons,

    listCoupons: couponPage,

    couponsAmong: (stretch) =>
      Effect.map(read(couponsAmong(stretch, search)), (rows) => rows.map(couponOf)),

    couponsOfUser: (query) =>
      Effect.gen(function*() {
        const text = couponsOfUser(query, search)
        const [bound] = yield* read(text.bound)
        const lastId = bound === undefined ? undefined : Number(bound.id)
        const coupons = (yield* read(text.page(lastId))).map(couponOf)
        return { coupons, next: coupons.length < query.limit ? lastId : coupons.at(-1)!.campaignId }
      }),

    findByCode: (campaignId, code) =>
      Effect.map(read(couponByCode(campaignId, code, search)), (rows) =>
        // MySQL pads what it compares with spaces.
        rows.map(couponOf).find((coupon) => coupon.code === code)),

    tally: (campaignId) =>
      Effect.map(
        read(
          `SELECT c.current_coupon AS issued, c.version, o.unrelayed
FROM campaigns AS c CROSS JOIN ${unrelayedCoupons(integer(campaignId))} WHERE c.id = ${integer(campaignId)}`
        ),
        ([row]) => row === undefined ? undefined : {
          issued: Number(row.issued),
          unrelayed: Number(row.unrelayed),
          version: Number(row.version)
        }
      )
  }
}
