import type { MissingInstance } from "$contract/Live.ts"
import type { Advice, Info } from "$contract/operator/Info.ts"
import type { Overview } from "$contract/Overview.ts"
import { type Campaign, CampaignPhase, CodeSource } from "$contract/gen/coupon/v1/coupon_pb.ts"
import * as Attention from "../logic/Attention.ts"
import type { Merged } from "../logic/Merged.ts"
import { byKind } from "../logic/Outcomes.ts"

type All = ReadonlyArray<Attention.Attention>

/** Pools of codes that may run out before their campaigns do. */
const poolsOf = (campaigns: ReadonlyArray<Campaign>): All =>
  campaigns.flatMap(({ codeCount, codeSource, couponLimit, currentCoupon, id, name, phase }) => {
    if (codeSource !== CodeSource.POOL || phase === CampaignPhase.ENDED) return []
    const left = Number(codeCount - currentCoupon)
    const wanted = Number(couponLimit - currentCoupon)
    const isLow = wanted > 0 && left < wanted && left < Number(couponLimit) * Attention.POOL_LOW_SHARE
    return isLow ? [{ _tag: "PoolLow", campaignId: id, name, left }] : []
  })

/** What is wrong with one instance. */
const instanceOf = ({ agents = [], instance, ready, waitingFor }: Overview): All => [
  ...ready || waitingFor.length === 0 ? [] : [{ _tag: "NotReady" as const, instance, waitingFor }],
  ...agents.flatMap(({ lagMillis, lastFailure, lastRunAt, name }): All => {
    const fails = lastFailure !== null && (lastRunAt === null || lastFailure.at > lastRunAt)
    if (!fails && lagMillis <= Attention.AGENT_LAG_MILLIS) return []
    return [{ _tag: "AgentFailed", instance, agent: name, message: fails ? lastFailure.message : "" }]
  })
]

/** What is wrong with what all instances share. */
const sharedOf = ({ campaigns, commitsInDoubt, isGateUp, outbox, perSecond, webhooks }: Merged): All => {
  const { shed } = byKind(perSecond)
  return [
    ...isGateUp ? [] : [{ _tag: "StoreDown", store: "gate" } as const],
    ...outbox === null ? [{ _tag: "StoreDown", store: "ledger" } as const] : [],
    ...outbox !== null && outbox.oldestAgeMillis > Attention.BACKLOG_AGE_MILLIS
      ? [{ _tag: "BacklogGrows", ...outbox } as const]
      : [],
    ...commitsInDoubt > 0 ? [{ _tag: "CommitsInDoubt", count: commitsInDoubt } as const] : [],
    ...campaigns.flatMap(({ campaignId, gate, name }): All =>
      gate === "Broken" || gate === "Foreign" ? [{ _tag: "GateBroken", campaignId, name, gate }] : []
    ),
    ...webhooks.flatMap(Attention.ofWebhook),
    ...shed > 0 ? [{ _tag: "Shedding", perSecond: shed } as const] : []
  ]
}

/** Campaigns whose invariants did not hold when they were last verified. */
const verifiedOf = (verified: Merged["verified"], campaigns: ReadonlyArray<Campaign>): All =>
  verified.flatMap(({ campaignId, violations }): All => {
    if (violations === 0) return []
    const name = campaigns.find(({ id }) => id === campaignId)?.name ?? ""
    return [{ _tag: "VerificationFailed", campaignId, name }]
  })

/** A banner on every page says that administration is open. */
const advisedOf = (advice: ReadonlyArray<typeof Advice.Type>): All =>
  advice.flatMap((one): All => one.id === "open" ? [] : [{ _tag: "Advised", advice: one }])

/** All that an operator should look at, the worst first. */
export const attentionOf = (
  { instances, missing, whole }: {
    readonly instances: ReadonlyArray<Overview>
    readonly missing: ReadonlyArray<MissingInstance>
    readonly whole: Merged | undefined
  },
  campaigns: ReadonlyArray<Campaign>,
  { advice, info }: {
    readonly info: typeof Info.Type | undefined
    readonly advice: ReadonlyArray<typeof Advice.Type>
  },
  now: number
): All =>
  Attention.sorted([
    ...whole === undefined ? [] : sharedOf(whole),
    ...missing.map(({ instance, seenAt }) =>
      ({ _tag: "InstanceMissing", instance, sinceMillis: now - seenAt }) as const
    ),
    ...instances.flatMap(instanceOf),
    ...verifiedOf(whole?.verified ?? [], campaigns),
    ...poolsOf(campaigns),
    ...advisedOf(advice),
    ...(info?.expiringKeys ?? []).map(({ expiresAt, name }) =>
      ({ _tag: "KeyExpires", name, inMillis: expiresAt - now }) as const
    )
  ])
