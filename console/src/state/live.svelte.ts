import type { Live as Line, LiveCampaign, MissingInstance } from "$contract/Live.ts"
import type { Overview } from "$contract/Overview.ts"
import { receiveLive } from "../api/liveStream.ts"
import { type Funnel, funnelOf } from "../logic/Funnel.ts"
import { merged, type Merged } from "../logic/Merged.ts"
import { byKind } from "../logic/Outcomes.ts"
import { added, type Point, rateOf } from "../logic/Projection.ts"
import { appended, type Second } from "../logic/Series.ts"
import { clock } from "./clock.svelte.ts"
import { Connection } from "./Connection.svelte.ts"

/** The rate over a window needs no more than this. */
const KEEP_MILLIS = 30_000

/** A line comes each second. */
const SILENCE_MILLIS = 6_000

/** A sample that covers less has rates of nothing. */
const LEAST_SECONDS = 0.2

/** What the service does, a line a second, for all pages: one stream a browser tab. */
class Live {
  readonly connection = new Connection()
  /** Each instance's latest sample, first that of the one that answers. */
  instances = $state.raw<ReadonlyArray<Overview>>([])
  /** Those that were there lately and have not left. */
  missing = $state.raw<ReadonlyArray<MissingInstance>>([])
  /** The other instances could not be asked. */
  isAlone = $state.raw(false)
  /** All instances together. */
  whole = $state.raw<Merged>()
  /** How far claims get; `undefined`: not known yet. */
  funnel = $state.raw<Funnel>()
  /** The place of the latest act in the audit log: what was read before may be old after it has moved. */
  auditHead = $state.raw<number>()
  /** The campaign that the stream is about; `undefined`: none, or nothing is known of it. */
  campaign = $state.raw<LiveCampaign>()
  /** The last 15 minutes, as far as this page has seen them. */
  seconds = $state.raw<ReadonlyArray<Second>>([])
  /** Coupons issued of each campaign that is active, lately. */
  #points = $state.raw<ReadonlyMap<number, ReadonlyArray<Point>>>(new Map())

  /** Coupons that a campaign issues a second. */
  rateOf(campaignId: number): number {
    return rateOf(this.#points.get(campaignId) ?? [], clock.now)
  }

  #take(line: Line): void {
    const { instances } = line
    clock.observe(line.at)
    this.funnel = funnelOf(this.instances, instances) ?? this.funnel
    this.instances = instances
    this.missing = line.missing
    this.isAlone = line.alone
    this.auditHead = line.auditHead ?? this.auditHead
    this.campaign = line.campaign ?? undefined
    const whole = merged(instances)
    if (whole === undefined) return
    this.whole = whole
    this.#points = new Map(whole.campaigns.map(({ campaignId, issued }) => [
      campaignId,
      added(this.#points.get(campaignId) ?? [], { at: line.at, issued }, KEEP_MILLIS)
    ]))
    if (instances.every(({ seconds }) => seconds < LEAST_SECONDS)) return
    this.seconds = appended(this.seconds, {
      at: line.at,
      perSecond: byKind(whole.perSecond),
      p50: whole.p50,
      p99: whole.p99
    })
  }

  /** Follows the stream until the result is called. `campaignId`: a campaign of which more is sent. */
  start(campaignId: number | undefined): () => void {
    this.campaign = undefined
    return this.connection.follow((signal, received) =>
      receiveLive(campaignId === undefined ? {} : { campaignId }, (line) => {
        received()
        this.#take(line)
      }, signal), SILENCE_MILLIS)
  }
}

export const live = new Live()
