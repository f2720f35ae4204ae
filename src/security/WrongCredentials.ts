import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import { networkOf } from "../base/Address.ts"
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
/** Clients that are remembered, 200 bytes each. Beyond, the one that was added first is forgotten. */
const MAX_CLIENTS = 16_384

interface Client {
  readonly bucket: TokenBucket.TokenBucket
  loggedAt: number
}

/** `now`: milliseconds that never go back. `every`: runs work after so many milliseconds, once. */
export const make = (
  now: () => number = () => performance.now(),
  after: (millis: number, work: () => void) => void = (millis, work) => void setTimeout(work, millis).unref()
): WrongCredentials => {
  const clients = new Map<string, Client>()
  const lines = TokenBucket.make(LINES, now())
  /** What was left out since the last summary. */
  let leftOut = 0
  let of = new Set<string>()
  let last: RejectedCall | undefined

  const clientOf = (address: string): Client => {
    const network = networkOf(address)
    let client = clients.get(network)
    if (client === undefined) {
      if (clients.size >= MAX_CLIENTS) clients.delete(clients.keys().next().value!)
      clients.set(network, client = { bucket: TokenBucket.make(RATE, now()), loggedAt: Number.NEGATIVE_INFINITY })
    }
    return client
  }

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
    wait: (address) => {
      const client = clients.get(networkOf(address))
      return client === undefined ? 0 : TokenBucket.look(client.bucket, RATE, now())
    },
    count: (address) => void TokenBucket.take(clientOf(address).bucket, RATE, now()),
    log: (call) => {
      const { address, annotations, message, runtime } = call
      const client = clientOf(address)
      const time = now()
      if (time - client.loggedAt >= MINUTE && TokenBucket.take(lines, LINES, time) === 0) {
        client.loggedAt = time
        Runtime.runFork(runtime)(Effect.annotateLogs(Effect.logWarning(message), { ...annotations, address }))
        return
      }
      if (last === undefined) after(MINUTE, sumUp)
      last = call
      leftOut++
      if (of.size < MAX_CLIENTS) of.add(networkOf(address))
    }
  }
}
