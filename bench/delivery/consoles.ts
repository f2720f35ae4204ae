import * as http2 from "node:http2"
import { PATH } from "../../src/contract/Live.ts"
import { mean, median } from "../Quantiles.ts"
import { durableRun } from "../rates.ts"
import type { Figure } from "../Results.ts"
import { createCampaign, type Stage, until } from "../Stage.ts"
import { watch } from "./watchers.ts"

/** The mean of two runs. */
interface Sample {
  readonly perSecond: number
  /** CPU time of a coupon, in Node, the ledger and Redis together. */
  readonly micros: number
}

/** By the number of open consoles. */
type Round = Readonly<Record<number, Sample>>

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

const thousands = (value: number) => Math.round(value).toLocaleString("en")
const span = (values: ReadonlyArray<number>) => `${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)}`

/** What is looked for is smaller than what the machine does to a round, so these are means with their errors. */
const shown = (values: ReadonlyArray<number>) => {
  const { error, mean: value } = mean(values)
  return { value, text: value.toFixed(3) + (error === undefined ? "" : ` ± ${error.toFixed(3)}`) }
}

export const consoleFigures = ({ bytesPerSecond, counts, rounds }: Consoles): ReadonlyArray<Figure> => {
  const of = (count: number, what: keyof Sample) => rounds.map((round) => round[count]![what])
  const ratios = (count: number, what: keyof Sample) => rounds.map((round) => round[count]![what] / round[0]![what])
  const most = Math.max(...counts)
  const rates = counts.filter((count) => count > 0).map((count) => {
    const each = ratios(count, "perSecond")
    const { text, value } = shown(each)
    return {
      name: `issues/s with ${count} open console${count === 1 ? "" : "s"} ÷ with none`,
      target: ">= 0.98",
      measured: text,
      met: value >= 0.98,
      detail: `mean and its standard error of ${rounds.length} rounds, ${span(each)}; medians ` +
        `${thousands(median(of(count, "perSecond")))}/s ÷ ${thousands(median(of(0, "perSecond")))}/s, 128 ` +
        "connections; the consoles, which share the cores, read the live state and watch the campaign" +
        (count === most ? `, ${thousands(bytesPerSecond / 1_000)} kB/s of the former` : "")
    }
  })
  const micros = ratios(most, "micros")
  const { text, value } = shown(micros)
  return [...rates, {
    name: `CPU of a coupon in Node, mysqld and Redis with ${most} open consoles ÷ with none`,
    target: "<= 1.02",
    measured: text,
    met: value <= 1.02,
    detail: `the same runs, ${span(micros)}; medians ${median(of(most, "micros")).toFixed(1)} µs ÷ ` +
      `${median(of(0, "micros")).toFixed(1)} µs`
  }]
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
 * Rounds of a closed loop with consoles open on its campaign: none, one and a hundred, and back, each round beginning
 * with the next of them. So what the machine becomes during a round weighs on each alike.
 */
export const consoles = async (
  stage: Stage,
  { rounds: wanted, say, seconds: short }: {
    readonly rounds: number
    readonly seconds: number
    readonly say: (text: string) => void
  }
): Promise<Consoles> => {
  const seconds = LONGER * short
  const instance = await stage.distributed({ LATENCY_TARGET: "1s", MAX_WATCHERS: "1000" })
  try {
    const rounds: Array<Round> = []
    const rates: Array<number> = []
    for (let round = 0; round < wanted + WARM_ROUNDS; round++) {
      const sample: Record<number, Sample> = {}
      const first = round % COUNTS.length
      const counts = [...COUNTS.slice(first), ...COUNTS.slice(0, first)]
      for (const count of [...counts, ...counts.toReversed()]) {
        const campaignId = await createCampaign(instance.url)
        const open = count === 0
          ? []
          : [
            await read(instance.port, campaignId, count),
            await watch(instance.port, { campaignId, count, issuedIntervalSeconds })
          ] as const
        const before = open[0]?.bytes() ?? 0
        const { cpu, perSecond } = await durableRun(stage, instance, 128, seconds, campaignId)
        const micros = ["node", ...Object.keys(stage.pids)].reduce((sum, name) => sum + cpu[name]!, 0)
        const { micros: sum = 0, perSecond: total = 0 } = sample[count] ?? {}
        sample[count] = { perSecond: total + perSecond / 2, micros: sum + micros / 2 }
        if (count === Math.max(...COUNTS) && round >= WARM_ROUNDS) {
          rates.push(((open[0]?.bytes() ?? 0) - before) / seconds)
        }
        for (const one of open) one.close()
      }
      const found = COUNTS.map((count) => {
        const { micros, perSecond } = sample[count]!
        return `${count}: ${Math.round(perSecond)}/s at ${micros.toFixed(1)} µs`
      })
      say(`open consoles: ${found.join(", ")}`)
      if (round >= WARM_ROUNDS) rounds.push(sample)
    }
    return { counts: COUNTS, rounds, bytesPerSecond: median(rates) }
  } finally {
    await instance.stop()
  }
}
