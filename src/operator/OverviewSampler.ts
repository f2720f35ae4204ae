import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { mayTouch, type Principal } from "../domain/Principal.ts"
import { Gate, type GateState } from "../ports/Gate.ts"
import { Agents } from "../agents/Agents.ts"
import { KnownCampaigns } from "../agents/KnownCampaigns.ts"
import { CampaignStore } from "../ports/CampaignStore.ts"
import { makeOverview, type MetricsOverview } from "../metrics/MetricsOverview.ts"
import { Outbox } from "../ports/Outbox.ts"
import { Startup } from "../rpc/Startup.ts"
import * as Redaction from "../config/Redaction.ts"
import { VERSION } from "../config/Version.ts"
import { instanceName, startedAt } from "./InstanceName.ts"
import { OperatorServices, type Ports } from "./OperatorServices.ts"
import type { ActiveCampaign, Overview } from "../contract/Overview.ts"
import { WebhookDelivery } from "../webhooks/delivery/WebhookDelivery.ts"

const INTERVAL = Duration.seconds(1)

/** The most campaigns in one sample: each costs one row of the ledger and one request to the gate. */
const MOST_CAMPAIGNS = 10

/** A store that has not answered within this is shown as not answering; the next sample asks again. */
const PATIENCE = Duration.millis(900)

export const ask = <A, E, R>(question: Effect.Effect<A, E, R>): Effect.Effect<Option.Option<A>, never, R> =>
  question.pipe(Effect.disconnect, Effect.timeout(PATIENCE), Effect.option)

export const gateWord = (state: Option.Option<GateState>): (typeof ActiveCampaign.Type)["gate"] =>
  Option.match(state, {
    onNone: () => "Unreachable" as const,
    onSome: ({ condition, generation, hydrated }) => {
      if (condition !== "Sound") return condition
      if (hydrated) return "Hydrated" as const
      return generation === undefined ? "Cold" as const : "Rebuilding" as const
    }
  })

const agentsOf = (ports: Context.Context<Ports>): Overview["agents"] =>
  Context.get(ports, Agents).states().map(({ lagMillis, lastFailure, lastRunAt, name }) => ({
    name,
    lastRunAt: lastRunAt ?? null,
    lastFailure: lastFailure === undefined
      ? null
      : { at: lastFailure.at, message: Redaction.text(lastFailure.message) },
    lagMillis: Math.round(lagMillis)
  }))

const webhooksOf = (ports: Context.Context<Ports>): Overview["webhooks"] =>
  Context.get(ports, WebhookDelivery).states().map(({ backlog, endpoint, lagMillis }) => ({
    id: endpoint.id,
    host: new URL(endpoint.url).host,
    state: endpoint.status === "DISABLED" ? "DISABLED" : endpoint.failingSince === undefined ? "ENABLED" : "FAILING",
    backlog,
    lagMillis
  }))

const stored = Effect.gen(function*() {
  const gate = yield* Gate
  const store = yield* CampaignStore
  const known = yield* KnownCampaigns
  const outbox = yield* Outbox
  const latest = known.active().slice(-MOST_CAMPAIGNS).reverse()
  const [backlog, campaigns] = yield* Effect.all([
    ask(outbox.backlog),
    Effect.forEach(
      latest,
      (campaignId) =>
        Effect.all([ask(store.find(campaignId)), ask(gate.inspect(campaignId))], { concurrency: 2 }),
      { concurrency: 4 }
    )
  ], { concurrency: 2 })
  return {
    outbox: Option.getOrNull(backlog),
    campaigns: campaigns.flatMap(([found, state]): ReadonlyArray<typeof ActiveCampaign.Type> => {
      const campaign = Option.getOrUndefined(found)
      if (campaign === undefined) return []
      const { campaignId, couponLimit, issuedCount, name, phase, returned, status } = campaign
      const { oldestPendingMillis, pending } = Option.getOrElse(state, () => ({ oldestPendingMillis: 0, pending: 0 }))
      return [{
        campaignId,
        name,
        status,
        phase,
        couponLimit,
        issued: issuedCount,
        returned,
        gate: gateWord(state),
        pending,
        oldestPendingMillis
      }]
    })
  }
})

type Verified = NonNullable<Overview["verified"]>

const sample = (
  look: () => MetricsOverview,
  verified: () => Verified | null
): Effect.Effect<Overview, never, OperatorServices | Startup> =>
  Effect.gen(function*() {
    const services = yield* OperatorServices
    const startup = yield* Startup
    const ports: Context.Context<Ports> | undefined = services.current()
    const stores = ports === undefined ? { outbox: null, campaigns: [] } : yield* Effect.provide(stored, ports)
    const waitingFor = startup.waitingFor()
    // The metrics' own gauges are some seconds old; the stores have just answered.
    const overview = look()
    const { batchSizes, commitsInDoubt, eventLoop, funnel, gate, inFlight, issuedTotal, latencyMillis } = overview
    return {
      at: Date.now(),
      instance: instanceName,
      version: VERSION,
      uptimeSeconds: Math.round((Date.now() - startedAt) / 1_000),
      ready: ports !== undefined && waitingFor.length === 0,
      waitingFor,
      seconds: overview.seconds,
      perSecond: overview.ratesByOutcome,
      latencyMillis,
      inFlight,
      issuedTotal,
      funnel,
      verified: verified(),
      batchSizes,
      gate: {
        ...gate,
        up: stores.campaigns.length === 0
          ? gate.up
          : stores.campaigns.some((campaign) => campaign.gate !== "Unreachable")
      },
      audits: overview.audits,
      commitsInDoubt,
      pool: overview.pool,
      eventLoop,
      memoryBytes: overview.memoryBytes,
      agents: ports === undefined ? [] : agentsOf(ports),
      webhooks: ports === undefined ? [] : webhooksOf(ports),
      ...stores
    }
  })

/** A call has samples for this long. Then its client calls again, by which a lost one ends, and proxies can balance. */
export const LIFE = Duration.minutes(10)

/** A sample as a caller may see it: of campaigns, those that its key may touch. The rest is of the whole instance. */
export const visibleTo = (principal: Principal) => (overview: Overview): Overview =>
  principal.campaigns === undefined
    ? overview
    : { ...overview, campaigns: overview.campaigns.filter(({ campaignId }) => mayTouch(principal, campaignId)) }

/** The samples of one call. They end between two of them, after `LIFE`, or at once when `stopped` completes. */
export const ofCall = (
  samples: Stream.Stream<Overview>,
  principal: Principal,
  stopped: Effect.Effect<void>
): Stream.Stream<Overview> =>
  samples.pipe(Stream.map(visibleTo(principal)), Stream.haltAfter(LIFE), Stream.interruptWhen(stopped))

/** What this instance does, for all who watch it. */
export class Overviews extends Context.Tag("coupon/operator/Overviews")<Overviews, {
  /**
   * One sample a second for all watchers together, and none without watchers. A further watcher gets the latest sample
   * at once.
   */
  readonly samples: Stream.Stream<Overview>
  /** Notes a verification that has ended. */
  readonly noteVerified: (verified: Verified) => void
}>() {}

export const layer: Layer.Layer<Overviews, never, OperatorServices | Startup> = Layer.scoped(
  Overviews,
  Effect.gen(function*() {
    const context = yield* Effect.context<OperatorServices | Startup>()
    let verified: Verified | null = null
    // Rates restart with the first watcher: an average since the last one left would not show the present.
    const fresh = Stream.unwrap(Effect.sync(() =>
      Stream.repeatEffectWithSchedule(
        Effect.provide(sample(makeOverview(), () => verified), context),
        Schedule.fixed(INTERVAL)
      )))
    const samples = yield* Stream.share(fresh, {
      capacity: 2,
      replay: 1,
      strategy: "sliding",
      idleTimeToLive: Duration.seconds(3)
    })
    return Overviews.of({
      samples,
      noteVerified: (latest) => {
        verified = latest
      }
    })
  })
)
