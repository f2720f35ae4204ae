import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Live } from "../../contract/Live.ts"
import type { Overview } from "../../contract/Overview.ts"
import { InstanceBoard, type InstanceNotice } from "../../ports/operation/InstanceBoard.ts"
import { instanceName } from "../InstanceName.ts"
import { OperatorServices } from "../OperatorServices.ts"
import { ask, Overviews } from "../OverviewSampler.ts"
import { SaleHistory } from "../../agents/sale/SaleHistory.ts"
import * as LiveSales from "./LiveSales.ts"

/** What all instances do, as one of them gathers it. */
export type Gathered = Pick<Live, "alone" | "at" | "instance" | "instances" | "missing">

/** An instance without watchers anywhere says that it is there, and looks whether there are any, after this long. */
const IDLE_SECONDS = 5

/** For so long after its last watcher left, an instance asks the others for samples. */
const WATCHED_MILLIS = 12_000

/** A sample that is older shows no present, and an instance without a notice of this age is missing. */
const FRESH_MILLIS = 4_000
const MISSED_MILLIS = 15_000

/** What a notice says. */
interface Posted {
  /** Until when the instance has watchers, and wants samples of all others. */
  readonly watchedUntil: number
  readonly sample: Overview | undefined
  /** What it wants of the others' counts, and what it has of its own that one of them wants. */
  readonly wants: ReadonlyArray<LiveSales.Want>
  readonly sales: ReadonlyArray<LiveSales.Part>
}

/** A notice of another instance; `posted` is `undefined` if it cannot be read. */
interface Notice {
  readonly instance: string
  readonly at: number
  readonly posted: Posted | undefined
}

const arrays = <A>(value: ReadonlyArray<A> | undefined): ReadonlyArray<A> =>
  Array.isArray(value) ? (value as ReadonlyArray<A>).filter((one) => Array.isArray(one)) : []

const read = (text: string): Posted | undefined => {
  try {
    const { sales, sample, wants, watchedUntil } = JSON.parse(text) as Partial<Posted>
    if (typeof watchedUntil !== "number") return undefined
    // Another version's may lack them.
    return { watchedUntil, sample, wants: arrays(wants), sales: arrays(sales) }
  } catch {
    return undefined
  }
}

const othersOf = (notices: ReadonlyArray<InstanceNotice>): ReadonlyArray<Notice> =>
  notices.filter(({ instance }) => instance !== instanceName)
    .map(({ at, instance, text }) => ({ instance, at, posted: read(text) }))

const gather = (own: Overview, others: ReadonlyArray<Notice> | undefined, now: number): Gathered => ({
  at: now,
  instance: instanceName,
  instances: [
    own,
    ...(others ?? []).flatMap(({ at, posted }) => {
      const sample = now - at < FRESH_MILLIS ? posted?.sample : undefined
      return sample === undefined ? [] : [sample]
    })
  ],
  missing: (others ?? []).filter(({ at }) => now - at > MISSED_MILLIS)
    .map(({ at, instance }) => ({ instance, seenAt: at })),
  alone: others === undefined
})

/**
 * Samples of all instances, one a second while there is a reader. Each instance posts its own to the board, a sample
 * while there is a reader at any of them, else only that it is there; and what campaigns did each second, as far as a
 * reader wants it. `hasReaders`: whether there are some here; `watched`: the campaigns that they read.
 */
export const run = ({ hasReaders, publish, sales, watched }: {
  readonly hasReaders: () => boolean
  readonly watched: () => ReadonlySet<number>
  readonly sales: LiveSales.LiveSales
  readonly publish: (gathered: Gathered) => Effect.Effect<unknown>
}): Effect.Effect<
  { readonly wake: () => void },
  never,
  OperatorServices | Overviews | Scope.Scope
> =>
  Effect.gen(function*() {
    const services = yield* OperatorServices
    const { samples } = yield* Overviews
    let watchedUntil = 0
    let othersUntil = 0
    let othersWants: ReadonlyArray<LiveSales.Want> = []
    let woken = yield* Deferred.make<void>()

    /** Posts what is there, and learns until when others want samples; `undefined`: the board does not answer. */
    const post = (sample: Overview | undefined) =>
      Effect.gen(function*() {
        const now = Date.now()
        if (hasReaders()) watchedUntil = now + WATCHED_MILLIS
        const ports = services.current()
        if (ports === undefined) return undefined
        const { since } = yield* Effect.provide(SaleHistory, ports)
        sales.watch(watched(), now)
        const wants = sales.wants(now)
        sales.take(instanceName, LiveSales.partsOf(wants, since))
        const posted = { watchedUntil, sample, wants, sales: LiveSales.partsOf(othersWants, since) }
        const text = JSON.stringify(posted satisfies Posted)
        const board = yield* Effect.provide(InstanceBoard, ports)
        const notices = yield* ask(board.post({ instance: instanceName, at: now, text }))
        if (notices._tag === "None") return undefined
        const others = othersOf(notices.value)
        othersUntil = Math.max(0, ...others.map(({ posted }) => posted?.watchedUntil ?? 0))
        othersWants = others.flatMap(({ posted }) =>
          posted !== undefined && posted.watchedUntil > now ? posted.wants : [])
        for (const { instance, posted } of others) sales.take(instance, posted?.sales ?? [])
        return others
      })

    const isWatched = () => hasReaders() || othersUntil > Date.now()

    const tick = (sample: Overview) =>
      Effect.gen(function*() {
        const others = yield* post(sample)
        if (hasReaders()) yield* publish(gather(sample, others, Date.now()))
        return isWatched()
      })

    const rest = Effect.gen(function*() {
      yield* post(undefined)
      if (isWatched()) return
      woken = yield* Deferred.make<void>()
      yield* Effect.raceFirst(Deferred.await(woken), Effect.sleep(`${IDLE_SECONDS} seconds`))
    })

    // Before the fiber, so that it runs after the fiber has ended, which would post again.
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        const ports = services.current()
        return ports === undefined
          ? Effect.void
          : ask(Effect.flatMap(Effect.provide(InstanceBoard, ports), ({ remove }) => remove([instanceName])))
      }))
    yield* Effect.forkScoped(Effect.forever(
      Effect.suspend(() =>
        isWatched()
          ? Stream.runDrain(Stream.takeWhile(Stream.mapEffect(samples, tick), (goesOn) => goesOn))
          : rest
      ).pipe(Effect.catchAllCause((cause) =>
        Effect.zipRight(Effect.logDebug("the samples of all instances failed", cause), Effect.sleep("1 second"))))
    ))
    return { wake: () => Deferred.unsafeDone(woken, Effect.void) }
  })
