import * as http2 from "node:http2"
import { PATH } from "../../src/contract/Live.ts"
import { median } from "../Quantiles.ts"
import { durableRun } from "../rates.ts"
import { type Figure, ratios } from "../Results.ts"
import { createCampaign, type Stage, until } from "../Stage.ts"
import { watch } from "./watchers.ts"

/** Issues a second in one round, by the number of open consoles: the mean of two runs each. */
type Round = Readonly<Record<number, number>>

export interface Consoles {
  /** The last one is the largest. */
  readonly counts: ReadonlyArray<number>
  readonly rounds: ReadonlyArray<Round>
  /** What all consoles of the largest number received a second. */
  readonly bytesPerSecond: number
}

const COUNTS = [0, 1, 100] as const

/** As the console asks (`console/src/state/CampaignWatch.svelte.ts`). */
const issuedIntervalSeconds = 10

/** In the first round what sends to consoles is not compiled yet. */
const WARM_ROUNDS = 1

export const consoleFigures = ({ bytesPerSecond, counts, rounds }: Consoles): ReadonlyArray<Figure> => {
  const of = (count: number) => rounds.map((round) => round[count]!)
  const thousands = (value: number) => Math.round(value).toLocaleString("en")
  return counts.filter((count) => count > 0).map((count) => {
    const { max, median: ratio, min } = ratios(of(count), of(0))
    return {
      name: `issues/s with ${count} open console${count === 1 ? "" : "s"} ÷ with none`,
      target: ">= 0.98",
      measured: ratio.toFixed(3),
      met: ratio >= 0.98,
      detail: `${thousands(median(of(count)))}/s ÷ ${thousands(median(of(0)))}/s, ${rounds.length} rounds ` +
        `${min.toFixed(2)} to ${max.toFixed(2)}, 128 connections; the consoles, which share the cores, read the live ` +
        "state and watch the campaign" +
        (count === Math.max(...counts) ? `, ${thousands(bytesPerSecond / 1_000)} kB/s of the former` : "")
    }
  })
}

/** Reads the live state of a campaign so many times, by a client that counts bytes. */
const read = async (port: number, campaignId: number, count: number) => {
  const session = http2.connect(`http://127.0.0.1:${port}`)
  let [bytes, open] = [0, 0]
  let failure: string | undefined
  session.on("error", (error) => (failure ??= error.message))
  for (let k = 0; k < count; k++) {
    const stream = session.request({ ":method": "POST", ":path": PATH, "content-type": "application/json" })
    let isFirst = true
    stream.on("error", (error) => (failure ??= error.message))
    stream.on("response", ({ ":status": status }) => {
      if (status !== 200) failure ??= `a console was answered ${status}`
    })
    stream.on("data", (chunk: Buffer) => {
      if (isFirst) open++
      isFirst = false
      bytes += chunk.length
    })
    stream.end(JSON.stringify({ campaignId }))
  }
  const check = () => {
    if (failure !== undefined) throw new Error(`a console failed: ${failure}`)
  }
  await until(`${count} consoles`, 60, () => {
    check()
    return Promise.resolve(open === count)
  })
  return {
    bytes: () => bytes,
    close: () => {
      check()
      session.destroy()
    }
  }
}

/** A run is so much longer than others, since a console gets the coupons of a busy sale once in 10 s. */
const LONGER = 3

/**
 * Rounds of a closed loop with consoles open on its campaign: none, one and a hundred, and back, every other round the
 * other way round. So what the machine becomes during a round weighs on each alike.
 */
export const consoles = async (
  stage: Stage,
  { rounds, say, seconds: short }: {
    readonly rounds: number
    readonly seconds: number
    readonly say: (text: string) => void
  }
): Promise<Consoles> => {
  const seconds = LONGER * short
  const instance = await stage.distributed({ LATENCY_TARGET: "1s", MAX_WATCHERS: "1000" })
  try {
    const found: Array<Round> = []
    const rates: Array<number> = []
    for (let round = 0; round < rounds + WARM_ROUNDS; round++) {
      const sample: Record<number, number> = {}
      const counts = round % 2 === 0 ? COUNTS : COUNTS.toReversed()
      for (const count of [...counts, ...counts.toReversed()]) {
        const campaignId = await createCampaign(instance.url)
        const open = count === 0
          ? []
          : [
            await read(instance.port, campaignId, count),
            await watch(instance.port, { campaignId, count, issuedIntervalSeconds })
          ] as const
        const before = open[0]?.bytes() ?? 0
        const { perSecond } = await durableRun(stage, instance, 128, seconds, campaignId)
        sample[count] = (sample[count] ?? 0) + perSecond / 2
        if (count === Math.max(...COUNTS) && round >= WARM_ROUNDS) {
          rates.push(((open[0]?.bytes() ?? 0) - before) / seconds)
        }
        for (const one of open) one.close()
      }
      say(`open consoles: ${COUNTS.map((count) => `${count}: ${Math.round(sample[count]!)}/s`).join(", ")}`)
      if (round >= WARM_ROUNDS) found.push(sample)
    }
    return { counts: COUNTS, rounds: found, bytesPerSecond: median(rates) }
  } finally {
    await instance.stop()
  }
}
