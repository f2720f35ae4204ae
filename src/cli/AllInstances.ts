import { lookup } from "node:dns/promises"
import { isIP } from "node:net"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Take from "effect/Take"
import type { Overview } from "../contract/Overview.ts"
import { TimedOut } from "../client/ClientFailure.ts"
import type { OperatorClient } from "../client/OperatorClient.ts"
import { type CliFailure, ofNoAnswer, ofOperatorCall } from "./CliFailure.ts"
import type { Connection } from "./Connection.ts"

/** The first sample of an instance without watchers covers no time, so its rates would be 0. */
const LEAST_SECONDS = 0.2

/** The first search ends after this many rounds in a row without a new instance. */
const QUIET_ROUNDS = 3

/** Most calls in a round: an instance serves 64 requests of operators at a time. */
const MAX_PROBES = 16

/** Pause between rounds once a search has ended: instances start, and a balancer may not have led to one yet. */
const SEARCH_PAUSE = "2 seconds"

/** Pause between rounds while no instance answers. */
const RETRY_PAUSE = "1 second"

/** For so long an instance whose stream has ended counts as known: it is called again at once, if it still serves. */
const RESUME_MILLIS = 3_000

/** Once an instance was reached, the samples fail after this many rounds in a row that reach none. */
const MAX_MISSED_ROUNDS = 60

export interface AllInstances {
  /**
   * The samples of every instance; `instance` names it. Fails at once if the first round reaches none, later if none is
   * reached for a minute or the key is rejected.
   */
  readonly samples: Stream.Stream<Overview, CliFailure>
  /** Names of the instances that are followed now. */
  readonly known: () => ReadonlySet<string>
  /** Whether the search has ended. Probably all instances that a balancer leads to are known then. */
  readonly settled: () => boolean
}

/**
 * The URLs behind one: each address, if its name has several (a headless service). Only the URL itself for https, since
 * certificates are for the name.
 */
export const addressesOf = async (url: string): Promise<ReadonlyArray<string>> => {
  const parsed = new URL(url)
  if (parsed.protocol !== "http:" || isIP(parsed.hostname.replace(/^\[|\]$/g, "")) !== 0) return [url]
  const found = await lookup(parsed.hostname, { all: true }).catch(() => [])
  if (found.length < 2) return [url]
  return found.map(({ address, family }) => {
    const one = new URL(url)
    one.hostname = family === 6 ? `[${address}]` : address
    return one.href.replace(/\/+$/, "")
  })
}

/**
 * Finds instances by repeated calls: a balancer sends each to another instance, and each address of a name is called.
 * This works with any proxy, and instances need not know each other. One stream then follows each instance.
 */
export const make = (
  connection: Connection,
  connect: (connection: Connection) => Effect.Effect<OperatorClient["Type"], never, Scope.Scope>
): Effect.Effect<AllInstances, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const queue = yield* Queue.unbounded<Take.Take<Overview, CliFailure>>()
    const clients = new Map<string, OperatorClient["Type"]>()
    const known = new Set<string>()
    /** Instances whose streams have ended, with the time until which they count as known. */
    const resuming = new Map<string, number>()
    /** When the latest sample of an instance was taken. A stream that begins again has that sample once more. */
    const takenAt = new Map<string, number>()
    /** Taken by a stream that ends, so that its instance is called again without a pause. */
    const ended = yield* Queue.sliding<void>(1)
    let quiet = 0

    const clientOf = (target: string) =>
      Effect.gen(function*() {
        const known = clients.get(target)
        if (known !== undefined) return known
        const made = yield* connect({ ...connection, url: target })
        clients.set(target, made)
        return made
      })

    /** Returns whether the instance that answers was unknown. Then its stream is followed to its end. */
    const probe = (target: string): Effect.Effect<boolean, CliFailure, Scope.Scope> =>
      Effect.gen(function*() {
        const client = yield* clientOf(target)
        const met = yield* Deferred.make<boolean, CliFailure>()
        let followed: string | undefined
        const follow = Stream.runForEachWhile(client.Overview(), (sample) =>
          Effect.suspend(() => {
            if (followed === undefined) {
              if (known.has(sample.instance)) return Effect.as(Deferred.succeed(met, false), false)
              followed = sample.instance
              known.add(followed)
              resuming.delete(followed)
            }
            const isNew = sample.at !== takenAt.get(followed)
            takenAt.set(followed, sample.at)
            const offer = isNew && sample.seconds >= LEAST_SECONDS ? Queue.offer(queue, Take.of(sample)) : Effect.void
            return Effect.as(Effect.zipRight(Deferred.succeed(met, true), offer), true)
          })).pipe(
          Effect.ensuring(Effect.sync(() => {
            if (followed === undefined) return
            known.delete(followed)
            resuming.set(followed, performance.now() + RESUME_MILLIS)
            quiet = 0
          })),
          Effect.mapError(ofOperatorCall),
          Effect.matchEffect({
            onFailure: (failure) => Deferred.fail(met, failure),
            onSuccess: () => Deferred.succeed(met, false)
          }),
          Effect.zipRight(Effect.suspend(() => followed === undefined ? Effect.void : Queue.offer(ended, undefined)))
        )
        const fiber = yield* Effect.forkIn(follow, scope)
        return yield* Deferred.await(met).pipe(Effect.timeoutFail({
          duration: connection.timeoutMillis,
          onTimeout: () => ofNoAnswer(new TimedOut({ url: target, mayBeDone: false }))
        }), Effect.tapError(() => Fiber.interruptFork(fiber)))
      })

    /** A pause between rounds, which ends when an instance is to be called again. */
    const pause = (length: Duration.DurationInput) => Effect.raceFirst(Effect.sleep(length), Queue.take(ended))

    let reached = false
    let missed = 0
    const round = Effect.gen(function*() {
      const targets = yield* Effect.promise(() => addressesOf(connection.url))
      const each = targets.length > 1 ? 1 : Math.min(MAX_PROBES, quiet < QUIET_ROUNDS ? 2 * known.size + 1 : 1)
      const before = quiet
      const outcomes = yield* Effect.forEach(
        targets.flatMap((target) => Array<string>(each).fill(target)),
        (target) => Effect.either(probe(target)),
        { concurrency: "unbounded" }
      )
      const answers = outcomes.flatMap((one) => one._tag === "Right" ? [one.right] : [])
      const failures = outcomes.flatMap((one) => one._tag === "Left" ? [one.left] : [])
      if (answers.length > 0) {
        reached = true
        missed = 0
      } else if (known.size === 0) missed++
      const [worst] = [...failures.filter(({ exit }) => exit !== "UNAVAILABLE"), ...failures]
      const isFinal = !reached || worst?.exit !== "UNAVAILABLE" || missed > MAX_MISSED_ROUNDS
      if (worst !== undefined && answers.length === 0 && isFinal) {
        yield* Queue.offer(queue, Take.fail(worst))
        return yield* Effect.never
      }
      // A stream that ended meanwhile has set `quiet` to 0.
      quiet = answers.includes(true) || quiet < before ? 0 : before + 1
      if (known.size === 0) yield* Effect.sleep(RETRY_PAUSE)
      else if (quiet >= QUIET_ROUNDS) yield* pause(SEARCH_PAUSE)
    })
    yield* Effect.forkIn(Effect.forever(round), scope)

    return {
      samples: Stream.flattenTake(Stream.fromQueue(queue)),
      known: () => {
        const now = performance.now()
        for (const [name, until] of resuming) if (until <= now) resuming.delete(name)
        return new Set([...known, ...resuming.keys()])
      },
      settled: () => quiet >= QUIET_ROUNDS
    }
  })
