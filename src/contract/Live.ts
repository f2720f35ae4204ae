import type { SaleSecond } from "../domain/sale/SaleSecond.ts"
import type { Overview } from "./Overview.ts"

/** The path of the stream: a POST of JSON (`LiveRequest`), answered by one `Live` a line, a line a second. */
export const PATH = "/operator/live"

export interface LiveRequest {
  /** A campaign of which more is sent. */
  readonly campaignId?: number
}

/** An instance that was there lately and has not left. */
export interface MissingInstance {
  readonly instance: string
  /** Epoch milliseconds, by its own clock. */
  readonly seenAt: number
}

/** One campaign as ledger and gate have it just now. */
export interface LiveCampaign {
  readonly campaignId: number
  readonly name: string
  readonly status: "ACTIVE" | "PAUSED" | "ENDED"
  readonly phase: string
  readonly version: number
  readonly couponLimit: number
  readonly issued: number
  readonly startTime: number
  readonly endTime: number | null
  /** The gate's side; `null`: it does not answer. More `issued` here than in the ledger would be a drift. */
  readonly gate: {
    readonly condition: string
    readonly issued: number
    readonly pending: number
    readonly oldestPendingMillis: number
  } | null
  /** What of it waits in the outbox: commits, and the age of the oldest; `null`: the ledger does not answer. */
  readonly backlog: { readonly events: number; readonly oldestAgeMillis: number } | null
  /** The latest coupons, the newest first, at most ten. Of each user only the last two digits are sent. */
  readonly latest: ReadonlyArray<{ readonly number: number; readonly user: string; readonly at: number }>
}

/**
 * What all instances have counted of one campaign, second by second. Seconds without a claim are left out. Those of the
 * last 15 minutes come first, then those that have changed: each takes the place of what was sent of the same second.
 */
export interface LiveSale {
  /** Since when the instances count (epoch milliseconds): of the time before, nothing is known. */
  readonly since: number
  readonly seconds: ReadonlyArray<SaleSecond>
}

/** The whole state at one moment: a line replaces the one before, but for `sale`. */
export interface Live {
  /** Epoch milliseconds: the clock of the instance that answers. */
  readonly at: number
  /** The instance that answers. */
  readonly instance: string
  /** The latest sample of each instance, at most some seconds old, that of this one first. */
  readonly instances: ReadonlyArray<Overview>
  readonly missing: ReadonlyArray<MissingInstance>
  /** The others could not be asked: the gate's store does not answer. */
  readonly alone: boolean
  /** The place of the latest act in the audit log's chain; `null`: the ledger does not answer. */
  readonly auditHead: number | null
  /** The campaign that was asked for; `null`: there is no such campaign, or the ledger does not answer. */
  readonly campaign?: LiveCampaign | null
  /** Of the campaign that was asked for; `null`: more campaigns are watched than are counted. */
  readonly sale?: LiveSale | null
}
