// What the old stores hold, and what of it the new ledger cannot take.
import { keyOf, type Claim, type OldCampaign, type OldSystem } from "./OldSystem.ts"

/** A coupon as the new ledger has it: numbered within its campaign, in the order of issue. */
export interface Numbered {
  readonly campaignId: number
  readonly number: number
  readonly userId: number
  readonly code: string
  readonly issuedAt: string
}

export interface Options {
  /** Raise the limit of a campaign that has issued more than it, to what it has issued. */
  readonly raiseLimits: boolean
  /** Leave out coupons of users that no user can be: 0 and below. */
  readonly leaveOut: boolean
}

export interface Survey {
  readonly campaigns: ReadonlyArray<OldCampaign>
  /** Coupons that are to be copied, of each campaign. */
  readonly counts: ReadonlyMap<number, number>
  /** Why nothing can be copied. */
  readonly obstacles: ReadonlyArray<string>
  /** What the copy does differently, and what the old system had promised and not kept. */
  readonly notes: ReadonlyArray<string>
}

const MOST_COUPONS = 10_000_000
const CODE = /^[가나다라마바사아자차카타파하거너더러머버서어저처커터퍼허0-9]{10}$/u

/** The coupons that are copied, page by page, with their numbers; the same at each run on the same rows. */
export const numbered = async function*(old: OldSystem): AsyncGenerator<ReadonlyArray<Numbered>> {
  const last = new Map<number, number>()
  for await (const page of old.coupons()) {
    yield page.filter(({ userId }) => userId > 0).map(({ campaignId, code, createdAt, userId }) => {
      const number = (last.get(campaignId) ?? 0) + 1
      last.set(campaignId, number)
      return { campaignId, number, userId, code, issuedAt: createdAt }
    })
  }
}

/** The limit that a campaign gets. */
export const limitOf = ({ couponLimit }: OldCampaign, issued: number): number => Math.max(couponLimit, issued)

const listed = (claims: ReadonlyArray<Claim>): string =>
  claims.slice(0, 20).map(({ campaignId, userId }) => `${userId} in campaign ${campaignId}`).join(", ") +
  (claims.length > 20 ? `, … (${claims.length} in all)` : "")

/** Reads all of the old stores once. */
export const survey = async (old: OldSystem, options: Options): Promise<Survey> => {
  const campaigns = await old.campaigns()
  const obstacles: Array<string> = []
  const notes: Array<string> = []
  const counts = new Map(campaigns.map(({ id }) => [id, 0]))
  const noUsers: Array<Claim> = []
  let orphans = 0
  let strangeCodes = 0
  for await (const page of old.coupons()) {
    for (const coupon of page) {
      const { campaignId, code, userId } = coupon
      if (!CODE.test(code)) strangeCodes++
      if (!counts.has(campaignId)) orphans++
      else if (userId <= 0) noUsers.push(coupon)
      else counts.set(campaignId, counts.get(campaignId)! + 1)
    }
  }

  const { lost, waiting } = await old.queue()
  if (waiting > 0) {
    obstacles.push(`${waiting} claims wait in Asynq: stop new claims, and let the consumers store these first`)
  }
  const stored = await old.codesOf(lost)
  const promised = lost.filter((claim) => !stored.has(keyOf(claim)))
  if (promised.length > 0) {
    notes.push(`claims that were answered OK and never stored; these users can claim again: ${listed(promised)}`)
  }
  if (orphans > 0) obstacles.push(`${orphans} coupons belong to no campaign`)
  if (strangeCodes > 0) obstacles.push(`${strangeCodes} codes are not ten characters of the alphabet`)
  if (noUsers.length > 0) {
    const text = `coupons of users that no user can be: ${listed(noUsers)}`
    if (options.leaveOut) notes.push(`left out: ${text}`)
    else obstacles.push(`${text}; --leave-out copies the others`)
  }

  for (const campaign of campaigns) {
    const { couponLimit, currentCoupon, id, name } = campaign
    const issued = counts.get(id)!
    if (name === "") obstacles.push(`campaign ${id} has no name`)
    if (couponLimit < 1 || limitOf(campaign, issued) > MOST_COUPONS) {
      obstacles.push(`campaign ${id} has the limit ${couponLimit}: 1 to ${MOST_COUPONS} are possible`)
    }
    if (issued > couponLimit) {
      const text = `campaign ${id} has issued ${issued} coupons, and its limit is ${couponLimit}`
      if (options.raiseLimits) notes.push(`${text}, which becomes ${issued}`)
      else obstacles.push(`${text}; --raise-limits makes it ${issued}`)
    }
    if (currentCoupon !== issued) {
      notes.push(`campaign ${id}: current_coupon was ${currentCoupon}, there are ${issued} coupons, which counts`)
    }
    const counter = await old.counter(id)
    if (counter !== undefined && counter > issued) {
      notes.push(`campaign ${id}: Redis counted ${counter}, there are ${issued} coupons; ` +
        `${Math.max(0, Math.min(counter, couponLimit) - issued)} slots are free again`)
    }
  }

  const ghosts: Array<Claim> = []
  const others: Array<Claim> = []
  for await (const part of old.cached()) {
    const codes = await old.codesOf(part)
    for (const entry of part) {
      const code = codes.get(keyOf(entry))
      if (code === undefined) ghosts.push(entry)
      else if (code !== entry.code) others.push(entry)
    }
  }
  if (ghosts.length > 0) notes.push(`users in the cache without a coupon, who can claim again: ${listed(ghosts)}`)
  if (others.length > 0) notes.push(`the cache had another code than the table, which counts: ${listed(others)}`)
  return { campaigns, counts, obstacles, notes }
}
