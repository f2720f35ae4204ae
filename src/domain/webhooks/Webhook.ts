import type { CampaignId } from "../CampaignId.ts"
import type { EpochMillis } from "../Time.ts"

/** Ids of endpoints: 16 hexadecimal digits. */
export type WebhookId = string

/**
 * How issued coupons are sent: `EACH` one a request, `BATCH` up to 500 a request, `RANGE` as first and last number.
 * Other events go alone with `EACH`, and among the others with the rest.
 */
export const webhookModes = ["EACH", "BATCH", "RANGE"] as const
export type WebhookMode = typeof webhookModes[number]

/** What becomes of a batch that fails again and again: `RETRY` holds up what follows, `PARK` sets it aside. */
export const webhookFailureModes = ["RETRY", "PARK"] as const
export type WebhookOnFailure = typeof webhookFailureModes[number]

/** The campaigns whose events an endpoint gets, each from a time on, by the ledger's clock. */
export interface WebhookScope {
  /** Since when it gets those of every campaign; `undefined`: of `some` alone. */
  readonly all: EpochMillis | undefined
  /** Campaigns with a time of their own. */
  readonly some: ReadonlyArray<{ readonly campaignId: CampaignId; readonly since: EpochMillis }>
}

/** What an operator sets. */
export interface WebhookDefinition {
  readonly url: string
  readonly description: string
  /** Empty: events of every type. */
  readonly types: ReadonlyArray<string>
  readonly scope: WebhookScope
  readonly mode: WebhookMode
  readonly onFailure: WebhookOnFailure
  /** With `PARK`: failed attempts after which a batch is set aside. */
  readonly maxAttempts: number
  /** Campaigns of which it gets events at the same time. */
  readonly concurrency: number
}

/** A secret as it is stored: sealed. Two are valid while one is replaced by the other. */
export interface WebhookSecret {
  readonly sealed: string
  /** `undefined`: the current one. */
  readonly expiresAt: EpochMillis | undefined
}

/** A receiver of events. */
export interface WebhookEndpoint extends WebhookDefinition {
  readonly id: WebhookId
  /** 1, 2, 3, …: goes up with each change. */
  readonly version: number
  readonly status: "ENABLED" | "DISABLED"
  /** Why it is disabled; empty if it is not. */
  readonly reason: string
  readonly disabledAt: EpochMillis | undefined
  /** Since when no delivery has succeeded; `undefined`: none has failed since the last that did. */
  readonly failingSince: EpochMillis | undefined
  /** The current one first. */
  readonly secrets: ReadonlyArray<WebhookSecret>
  readonly createdAt: EpochMillis
  readonly updatedAt: EpochMillis
}

/** The most endpoints of a deployment. */
export const MAX_WEBHOOKS = 50

/** How far an endpoint has got in a campaign's log. */
export interface WebhookPosition {
  /** Events up to this one are delivered. */
  readonly sequence: number
  /** Of the event that follows, a range of coupons, those up to this number are delivered too; 0: none is. */
  readonly number: number
}

/** Since when an endpoint gets a campaign's events; `undefined`: it gets none. */
export const sinceOf = ({ all, some }: WebhookScope, campaignId: CampaignId): EpochMillis | undefined =>
  some.find((one) => one.campaignId === campaignId)?.since ?? all

/** The earliest time of a scope. */
export const earliest = ({ all, some }: WebhookScope): EpochMillis =>
  Math.min(...(all === undefined ? [] : [all]), ...some.map(({ since }) => since))

/**
 * The scope after a change, at `now`. Campaigns that stay keep their time, so that nothing of them is lost; those that
 * come anew begin at `now`. `campaignIds`: `undefined` is all.
 */
export const rescoped = (
  scope: WebhookScope,
  campaignIds: ReadonlyArray<CampaignId> | undefined,
  now: EpochMillis
): WebhookScope => {
  if (campaignIds !== undefined) {
    return {
      all: undefined,
      some: campaignIds.map((campaignId) => ({ campaignId, since: sinceOf(scope, campaignId) ?? now }))
    }
  }
  return scope.all === undefined ? { all: now, some: scope.some } : scope
}
