import type { Overview } from "$contract/Overview.ts"
import { receive } from "../api/operator.ts"
import { merged, type Merged } from "../logic/Merged.ts"
import { byKind } from "../logic/Outcomes.ts"
import { added, type Point, rateOf } from "../logic/Projection.ts"
import { appended, type Second } from "../logic/Series.ts"
import { clock } from "./clock.svelte.ts"
import { Connection } from "./Connection.svelte.ts"

/** The rate over a window needs no more than this. */
const KEEP_MILLIS = 30_000

/** A sample comes each second. */
const SILENCE_MILLIS = 6_000

/** A sample that covers less has rates of nothing. */
const LEAST_SECONDS = 0.2

/** What the service does, a sample a second, for all pages: one stream a browser tab. */
class Live {
  readonly connection = new Connection()
  instances = $state.raw<ReadonlyArray<Overview>>([])
  /** All instances together. */
  whole = $state.raw<Merged>()
  /** The last 15 minutes, as far as this page has seen them. */
  seconds = $state.raw<ReadonlyArray<Second>>([])
  /** By how many events a second the outbox grows. */
  backlogGrowth = $state.raw(0)
  /** Coupons issued of each campaign that is active, lately. */
  #points = $state.raw<ReadonlyMap<number, ReadonlyArray<Point>>>(new Map())

  /** Coupons that a campaign issues a second. */
  rateOf(campaignId: number): number {
    return rateOf(this.#points.get(campaignId) ?? [], clock.now)
  }

  #take(instances: ReadonlyArray<Overview>): void {
    const whole = merged(instances)
    if (whole === undefined) return
    clock.observe(whole.at)
    const before = this.whole
    this.instances = instances
    this.whole = whole
    this.#points = new Map(whole.campaigns.map(({ campaignId, issued }) => [
      campaignId,
      added(this.#points.get(campaignId) ?? [], { at: whole.at, issued }, KEEP_MILLIS)
    ]))
    if (instances.every(({ seconds }) => seconds < LEAST_SECONDS)) return
    const passed = before === undefined ? 0 : (whole.at - before.at) / 1_000
    this.backlogGrowth = passed > 0 && before?.outbox && whole.outbox
      ? (whole.outbox.events - before.outbox.events) / passed
      : 0
    this.seconds = appended(this.seconds, {
      at: whole.at,
      perSecond: byKind(whole.perSecond),
      p50: whole.p50,
      p99: whole.p99
    })
  }

  start(): () => void {
    return this.connection.follow((signal, received) =>
      receive((client) => client.Overview(), (sample) => {
        received()
        this.#take([sample])
      }, { signal }), SILENCE_MILLIS)
  }
}

export const live = new Live()
