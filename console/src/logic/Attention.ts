import type { Advice } from "../../../src/contract/operator/Info.ts"
import type { WebhookState } from "../../../src/contract/Overview.ts"

/** Something that an operator should look at, the worst first. */
export type Attention =
  | { readonly _tag: "StoreDown"; readonly store: "gate" | "ledger" }
  | { readonly _tag: "NotReady"; readonly instance: string; readonly waitingFor: ReadonlyArray<string> }
  | { readonly _tag: "InstanceMissing"; readonly instance: string; readonly sinceMillis: number }
  | { readonly _tag: "VerificationFailed"; readonly campaignId: number | null; readonly name: string }
  | { readonly _tag: "GateBroken"; readonly campaignId: number; readonly name: string; readonly gate: string }
  | { readonly _tag: "BacklogGrows"; readonly events: number; readonly oldestAgeMillis: number }
  | { readonly _tag: "CommitsInDoubt"; readonly count: number }
  | { readonly _tag: "WebhookDisabled"; readonly id: string; readonly host: string }
  | {
    readonly _tag: "WebhookFailing" | "WebhookLate"
    readonly id: string
    readonly host: string
    readonly backlog: number
    readonly lagMillis: number
  }
  | { readonly _tag: "PoolLow"; readonly campaignId: number; readonly name: string; readonly left: number }
  | { readonly _tag: "AgentFailed"; readonly instance: string; readonly agent: string; readonly message: string }
  | { readonly _tag: "Shedding"; readonly perSecond: number }
  | { readonly _tag: "Advised"; readonly advice: typeof Advice.Type }
  | { readonly _tag: "KeyExpires"; readonly name: string; readonly inMillis: number }

const order: ReadonlyArray<Attention["_tag"]> = [
  "StoreDown", "NotReady", "InstanceMissing", "VerificationFailed", "GateBroken", "CommitsInDoubt", "BacklogGrows",
  "WebhookDisabled", "PoolLow", "Shedding", "WebhookFailing", "WebhookLate", "AgentFailed",
  "Advised", "KeyExpires"
]

/** Whether it needs someone now, or can wait until the sale is over. */
export const isUrgent = (one: Attention): boolean =>
  order.indexOf(one._tag) < order.indexOf("Shedding") || (one._tag === "Advised" && one.advice.verdict === "fail")

export const sorted = (all: ReadonlyArray<Attention>): ReadonlyArray<Attention> =>
  all.toSorted((a, b) =>
    Number(isUrgent(b)) - Number(isUrgent(a)) || order.indexOf(a._tag) - order.indexOf(b._tag)
  )

/** A backlog is normal for a moment. Older than this, the relay does not keep up, or does not run. */
export const BACKLOG_AGE_MILLIS = 5_000

/** A pool of codes is low if so few of the codes that its campaign may need are left. */
export const POOL_LOW_SHARE = 0.1

/** An agent that has been due for this long does not run. */
export const AGENT_LAG_MILLIS = 30_000

/** A webhook is behind for a moment in each sale. Older than this, its receiver does not keep up. */
export const WEBHOOK_LAG_MILLIS = 60_000

/** What is wrong with a webhook. */
export const ofWebhook = (
  { backlog, host, id, lagMillis, state }: typeof WebhookState.Type
): ReadonlyArray<Attention> => {
  if (state === "DISABLED") return [{ _tag: "WebhookDisabled", id, host }]
  if (state === "FAILING") return [{ _tag: "WebhookFailing", id, host, backlog, lagMillis }]
  return lagMillis > WEBHOOK_LAG_MILLIS ? [{ _tag: "WebhookLate", id, host, backlog, lagMillis }] : []
}
