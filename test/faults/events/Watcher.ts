import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect"
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node"
import { setTimeout as pause } from "node:timers/promises"
import { type CampaignEvent, CouponService } from "../../../src/contract/gen/coupon/v1/coupon_pb.ts"
import { makeRandom } from "../Random.ts"

/** An event as a watcher received it: ranges that follow one another may have come as one. */
export interface Watched {
  readonly firstSequence: number
  readonly sequence: number
  readonly type: string
  readonly firstNumber: number
  readonly lastNumber: number
}

/** A client that watches a campaign from its first event on, and goes on elsewhere again and again. */
export interface Watcher {
  readonly campaignId: number
  readonly events: ReadonlyArray<Watched>
  /** The last sequence that it has. */
  readonly last: () => number
  readonly violations: ReadonlyArray<string>
  /** Streams that brought an event. */
  readonly streams: () => number
  readonly stop: () => Promise<void>
}

/** How long a stream is read before the watcher leaves it, by chance. */
const STREAM_MILLIS = [100, 2_500] as const
const RETRY_MILLIS = 50

/** For how long it lets coupons be gathered. */
const INTERVAL_SECONDS = [0, 0, 1] as const

/** What says that the watch itself is wrong, whatever the fault. */
const WRONG: ReadonlySet<Code> = new Set([Code.NotFound, Code.InvalidArgument, Code.OutOfRange])

const watchedOf = ({ firstNumber, firstSequence, lastNumber, sequence, type }: CampaignEvent): Watched => ({
  firstSequence: Number(firstSequence),
  sequence: Number(sequence),
  type,
  firstNumber,
  lastNumber
})

/** Connect and gRPC in turn. */
const transportTo = (baseUrl: string, turn: number): Transport =>
  turn % 2 === 0 ? createConnectTransport({ baseUrl, httpVersion: "1.1" }) : createGrpcTransport({ baseUrl })

/** Starts a watcher, whose choices a seed decides. */
export const startWatcher = (urls: () => ReadonlyArray<string>, campaignId: number, seed: number): Watcher => {
  const random = makeRandom(seed)
  const events: Array<Watched> = []
  const violations: Array<string> = []
  let last = 0
  let streams = 0
  let stopping = false
  let leaving = new AbortController()

  const take = (event: Watched, url: string) => {
    if (event.firstSequence !== last + 1 || event.sequence < event.firstSequence) {
      const what = `${event.firstSequence} to ${event.sequence} (${event.type})`
      violations.push(`E4 campaign ${campaignId}: a watcher at ${url} received ${what} after ${last}`)
    }
    last = Math.max(last, event.sequence)
    events.push(event)
  }

  const watch = async (url: string, turn: number) => {
    leaving = new AbortController()
    const { signal } = leaving
    const timer = setTimeout(() => leaving.abort(), random.integer(...STREAM_MILLIS))
    const had = events.length
    try {
      const client = createClient(CouponService, transportTo(url, turn))
      const from = { campaignId, afterSequence: BigInt(last), issuedIntervalSeconds: random.pick(INTERVAL_SECONDS) }
      for await (const { message } of client.watchCampaign(from, { signal })) {
        // A reader that has left reads no more of the stream.
        if (signal.aborted) break
        if (message.case !== "event") continue
        take(watchedOf(message.value), url)
      }
    } catch (error) {
      if (error instanceof ConnectError && WRONG.has(error.code)) {
        violations.push(`E4 campaign ${campaignId}: a watcher at ${url} after ${last} received ${error.message}`)
      }
      await pause(RETRY_MILLIS)
    } finally {
      clearTimeout(timer)
      leaving.abort()
      if (events.length > had) streams++
    }
  }

  const done = (async () => {
    for (let turn = 0; !stopping; turn++) await watch(random.pick(urls()), turn)
  })()
  return {
    campaignId,
    events,
    last: () => last,
    violations,
    streams: () => streams,
    stop: async () => {
      stopping = true
      leaving.abort()
      await done
    }
  }
}
