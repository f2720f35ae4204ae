import { expect, it } from "vitest"
import type { WatchCampaignResponse } from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import type { Clients } from "./clients.ts"
import type { Lent } from "./lifecycle.ts"

/** Streams that one connection carries. */
const STREAMS = 100
const WATCHES = 200

/** Watches that begin together, as on all pages of a sale. `connect`: clients of one instance, on a connection each. */
export const watches = ({ connect, issue, open }: Lent & { readonly connect: () => Clients }): void => {
  it("opens hundreds of watches of a campaign at once, of which each receives what comes", async () => {
    const campaignId = await open()
    const connections = Array.from({ length: WATCHES / STREAMS }, connect)
    const leaving = new AbortController()
    const watch = (clients: Clients): AsyncIterator<WatchCampaignResponse> =>
      clients.next().watchCampaign({ campaignId }, { signal: leaving.signal })[Symbol.asyncIterator]()
    const isIssue = async (messages: AsyncIterator<WatchCampaignResponse>) => {
      for (;;) {
        const { message } = (await messages.next()).value as WatchCampaignResponse
        if (message.case === "event" && message.value.type === "coupon.issued") return message.value.firstNumber
      }
    }
    try {
      const all = connections.flatMap((clients) => Array.from({ length: STREAMS }, () => watch(clients)))
      const first = await Promise.all(all.map((messages) => messages.next()))
      const cases = first.map(({ value }) => (value as WatchCampaignResponse).message.case)
      expect([cases.length, new Set(cases)]).toEqual([WATCHES, new Set(["snapshot"])])
      expect((await issue(campaignId, 1)).status).toBe(200)
      expect(new Set(await Promise.all(all.map(isIssue)))).toEqual(new Set([1]))
    } finally {
      leaving.abort()
      for (const clients of connections) clients.close()
    }
  })
}
