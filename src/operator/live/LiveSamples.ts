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
}

const read = ({ text }: InstanceNotice): Posted | undefined => {
  try {
    const { sample, watchedUntil } = JSON.parse(text) as Partial<Posted>
    return typeof watchedUntil === "number" ? { watchedUntil, sample } : undefined
  } catch {
    return undefined
  }
}

const gather = (own: Overview, notices: ReadonlyArray<InstanceNotice> | undefined, now: number): Gathered => {
  const others = (notices ?? []).filter(({ instance }) => instance !== instanceName)
  return {
    at: now,
    instance: instanceName,
    instances: [
      own,
      ...others.flatMap((notice) => {
        const sample = now - notice.at < FRESH_MILLIS ? read(notice)?.sample : undefined
        return sample === undefined ? [] : [sample]
      })
    ],
    missing: others.filter(({ at }) => now - at > MISSED_MILLIS)
      .map(({ at, instance }) => ({ instance, seenAt: at })),
    alone: notices === undefined
  }
}

/**
 * Samples of all instances, one a second while there is a reader. Each instance posts its own to the board, a sample
 * while there is a reader at any of them, else only that it is there. `hasReaders`: whether there are some here.
 */
export const run = (
  hasReaders: () => boolean,
  publish: (gathered: Gathered) => Effect.Effect<unknown>
): Effect.Effect<
  { readonly wake: () => void },
  never,
  OperatorServices | Overviews | Scope.Scope
> =>
  Effect.gen(function*() {
    const services = yield* OperatorServices
    const { samples } = yield* Overviews
    let watchedUntil = 0
    let othersUntil = 0
    let woken = yield* Deferred.make<void>()

    /** Posts what is there, and learns until when others want samples; `undefined`: the board does not answer. */
    const post = (sample: Overview | undefined) =>
      Effect.gen(function*() {
        const now = Date.now()
        if (hasReaders()) watchedUntil = now + WATCHED_MILLIS
        const ports = services.current()
        if (ports === undefined) return undefined
        const text = JSON.stringify({ watchedUntil, sample } satisfies Posted)
        const board = yield* Effect.provide(InstanceBoard, ports)
        const notices = yield* ask(board.post({ instance: instanceName, at: now, text }))
        if (notices._tag === "None") return undefined
        const others = notices.value.filter(({ instance }) => instance !== instanceName)
        othersUntil = Math.max(0, ...others.map((notice) => read(notice)?.watchedUntil ?? 0))
        return notices.value
      })

    const isWatched = () => hasReaders() || othersUntil > Date.now()

    const tick = (sample: Overview) =>
      Effect.gen(function*() {
        const notices = yield* post(sample)
        if (hasReaders()) yield* publish(gather(sample, notices, Date.now()))
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
