import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"

/** The item's deadline passed. `started`: its batch is under way, so its result is not known yet. */
export class BatchTimeout extends Data.TaggedError("BatchTimeout")<{ readonly started: boolean }> {}

/** How items of one key become batches. */
export interface BatcherOptions<In, Out, E> {
  /** Most items in a batch. */
  readonly maxBatch: number
  /** How many batches of one key run side by side. With 1, a batch is what queued while the last one ran. */
  readonly maxInFlight: number
  /**
   * A lane with more items than this runs in halves: one half is under way while the clients of the other get their
   * answers and ask again. Otherwise closed-loop clients end up in a single batch, and Node and the store idle in turn.
   */
  readonly halvesAbove?: number
  /**
   * Processes a batch and returns one result per item, in order. Runs in the batcher's own fiber, so no caller can
   * interrupt it. A batch that calls `stepAside` no longer counts towards `maxInFlight`: the next one begins at once,
   * and its own results may come at any later time.
   */
  readonly run: (key: number, items: ReadonlyArray<In>, stepAside: () => void) => Effect.Effect<ReadonlyArray<Out>, E>
  /** Called with a result whose submitter had timed out. */
  readonly abandoned?: (key: number, item: In, out: Out) => void
}

/** Receives the result of an item. */
export type Done<Out, E> = (exit: Exit.Exit<Out, E | BatchTimeout>) => void

/** Turns single submissions into batches, per key. */
export interface Batcher<In, Out, E> {
  /**
   * Queues an item. `done` is called exactly once with its result, never before this returns, and must not throw. The
   * result is `BatchTimeout` once `expiresAt` (milliseconds of `performance.now()`) has passed: an item that still
   * queues then is dropped, and one under way is abandoned.
   */
  readonly enqueue: (key: number, item: In, expiresAt: number, done: Done<Out, E>) => void
  /** `enqueue` as an Effect. An `Effect.async` costs 4 µs, so the hot path does not use it. */
  readonly submit: (key: number, item: In, expiresAt: number) => Effect.Effect<Out, E | BatchTimeout>
  /** Completes when nothing queues or is under way. */
  readonly idle: Effect.Effect<void>
  /** Items that queue or are under way. */
  readonly size: () => number
}

interface Entry<In, Out, E> {
  readonly item: In
  readonly expiresAt: number
  /** `undefined` once it was called. */
  done: Done<Out, E> | undefined
}

interface Lane<In, Out, E> {
  waiting: Array<Entry<In, Out, E>>
  /** An array and no Set: see `idleRunners`. */
  readonly running: Array<ReadonlyArray<Entry<In, Out, E>>>
  /** Batches that stepped aside. */
  readonly aside: Array<ReadonlyArray<Entry<In, Out, E>>>
  scheduled: boolean
  /** Recent number of items, waiting and under way. Includes those just answered, whose clients may soon ask again. */
  crowd: number
}

/** How often deadlines are checked. One timer for all items costs less than a timer each (about 1 µs a request). */
const SWEEP_MILLIS = 20

/** The share of a lane's crowd that is still counted after each batch in which it did not come back. */
const CROWD_KEPT = 0.9

/**
 * Makes a batcher. A lane of a key flushes at the end of the event loop's turn (`setImmediate`), so that all requests
 * read in one poll phase share a batch, and whenever a batch of it ends. The per-item path is plain callbacks;
 * Effect proper starts with the batch.
 */
export const make = <In, Out, E>(
  options: BatcherOptions<In, Out, E>
): Effect.Effect<Batcher<In, Out, E>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const halvesAbove = options.halvesAbove ?? Infinity
    const lanes = new Map<number, Lane<In, Out, E>>()
    let size = 0
    let sweeper: NodeJS.Timeout | undefined
    const idleWaiters: Array<() => void> = []

    /**
     * Fibers that wait for a batch to run, and are used again. A new fiber for each batch would enter and leave
     * Effect's Set of root fibers. V8 chains the tables that a Set leaves behind as it changes: an old table keeps all
     * later ones, and every batch in them, until the old generation is collected (docs/internals/decisions.md, 24).
     */
    const idleRunners: Array<(job: Effect.Effect<void>) => void> = []
    let isClosed = false
    /** Completes with the job that a runner is given. */
    const nextJob = Effect.async<void>((resume) => {
      idleRunners.push(resume)
    })
    const runJobs: Effect.Effect<void> = Effect.suspend(() =>
      isClosed ? Effect.void : Effect.zipRight(nextJob, runJobs)
    )
    const start = (job: Effect.Effect<void>) => {
      const runner = idleRunners.pop()
      if (runner === undefined) runFork(Effect.zipRight(job, runJobs))
      else runner(job)
    }

    const settle = (entry: Entry<In, Out, E>, exit: Exit.Exit<Out, E | BatchTimeout>) => {
      const done = entry.done
      entry.done = undefined
      done?.(exit)
    }

    const leave = (count: number) => {
      size -= count
      if (size > 0) return
      clearInterval(sweeper)
      sweeper = undefined
      for (const wake of idleWaiters.splice(0)) wake()
    }

    /** Deletes an empty lane. A lane in use stays the only one of its key; otherwise two would run side by side. */
    const retire = (key: number, lane: Lane<In, Out, E>) => {
      const isEmpty = lane.waiting.length === 0 && lane.running.length === 0 && lane.aside.length === 0
      if (isEmpty && !lane.scheduled) lanes.delete(key)
    }

    const take = (
      batches: Array<ReadonlyArray<Entry<In, Out, E>>>,
      batch: ReadonlyArray<Entry<In, Out, E>>
    ): boolean => {
      const at = batches.indexOf(batch)
      if (at >= 0) batches.splice(at, 1)
      return at >= 0
    }

    const stepAside = (key: number, lane: Lane<In, Out, E>, batch: ReadonlyArray<Entry<In, Out, E>>) => {
      if (!take(lane.running, batch)) return
      lane.aside.push(batch)
      flush(key, lane)
    }

    const finish = (
      key: number,
      lane: Lane<In, Out, E>,
      batch: ReadonlyArray<Entry<In, Out, E>>,
      exit: Exit.Exit<ReadonlyArray<Out>, E>
    ) => {
      if (!take(lane.running, batch)) take(lane.aside, batch)
      lane.crowd = Math.max(batch.length + lane.waiting.length, lane.crowd * CROWD_KEPT)
      if (Exit.isSuccess(exit)) {
        for (let i = 0; i < batch.length; i++) {
          const entry = batch[i]!
          const out = exit.value[i]!
          if (entry.done === undefined) options.abandoned?.(key, entry.item, out)
          else settle(entry, Exit.succeed(out))
        }
      } else {
        const failure = Exit.failCause(exit.cause)
        for (const entry of batch) settle(entry, failure)
      }
      // Last, because Effect resumes a woken fiber only after this returns. A scheduler that resumes it at once was
      // no faster (0.34 of the raw echo against 0.38 with 128 clients, the same with 512).
      flush(key, lane)
      leave(batch.length)
    }

    const flush = (key: number, lane: Lane<In, Out, E>) => {
      lane.scheduled = false
      while (lane.waiting.length > 0 && lane.running.length < options.maxInFlight) {
        const crowd = Math.max(lane.crowd, lane.waiting.length)
        const most = Math.min(options.maxBatch, Math.max(halvesAbove, Math.ceil(crowd / 2)))
        const batch = lane.waiting.length <= most ? lane.waiting : lane.waiting.slice(0, most)
        lane.waiting = batch === lane.waiting ? [] : lane.waiting.slice(most)
        lane.running.push(batch)
        const job = Effect.exit(options.run(key, batch.map((entry) => entry.item), () => stepAside(key, lane, batch)))
        start(Effect.map(job, (exit) => finish(key, lane, batch, exit)))
      }
      retire(key, lane)
    }

    const expireStarted = (batches: ReadonlyArray<ReadonlyArray<Entry<In, Out, E>>>, now: number) => {
      for (const batch of batches) {
        for (const entry of batch) {
          if (entry.done === undefined || entry.expiresAt > now) continue
          settle(entry, Exit.fail(new BatchTimeout({ started: true })))
        }
      }
    }

    const sweep = () => {
      const now = performance.now()
      for (const [key, lane] of lanes) {
        if (lane.waiting.some((entry) => entry.expiresAt <= now)) {
          const expired = lane.waiting.filter((entry) => entry.expiresAt <= now)
          lane.waiting = lane.waiting.filter((entry) => entry.expiresAt > now)
          for (const entry of expired) settle(entry, Exit.fail(new BatchTimeout({ started: false })))
          leave(expired.length)
          retire(key, lane)
        }
        expireStarted(lane.running, now)
        if (lane.aside.length > 0) expireStarted(lane.aside, now)
      }
    }

    const enqueue: Batcher<In, Out, E>["enqueue"] = (key, item, expiresAt, done) => {
      let lane = lanes.get(key)
      if (lane === undefined) lanes.set(key, lane = { waiting: [], running: [], aside: [], scheduled: false, crowd: 0 })
      lane.waiting.push({ item, expiresAt, done })
      size++
      sweeper ??= setInterval(sweep, SWEEP_MILLIS)
      if (!lane.scheduled && lane.running.length < options.maxInFlight) {
        lane.scheduled = true
        setImmediate(flush, key, lane)
      }
    }

    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        clearInterval(sweeper)
        isClosed = true
        for (const runner of idleRunners.splice(0)) runner(Effect.void)
      })
    )

    return {
      enqueue,
      submit: (key, item, expiresAt) => Effect.async((resume) => enqueue(key, item, expiresAt, resume)),
      idle: Effect.async((resume) => {
        if (size === 0) return resume(Effect.void)
        idleWaiters.push(() => resume(Effect.void))
      }),
      size: () => size
    }
  })

