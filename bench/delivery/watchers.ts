import * as http2 from "node:http2"
import { median } from "../Quantiles.ts"
import { durableRun } from "../rates.ts"
import { type Figure, ratios } from "../Results.ts"
import { createCampaign, type Stage, until } from "../Stage.ts"

/** Issues a second in one round, with the watchers and right after without. */
interface Round {
  readonly watchedPerSecond: number
  readonly plainPerSecond: number
  /** Messages that all watchers received a second. */
  readonly messagesPerSecond: number
}

export interface Watchers {
  readonly watchers: number
  readonly rounds: ReadonlyArray<Round>
}

export const watcherFigures = ({ rounds, watchers }: Watchers): ReadonlyArray<Figure> => {
  const watched = rounds.map(({ watchedPerSecond }) => watchedPerSecond)
  const plain = rounds.map(({ plainPerSecond }) => plainPerSecond)
  const { max, median: ratio, min } = ratios(watched, plain)
  const thousands = (value: number) => Math.round(value).toLocaleString("en")
  return [{
    name: `issues/s with ${thousands(watchers)} watchers of the campaign ÷ without`,
    target: ">= 0.90",
    measured: ratio.toFixed(2),
    met: ratio >= 0.9,
    detail: `${thousands(median(watched))}/s ÷ ${thousands(median(plain))}/s, ${rounds.length} rounds ` +
      `${min.toFixed(2)} to ${max.toFixed(2)}, 128 connections; the watchers, which share the cores, received ` +
      `${thousands(median(rounds.map(({ messagesPerSecond }) => messagesPerSecond)))} messages/s`
  }]
}

/** Streams of a connection. */
const STREAMS = 100

/**
 * Watches a campaign so many times over HTTP/2, by a client that counts messages by their envelopes alone.
 * `issuedIntervalSeconds`: how long coupons are gathered for each; 0 as long as for every watch.
 */
export const watch = async (
  port: number,
  { campaignId, count, issuedIntervalSeconds }: {
    readonly campaignId: number
    readonly count: number
    readonly issuedIntervalSeconds: number
  }
) => {
  const sessions: Array<http2.ClientHttp2Session> = []
  const body = Buffer.from(JSON.stringify({ campaignId, issuedIntervalSeconds }))
  const envelope = Buffer.concat([Buffer.alloc(5), body])
  envelope.writeUInt32BE(body.length, 1)
  let messages = 0
  let open = 0
  let failure: string | undefined
  for (let first = 0; first < count; first += STREAMS) {
    const session = http2.connect(`http://127.0.0.1:${port}`)
    session.on("error", (error) => (failure ??= error.message))
    sessions.push(session)
    for (let k = first; k < Math.min(count, first + STREAMS); k++) {
      const stream = session.request({
        ":method": "POST",
        ":path": "/coupon.v1.CouponService/WatchCampaign",
        "content-type": "application/connect+json"
      })
      let isFirst = true
      stream.on("error", (error) => (failure ??= error.message))
      stream.on("response", ({ ":status": status }) => {
        if (status !== 200) failure ??= `a watch was answered ${status}`
      })
      stream.on("data", (chunk: Buffer) => {
        // A message of this size comes in one piece, mostly.
        if (isFirst) open++
        if (chunk[0] === 2) failure ??= chunk.toString()
        isFirst = false
        messages++
      })
      stream.end(envelope)
    }
  }
  const check = () => {
    if (failure !== undefined) throw new Error(`a watch failed: ${failure}`)
  }
  await until(`${count} watches`, 60, () => {
    check()
    return Promise.resolve(open === count)
  })
  return {
    messages: () => messages,
    close: () => {
      check()
      for (const session of sessions) session.destroy()
    }
  }
}

/** Rounds of a closed loop on a watched campaign and, right after, on one that is not. */
export const watchers = async (
  stage: Stage,
  options: {
    readonly count: number
    readonly rounds: number
    readonly seconds: number
    readonly say: (text: string) => void
  }
): Promise<Watchers> => {
  const { count, rounds, say, seconds } = options
  const instance = await stage.distributed({ LATENCY_TARGET: "1s", MAX_WATCHERS: String(2 * count + 2) })
  try {
    const found: Array<Round> = []
    for (let round = 0; round <= rounds; round++) {
      const campaignId = await createCampaign(instance.url)
      const watching = await watch(instance.port, { campaignId, count, issuedIntervalSeconds: 0 })
      const before = watching.messages()
      const watched = await durableRun(stage, instance, 128, seconds, campaignId)
      const messagesPerSecond = (watching.messages() - before) / seconds
      watching.close()
      const plain = await durableRun(stage, instance, 128, seconds)
      const sample = { watchedPerSecond: watched.perSecond, plainPerSecond: plain.perSecond, messagesPerSecond }
      const ratio = (sample.watchedPerSecond / sample.plainPerSecond).toFixed(2)
      say(`${count} watchers: ${Math.round(watched.perSecond)}/s ÷ ${Math.round(plain.perSecond)}/s = ${ratio}, ` +
        `${Math.round(messagesPerSecond)} messages/s`)
      // The first round warms up.
      if (round > 0) found.push(sample)
    }
    return { watchers: count, rounds: found }
  } finally {
    await instance.stop()
  }
}
