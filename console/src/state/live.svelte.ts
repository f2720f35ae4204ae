import type { Live as Line, LiveCampaign, MissingInstance } from "$contract/Live.ts"
import type { Overview } from "$contract/Overview.ts"
import { receiveLive } from "../api/liveStream.ts"
import { merged, type Merged } from "../logic/Merged.ts"
import { added, type Point, rateOf } from "../logic/Projection.ts"
import * as Sale from "../logic/Sale.ts"
import { clock } from "./clock.svelte.ts"
import { Connection } from "./Connection.svelte.ts"

/** The rate over a window needs no more than this. */
const KEEP_MILLIS = 30_000

/** A line comes each second. */
const SILENCE_MILLIS = 6_000

/** What is known of a campaign's latest seconds. */
interface SaleSeconds {
  /** Epoch milliseconds: of the time before, nothing is known. */
  readonly since: number
  readonly seconds: Sale.Seconds
}

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
  /** When the latest line was written, by the server's clock. */
  at = $state.raw<number>()
  /** The place of the latest act in the audit log: what was read before may be old after it has moved. */
  auditHead = $state.raw<number>()
  /** The campaign that the stream is about; `undefined`: none, or nothing is known of it. */
  campaign = $state.raw<LiveCampaign>()
  /** What was counted of it each second: the last 15 minutes at once; `undefined`: nothing is known. */
  sale = $state.raw<SaleSeconds>()
  /** Coupons issued of each campaign that is active, lately. */
  #points = $state.raw<ReadonlyMap<number, ReadonlyArray<Point>>>(new Map())

  /** Coupons that a campaign issues a second. */
  rateOf(campaignId: number): number {
    return rateOf(this.#points.get(campaignId) ?? [], clock.now)
  }

  #take(line: Line): void {
    const { instances } = line
    clock.observe(line.at)
    this.at = line.at
    this.instances = instances
    this.missing = line.missing
    this.isAlone = line.alone
    this.auditHead = line.auditHead ?? this.auditHead
    this.campaign = line.campaign ?? undefined
    if (line.sale !== undefined) this.#count(line.sale)
    const whole = merged(instances)
    if (whole === undefined) return
    this.whole = whole
    this.#points = new Map(whole.campaigns.map(({ campaignId, issued }) => [
      campaignId,
      added(this.#points.get(campaignId) ?? [], { at: line.at, issued }, KEEP_MILLIS)
    ]))
  }

  #count(sale: NonNullable<Line["sale"]> | null): void {
    const { seconds = [], since = Infinity } = this.sale ?? {}
    this.sale = sale === null
      ? undefined
      : { since: Math.min(since, sale.since), seconds: Sale.merged(seconds, sale.seconds) }
  }

  /** Follows the stream until the result is called. `campaignId`: a campaign of which more is sent. */
  start(campaignId: number | undefined): () => void {
    this.campaign = undefined
    this.sale = undefined
    return this.connection.follow((signal, received) =>
      receiveLive(campaignId === undefined ? {} : { campaignId }, (line) => {
        received()
        this.#take(line)
      }, signal), SILENCE_MILLIS)
  }
}

export const live = new Live()
