import { randomBytes } from "node:crypto"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import { fillCampaign } from "../others.ts"
import { median, type Quantiles, quantiles } from "../Quantiles.ts"
import { durableRun } from "../rates.ts"
import type { Figure } from "../Results.ts"
import { call, createCampaign, type Stage, until } from "../Stage.ts"

export interface Webhooks {
  readonly coupons: number
  /** Coupons a second that one receiver took in batches, a figure a round. */
  readonly batchPerSecond: ReadonlyArray<number>
  /** Milliseconds from the last coupon of a range to its arrival, while so many coupons a second were issued. */
  readonly rangeLag: Quantiles
  readonly ranges: number
  readonly issuedPerSecond: number
}

export const webhookFigures = (of: Webhooks): ReadonlyArray<Figure> => {
  const thousands = (value: number) => Math.round(value).toLocaleString("en")
  const rate = median(of.batchPerSecond)
  return [{
    name: "webhooks, BATCH, to one receiver",
    target: ">= 20,000 coupons/s",
    measured: `${thousands(rate)}/s`,
    met: rate >= 20_000,
    detail: `a backlog of ${thousands(of.coupons)} coupons of one campaign, 500 a request, one request at a time; ` +
      `${of.batchPerSecond.length} rounds ${thousands(Math.min(...of.batchPerSecond))} to ` +
      `${thousands(Math.max(...of.batchPerSecond))}`
  }, {
    name: "webhooks, RANGE: lag p99 at the rate of a closed loop",
    target: "<= 1 s at 20,000/s",
    measured: `${thousands(of.rangeLag.p99)} ms`,
    // At a lower rate it proves nothing.
    met: of.rangeLag.p99 > 1_000 ? false : of.issuedPerSecond >= 20_000 ? true : undefined,
    detail: `${thousands(of.issuedPerSecond)} coupons/s, ${thousands(of.ranges)} ranges, from the last coupon's time ` +
      `of issue to the receiver; median ${thousands(of.rangeLag.p50)} ms, the latest ${thousands(of.rangeLag.max)} ms`
  }]
}

interface Event {
  readonly type: string
  readonly time: string
  readonly data: { readonly firstNumber?: number; readonly lastNumber?: number }
}

/** Takes everything. `each` receives the events of a request when it has come whole. */
const startReceiver = async (each: (events: ReadonlyArray<Event>, at: number) => void) => {
  const server = http.createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const at = Date.now()
      response.writeHead(204).end()
      each(JSON.parse(Buffer.concat(chunks).toString()) as ReadonlyArray<Event>, at)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    stop: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(resolve))
    }
  }
}

const WEBHOOKS = "coupon.v1.WebhookService"

/** A backlog in batches, and ranges while coupons are issued. */
export const webhooks = async (
  stage: Stage,
  options: {
    readonly coupons: number
    readonly rounds: number
    readonly seconds: number
    readonly say: (text: string) => void
  }
): Promise<Webhooks> => {
  const { coupons, rounds, say, seconds } = options
  let receive: (events: ReadonlyArray<Event>, at: number) => void = () => {}
  const receiver = await startReceiver((events, at) => receive(events, at))
  const instance = await stage.distributed({
    LATENCY_TARGET: "1s",
    SECRETS_KEY: `k:${randomBytes(32).toString("base64")}`,
    WEBHOOK_ALLOW_HTTP: "on",
    WEBHOOK_ALLOWED_NETWORKS: "127.0.0.0/8"
  })
  const create = async (campaignId: number, mode: string): Promise<string> => {
    const made = await call(instance.url, `${WEBHOOKS}/CreateWebhook`, {
      url: receiver.url,
      types: ["coupon.issued"],
      campaignIds: [campaignId],
      mode
    })
    return (made["webhook"] as { readonly id: string }).id
  }
  try {
    const filled = await createCampaign(instance.url)
    await fillCampaign(stage, filled, coupons, say)
    const logged = `SELECT last_id FROM campaign_event_heads WHERE campaign_id = ${filled}`
    await until("the log has the coupons", 60, async () =>
      Number((await stage.sql(logged))[0]!["last_id"]) === coupons)
    const batch = await create(filled, "WEBHOOK_MODE_BATCH")
    const batchPerSecond: Array<number> = []
    for (let round = 0; round <= rounds; round++) {
      let [count, begin, end] = [0, 0, 0]
      receive = (events) => {
        const now = performance.now()
        if (count === 0) begin = now
        count += events.length
        end = now
      }
      await call(instance.url, `${WEBHOOKS}/ReplayWebhook`, { id: batch, campaignId: filled, afterSequence: "0" })
      await until("the receiver has all coupons", 300, () => Promise.resolve(count >= coupons))
      const perSecond = (count - 500) * 1_000 / (end - begin)
      say(`webhooks, BATCH: ${Math.round(perSecond)} coupons/s`)
      // The first round warms up.
      if (round > 0) batchPerSecond.push(perSecond)
    }
    await call(instance.url, `${WEBHOOKS}/DeleteWebhook`, { id: batch })

    const campaignId = await createCampaign(instance.url)
    const lags: Array<number> = []
    let received = 0
    await create(campaignId, "WEBHOOK_MODE_RANGE")
    receive = (events, at) => {
      for (const { data, time, type } of events) {
        if (type !== "coupon.issued") continue
        received += data.lastNumber! - data.firstNumber! + 1
        lags.push(at - Date.parse(time))
      }
    }
    await durableRun(stage, instance, 128, 2, campaignId)
    lags.length = 0
    const { perSecond } = await durableRun(stage, instance, 128, seconds, campaignId)
    const [row] = await stage.sql(`SELECT current_coupon AS n FROM campaigns WHERE id = ${campaignId}`)
    await until("the receiver has all ranges", 60, () => Promise.resolve(received >= Number(row!["n"])))
    const rangeLag = quantiles(lags)
    say(`webhooks, RANGE: p99 ${rangeLag.p99.toFixed(0)} ms at ${Math.round(perSecond)} coupons/s`)
    return { coupons, batchPerSecond, rangeLag, ranges: lags.length, issuedPerSecond: perSecond }
  } finally {
    await instance.stop()
    await receiver.stop()
  }
}
