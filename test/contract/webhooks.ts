import { Code } from "@connectrpc/connect"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import { Webhook } from "standardwebhooks"
import { expect, it } from "vitest"
import {
  WebhookAttempt_Result, WebhookMode, WebhookOnFailure, WebhookStatus
} from "../../src/contract/gen/coupon/v1/webhook_pb.ts"
import { type Clients, type Protocol, refusal } from "./clients.ts"
import type { Lent } from "./lifecycle.ts"

/** Settings of a subject that has webhooks, to receivers of this machine. */
export const webhookSettings = {
  SECRETS_KEY: `k1:${Buffer.alloc(32, 7).toString("base64")}`,
  WEBHOOK_ALLOW_HTTP: "on",
  WEBHOOK_ALLOWED_NETWORKS: "127.0.0.0/8"
} as const

interface Borrowed extends Lent {
  readonly isOn: () => boolean
  readonly spoken: ReadonlyArray<Protocol>
  readonly connect: (protocol: Protocol) => Clients
}

/** Takes over some seconds: deliveries, and looks of each instance at what others have changed. */
const soon = { timeout: 30_000, interval: 100 }

/** A receiver that answers as it is set. */
const receive = async () => {
  const got: Array<{ readonly headers: Record<string, string>; readonly text: string }> = []
  const answers = { status: 204 }
  const server = http.createServer((request, response) => {
    let text = ""
    request.setEncoding("utf8").on("data", (chunk: string) => (text += chunk)).on("end", () => {
      got.push({ headers: request.headers as Record<string, string>, text })
      response.writeHead(answers.status).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`
  const events = (secret: string) => got.flatMap(({ headers, text }) => new Webhook(secret).verify(text, headers))
  return { answers, events, got, url, stop: () => void server.close() }
}

/** Every call of webhooks, through whichever instance is asked. */
export const webhooks = ({ connect, isOn, issue, open, spoken }: Borrowed): void => {
  const withReceiver = async (clients: Clients) => {
    const client = () => clients.nextWebhooks()
    const { answers, events, got, stop, url } = await receive()
    try {
      const campaignId = await open({ couponLimit: 9 })
      const bad = await refusal(client().createWebhook({ url: "ftp://shop.example/" }))
      expect([bad.code, bad.message]).toEqual([Code.InvalidArgument, "INVALID_ARGUMENT: url must begin with https://"])

      const fields = {
        types: ["coupon.issued"],
        campaignIds: [campaignId],
        mode: WebhookMode.RANGE,
        onFailure: WebhookOnFailure.PARK,
        maxAttempts: 1
      }
      const { secret, webhook } = await client().createWebhook({ url, ...fields })
      expect(webhook).toMatchObject({ ...fields, url, version: 1n, concurrency: 4, status: WebhookStatus.ENABLED })
      const { id } = webhook!
      expect((await client().getWebhook({ id })).webhook?.id).toBe(id)
      expect((await client().listWebhooks({})).webhooks.map((one) => one.id)).toContain(id)
      expect(await client().testWebhook({ id })).toMatchObject({ delivered: true, status: 204 })
      expect(events(secret)).toMatchObject([{ type: "coupon.issued", data: { test: true } }])

      got.length = 0
      await issue(campaignId, 1)
      await expect.poll(() => got.length, soon).toBeGreaterThanOrEqual(1)
      expect(events(secret)[0]).toMatchObject({ data: { campaignId, firstNumber: 1, lastNumber: 1 } })

      const stale = await refusal(client().updateWebhook({ id, expectedVersion: 9n, mode: WebhookMode.EACH }))
      expect([stale.code, stale.message]).toEqual([Code.Aborted, "CONFLICT"])
      const updated = await client().updateWebhook({ id, expectedVersion: 1n, mode: WebhookMode.EACH })
      expect(updated.webhook).toMatchObject({ ...fields, mode: WebhookMode.EACH, version: 2n })

      const parked = async () => (await client().listParkedDeliveries({ id })).deliveries
      answers.status = 500
      await issue(campaignId, 2)
      await expect.poll(async () => (await parked()).length, soon).toBe(1)
      answers.status = 204
      got.length = 0
      expect(await client().retryParkedDeliveries({ id, all: true })).toMatchObject({ count: 1 })
      await expect.poll(parked, soon).toEqual([])
      expect(events(secret)[0]).toMatchObject({ data: { number: 2 } })

      const rotated = await client().rotateWebhookSecret({ id })
      expect(Date.parse(rotated.formerSecretUntil)).toBeGreaterThan(Date.now())
      got.length = 0
      await client().replayWebhook({ id, campaignId, afterSequence: 0n })
      await expect.poll(() => got.length, soon).toBeGreaterThanOrEqual(2)
      expect(events(secret).slice(0, 2)).toMatchObject([{ data: { number: 1 } }, { data: { number: 2 } }])
      const results = async () => {
        const { attempts } = await client().listWebhookAttempts({ id })
        return new Set(attempts.map(({ result }) => result))
      }
      const { DELIVERED, PARKED } = WebhookAttempt_Result
      await expect.poll(results, soon).toEqual(new Set([DELIVERED, PARKED]))

      const { version } = (await client().getWebhook({ id })).webhook!
      await client().deleteWebhook({ id, expectedVersion: version })
      const gone = await refusal(client().getWebhook({ id }))
      expect([gone.code, gone.message]).toEqual([Code.NotFound, "RECORD_NOT_FOUND"])
    } finally {
      stop()
    }
  }

  it("has webhooks, or says that it has none, in every protocol", async () => {
    await Promise.all(spoken.map(async (protocol) => {
      const clients = connect(protocol)
      try {
        if (isOn()) return await withReceiver(clients)
        const client = clients.nextWebhooks()
        for (const call of [() => client.listWebhooks({}), () => client.deleteWebhook({ id: "" })]) {
          const off = await refusal(call())
          expect([off.code, off.message]).toEqual([Code.FailedPrecondition, "WEBHOOKS_OFF"])
        }
      } finally {
        clients.close()
      }
    }))
  })
}
