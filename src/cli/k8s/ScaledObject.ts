import * as Either from "effect/Either"

/** What a ScaledObject of KEDA is made of: more instances before a sale opens, and for a while after. */
export interface Sale {
  readonly campaignId: number
  readonly name: string
  /** When the campaign opens, in epoch milliseconds. */
  readonly start: number
  /** For so long before the start, and after it, the replicas are wanted. */
  readonly leadMillis: number
  readonly forMillis: number
  readonly deployment: string
  readonly namespace: string | undefined
  readonly replicas: number
  readonly minReplicas: number
  readonly maxReplicas: number
  /** Of the CPU that a Pod requests, in percent. */
  readonly cpuUtilization: number
}

const MINUTE = 60_000

/** Dates of cron have no year. */
const YEAR = 365 * 86_400_000

/** A minute of UTC as cron writes it. */
const cronOf = (at: number): string => {
  const date = new Date(at)
  return `${date.getUTCMinutes()} ${date.getUTCHours()} ${date.getUTCDate()} ${date.getUTCMonth() + 1} *`
}

export interface CronTrigger {
  readonly timezone: "UTC"
  readonly start: string
  readonly end: string
  readonly desiredReplicas: string
}

/**
 * From when to when, to whole minutes around it. In UTC, so that clocks that change move nothing. The left is why a
 * trigger cannot say it.
 */
export const cronTrigger = (
  { forMillis, leadMillis, replicas, start }: Pick<Sale, "start" | "leadMillis" | "forMillis" | "replicas">,
  now: number
): Either.Either<CronTrigger, string> => {
  const from = Math.floor((start - leadMillis) / MINUTE) * MINUTE
  const to = Math.ceil((start + forMillis) / MINUTE) * MINUTE
  if (to <= now) return Either.left("the time for which it would ask for replicas has passed")
  if (to - now >= YEAR) return Either.left("the sale is a year or more ahead, and cron has no years: ask again later")
  return Either.right({
    timezone: "UTC",
    start: cronOf(from),
    end: cronOf(to),
    desiredReplicas: String(replicas)
  })
}

/** The document, for `kubectl apply`. */
export const scaledObject = (sale: Sale, cron: CronTrigger) => ({
  apiVersion: "keda.sh/v1alpha1",
  kind: "ScaledObject",
  metadata: {
    name: sale.deployment,
    ...sale.namespace === undefined ? {} : { namespace: sale.namespace },
    annotations: { "coupon-issuance/campaign": `${sale.campaignId} ${sale.name}` }
  },
  spec: {
    scaleTargetRef: { name: sale.deployment },
    minReplicaCount: sale.minReplicas,
    maxReplicaCount: sale.maxReplicas,
    // As the chart has it: instances that leave in between cost more than they save.
    cooldownPeriod: 900,
    triggers: [
      { type: "cpu", metricType: "Utilization", metadata: { value: String(sale.cpuUtilization) } },
      { type: "cron", metadata: cron }
    ]
  }
})

/** The same as values of the chart, which has a ScaledObject of its own. */
export const chartValues = (sale: Sale, { desiredReplicas, ...cron }: CronTrigger) => ({
  replicas: sale.minReplicas,
  keda: {
    enabled: true,
    maxReplicas: sale.maxReplicas,
    cpuUtilization: sale.cpuUtilization,
    cron: [{ ...cron, desiredReplicas: Number(desiredReplicas) }]
  }
})
