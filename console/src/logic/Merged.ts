import type { Overview } from "../../../src/contract/Overview.ts"

type Numbers = Readonly<Record<string, number>>

const sums = (all: ReadonlyArray<Numbers>): Numbers => {
  const total: Record<string, number> = {}
  for (const one of all) for (const [name, value] of Object.entries(one)) total[name] = (total[name] ?? 0) + value
  return total
}

const most = (all: ReadonlyArray<number>): number => all.reduce((a, b) => Math.max(a, b), 0)

/** What the service does as a whole, from what each instance does. */
export interface Merged {
  /** The newest sample's. */
  readonly at: number
  readonly perSecond: Numbers
  /** Of the slowest instance: a mean would hide it. */
  readonly p50: number
  readonly p99: number
  readonly commitsInDoubt: number
  /** The latest verifications, of all campaigns or of one. */
  readonly verified: ReadonlyArray<NonNullable<Overview["verified"]>>
  /** Comparisons of gate and ledger by verdict. */
  readonly audits: Numbers
  /** Whether some instance reaches it. */
  readonly isGateUp: boolean
  /** `null`: no instance's ledger answers. */
  readonly outbox: Overview["outbox"]
  readonly campaigns: Overview["campaigns"]
  readonly webhooks: NonNullable<Overview["webhooks"]>
}

/** `undefined` without instances. Rates are sums; what all instances share is taken from the one that knows most. */
export const merged = (instances: ReadonlyArray<Overview>): Merged | undefined => {
  if (instances.length === 0) return undefined
  const campaigns = new Map<number, Overview["campaigns"][number]>()
  const webhooks = new Map<string, NonNullable<Overview["webhooks"]>[number]>()
  for (const one of instances) {
    for (const campaign of one.campaigns) {
      const known = campaigns.get(campaign.campaignId)
      if (known === undefined || campaign.issued > known.issued) campaigns.set(campaign.campaignId, campaign)
    }
    for (const webhook of one.webhooks ?? []) {
      const known = webhooks.get(webhook.id)
      if (known === undefined || webhook.lagMillis < known.lagMillis) webhooks.set(webhook.id, webhook)
    }
  }
  return {
    at: most(instances.map(({ at }) => at)),
    perSecond: sums(instances.map(({ perSecond }) => perSecond)),
    p50: most(instances.map(({ latencyMillis }) => latencyMillis.ok.p50)),
    p99: most(instances.map(({ latencyMillis }) => latencyMillis.ok.p99)),
    commitsInDoubt: instances.reduce((sum, { commitsInDoubt }) => sum + commitsInDoubt, 0),
    verified: instances.flatMap(({ verified }) => verified === undefined || verified === null ? [] : [verified]),
    audits: sums(instances.map(({ audits }) => audits)),
    isGateUp: instances.some(({ gate }) => gate.up),
    outbox: instances.find(({ outbox }) => outbox !== null)?.outbox ?? null,
    campaigns: [...campaigns.values()],
    webhooks: [...webhooks.values()]
  }
}
