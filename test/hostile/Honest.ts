import * as http from "node:http"
import { setTimeout as pause } from "node:timers/promises"

/** What became of an honest client's calls of one kind. */
export interface Tally {
  readonly sent: number
  /** Answered as they should be within `IN_TIME_MILLIS`. */
  readonly inTime: number
  /** Of all that were answered or given up, in milliseconds. */
  readonly p99: number
  /** How often a status, or the code of an error, was the outcome. */
  readonly outcomes: Readonly<Record<string, number>>
}

export interface Honest {
  readonly claims: Tally
  readonly health: Tally
  readonly operators: Tally
  /** Redemptions of coupons by their codes, by a till and by users in turn; none unless `Where.till` is there. */
  readonly tills: Tally
}

/** An answer later than this is none. */
export const IN_TIME_MILLIS = 1_000

const CLAIMS_PER_SECOND = 100
const PROBES_PER_SECOND = 4
const OPERATOR_CALLS_PER_SECOND = 4
const REDEMPTIONS_PER_SECOND = 20

export interface Where {
  readonly port: number
  readonly from: string
  /** A campaign with coupons left. */
  readonly campaignId: number
  readonly firstUser: number
  readonly key: string
  /** Of the operators' calls, where they do not share the port. */
  readonly operatorPort: number
  /** The campaign and codes of its coupons, each another one, and a till's key. */
  readonly till: { readonly campaignId: number; readonly nextCode: () => string; readonly key: string } | undefined
}

const make = (where: Where, perSecond: number, send: (n: number, agent: http.Agent) => http.ClientRequest) => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 512, localAddress: where.from } as http.AgentOptions)
  const latencies: Array<number> = []
  const outcomes: Record<string, number> = {}
  let [sent, inTime] = [0, 0]
  const shoot = (n: number) => {
    sent++
    const due = performance.now()
    let settled = false
    const settle = (status: number | string) => {
      if (settled) return
      settled = true
      outcomes[status] = (outcomes[status] ?? 0) + 1
      const took = performance.now() - due
      latencies.push(took)
      if (status === 200 && took <= IN_TIME_MILLIS) inTime++
    }
    const request = send(n, agent)
    const giveUp = setTimeout(() => {
      settle("late")
      request.destroy()
    }, 5 * IN_TIME_MILLIS)
    request.on("response", (response) => {
      response.resume()
      response.once("end", () => {
        clearTimeout(giveUp)
        settle(response.statusCode!)
      })
      response.once("error", () => settle("cut"))
    })
    request.on("error", (error: NodeJS.ErrnoException) => {
      clearTimeout(giveUp)
      settle(error.code ?? "error")
    })
  }
  return {
    /** Open loop: a call is made when it is due, however many wait. */
    run: async (seconds: number): Promise<Tally> => {
      const start = performance.now()
      for (let n = 0; n < seconds * perSecond;) {
        const due = Math.min(seconds * perSecond, Math.floor((performance.now() - start) * perSecond / 1_000))
        while (n < due) shoot(n++)
        await pause(5)
      }
      const end = performance.now() + 6 * IN_TIME_MILLIS
      while (latencies.length < sent && performance.now() < end) await pause(5)
      agent.destroy()
      latencies.sort((a, b) => a - b)
      return { sent, inTime, p99: Math.round(latencies[Math.floor(latencies.length * 0.99)] ?? 0), outcomes }
    }
  }
}

const post = (where: Where, port: number, path: string, body: string, agent: http.Agent, headers = {}) => {
  const request = http.request({
    agent,
    host: "127.0.0.1",
    port,
    localAddress: where.from,
    method: "POST",
    path,
    headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body), ...headers }
  })
  request.end(body)
  return request
}

const ISSUE = "/coupon.v1.CouponService/IssueCoupon"
const LIST = "/coupon.v1.CouponService/ListCampaigns"
const INFO = JSON.stringify({ _tag: "Request", id: "1", tag: "Info", headers: [] })

const REDEEM = "/coupon.v1.CouponService/RedeemCoupon"

/** Claims, a probe of health, calls of an operator and redemptions, side by side for so many seconds. */
export const run = async (where: Where, seconds: number): Promise<Honest> => {
  const claims = make(where, CLAIMS_PER_SECOND, (n, agent) =>
    post(where, where.port, ISSUE, `{"campaignId":${where.campaignId},"userId":${where.firstUser + n}}`, agent))
  const health = make(where, PROBES_PER_SECOND, () =>
    // A probe makes a connection of its own, as kubelets do.
    http.get({ host: "127.0.0.1", port: where.port, localAddress: where.from, path: "/readyz", agent: false }))
  const operators = make(
    where,
    OPERATOR_CALLS_PER_SECOND,
    // In turn by the public API and by the operator plane.
    (n, agent) => {
      const [path, body, type] = n % 2 === 0
        ? [LIST, "{\"pageSize\":1}", "application/json"] as const
        : ["/operator/rpc", INFO, "application/ndjson"] as const
      const headers = { authorization: `Bearer ${where.key}`, "content-type": type }
      return post(where, where.operatorPort, path, body, agent, headers)
    }
  )
  const { till } = where
  const redemptions = make(where, till === undefined ? 0 : REDEMPTIONS_PER_SECOND, (n, agent) => {
    const code = till!.nextCode()
    const body = JSON.stringify({ campaignId: till!.campaignId, code, requestId: code })
    // In turn with the till's key, and as a user does who has none.
    return post(where, where.port, REDEEM, body, agent, n % 2 === 0 ? { authorization: `Bearer ${till!.key}` } : {})
  })
  const [a, b, c, d] = await Promise.all([
    claims.run(seconds),
    health.run(seconds),
    operators.run(seconds),
    redemptions.run(seconds)
  ])
  return { claims: a, health: b, operators: c, tills: d }
}
