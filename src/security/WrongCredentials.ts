import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import { networkOf } from "../base/Address.ts"
import * as ClientBudgets from "../base/ClientBudgets.ts"
import * as Clients from "../base/Clients.ts"
import * as TokenBucket from "../base/TokenBucket.ts"

/** A rejected call, for the log. */
export interface RejectedCall {
  readonly address: string
  /** Never the secret. */
  readonly message: string
  readonly annotations: Readonly<Record<string, string>>
  /** That of the request's fiber: the line belongs to its trace. */
  readonly runtime: Runtime.Runtime<never>
}

/** What clients do with wrong keys and tokens: how many they may try, and what the log has of it. */
export interface WrongCredentials {
  /** 0 while this client may try further ones; otherwise the seconds until it may. */
  readonly wait: (address: string) => number
  /** A client sent a wrong one. */
  readonly count: (address: string) => void
  /** Writes a line about this client, one a minute; what it leaves out is summed up in one line a minute. */
  readonly log: (call: RejectedCall) => void
}

/** Wrong credentials of one client, which may be a whole office: so many at once, and then so many a second. */
const RATE = { burst: 100, perSecond: 1 }
const MINUTE = 60_000
/** Lines about single clients: an attack from many addresses must not fill the log either. */
const LINES = { burst: 20, perSecond: 20 / 60 }

/** `now`: milliseconds that never go back. `after`: runs work after so many milliseconds, once. */
export const make = (
  now: () => number = () => performance.now(),
  after: (millis: number, work: () => void) => void = (millis, work) => void setTimeout(work, millis).unref()
): WrongCredentials => {
  const budgets = ClientBudgets.make(RATE, now)
  /** When there was a line about a client, by its place. */
  const loggedAt = new Float64Array(Clients.CLIENTS).fill(Number.NEGATIVE_INFINITY)
  const lines = TokenBucket.make(LINES, now())
  /** What was left out since the last summary. */
  let leftOut = 0
  let of = new Set<string>()
  let last: RejectedCall | undefined

  const sumUp = () => {
    const annotations = { calls: leftOut, clients: of.size }
    const { runtime } = last!
    leftOut = 0
    of = new Set()
    last = undefined
    const line = Effect.logWarning("more calls were refused for their credentials in the last minute")
    Runtime.runFork(runtime)(Effect.annotateLogs(line, annotations))
  }

  return {
    wait: (address) => budgets.wait(Clients.of(address)),
    count: (address) => budgets.charge(Clients.of(address), 1),
    log: (call) => {
      const { address, annotations, message, runtime } = call
      const client = Clients.of(address)
      const time = now()
      if (time - loggedAt[client]! >= MINUTE && TokenBucket.take(lines, LINES, time) === 0) {
        loggedAt[client] = time
        Runtime.runFork(runtime)(Effect.annotateLogs(Effect.logWarning(message), { ...annotations, address }))
        return
      }
      if (last === undefined) after(MINUTE, sumUp)
      last = call
      leftOut++
      if (of.size < Clients.CLIENTS) of.add(networkOf(address))
    }
  }
}
