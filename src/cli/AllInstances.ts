import { lookup } from "node:dns/promises"
import { isIP } from "node:net"
import * as Deferred from "effect/Deferred"
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

/** So many rounds in a row that meet no new instance end the first search. */
const QUIET_ROUNDS = 3

/** Most questions in a round: an instance serves 64 requests of operators at a time. */
const MOST_PROBES = 16

/** Pause between rounds once a search has ended: instances come, and a balancer may have kept one from us. */
const LOOK_AGAIN = "2 seconds"

/** While no instance answers at all. */
const RETRY = "1 second"

/** How many rounds in a row may reach no instance, after one was reached, before the samples end with the failure. */
const ATTEMPTS = 60

export interface AllInstances {
  /**
   * The samples of every instance, as they come; `instance` names it. Fails at once if the first round reaches none,
   * later if none is reached for a minute or the key is rejected.
   */
  readonly samples: Stream.Stream<Overview, CliFailure>
  /** Names of the instances that are followed now. */
  readonly known: () => ReadonlySet<string>
  /** Whether the search for further instances has ended: all that a balancer in front sends us to are probably known. */
  readonly settled: () => boolean
}

/**
 * The URLs behind one: where its name has several addresses (as of a headless service), each address. Not for https, whose certificates
 * are for the name.
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
 * Finds instances by asking again and again: a balancer sends each question to another instance, and a name with several addresses is asked
 * at each. So it works with any proxy, and the instances need not know of each other. Each instance is followed by one stream.
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
    let quiet = 0

    const clientOf = (target: string) =>
      Effect.suspend(() => {
        const client = clients.get(target)
        return client !== undefined
          ? Effect.succeed(client)
          : Effect.tap(connect({ ...connection, url: target }), (made) => Effect.sync(() => void clients.set(target, made)))
      })

    /** Succeeds with whether the instance that answers was unknown; then it is followed until its stream ends. */
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
            }
            const offer = sample.seconds < LEAST_SECONDS ? Effect.void : Queue.offer(queue, Take.of(sample))
            return Effect.as(Effect.zipRight(Deferred.succeed(met, true), offer), true)
          })).pipe(
          Effect.ensuring(Effect.sync(() => {
            if (followed === undefined) return
            known.delete(followed)
            quiet = 0
          })),
          Effect.mapError(ofOperatorCall),
          Effect.matchEffect({
            onFailure: (failure) => Deferred.fail(met, failure),
            onSuccess: () => Deferred.succeed(met, false)
          })
        )
        const fiber = yield* Effect.forkIn(follow, scope)
        return yield* Deferred.await(met).pipe(Effect.timeoutFail({
          duration: connection.timeoutMillis,
          onTimeout: () => ofNoAnswer(new TimedOut({ url: target, mayBeDone: false }))
        }), Effect.tapError(() => Fiber.interruptFork(fiber)))
      })

    let reached = false
    let missed = 0
    const round = Effect.gen(function*() {
      const targets = yield* Effect.promise(() => addressesOf(connection.url))
      const each = targets.length > 1 ? 1 : Math.min(MOST_PROBES, quiet < QUIET_ROUNDS ? 2 * known.size + 1 : 1)
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
      const [fatal] = [...failures.filter(({ exit }) => exit !== "UNAVAILABLE"), ...failures]
      if (fatal !== undefined && answers.length === 0 && (!reached || fatal.exit !== "UNAVAILABLE" || missed > ATTEMPTS)) {
        yield* Queue.offer(queue, Take.fail(fatal))
        return yield* Effect.never
      }
      // One whose stream ended meanwhile has set it to 0.
      quiet = answers.includes(true) || quiet < before ? 0 : before + 1
      if (known.size === 0) yield* Effect.sleep(RETRY)
      else if (quiet >= QUIET_ROUNDS) yield* Effect.sleep(LOOK_AGAIN)
    })
    yield* Effect.forkIn(Effect.forever(round), scope)

    return {
      samples: Stream.flattenTake(Stream.fromQueue(queue)),
      known: () => known,
      settled: () => quiet >= QUIET_ROUNDS
    }
  })
