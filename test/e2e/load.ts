import { fromBinary } from "@bufbuild/protobuf"
import { Agent, request } from "node:http"
import { setTimeout as pause } from "node:timers/promises"
import { CouponSchema } from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import { OPEN, type Attempt } from "../invariants/History.ts"

const now = () => performance.timeOrigin + performance.now()

const started = "2025-06-25T00:00:00Z"

/** Patience with one reply: longer than any deadline of the service's own. */
const CLIENT_TIMEOUT_MILLIS = 15_000

/** One claim that must be made. */
export interface Wish {
  readonly campaignId: number
  readonly userId: number | bigint
  /** The caller's own timeout, as Connect-Timeout-Ms; none unless given. */
  readonly timeoutMillis?: number
}

interface Reply {
  readonly status: number
  readonly text: string
}

/** Speaks to the service as many users at once, and writes down what each received. */
export interface LoadGenerator {
  /** Every IssueCoupon so far, in the order of the answers. */
  readonly history: ReadonlyArray<Attempt>
  /** Opens a campaign through the instance; throws unless that succeeds. */
  readonly openCampaign: (url: string, couponLimit: number) => Promise<number>
  /** A campaign with a pool of as many own codes as its limit, which is imported in chunks, each sent twice. */
  readonly openPool: (url: string, couponLimit: number) => Promise<number>
  /** One IssueCoupon; never throws. A client that leaves when `signal` says so has `NO_ANSWER`. */
  readonly claim: (url: string, wish: Wish, signal?: AbortSignal) => Promise<Attempt>
  /** Claims for the user, through the instances in turn, until the answer is definite. */
  readonly insist: (urls: () => ReadonlyArray<string>, wish: Wish) => Promise<Attempt>
  /**
   * Makes every wish, at most `concurrency` at a time, through the instances in turn; a claim that is shed
   * (`OVERLOADED`) is made again.
   */
  readonly claimAll: (
    urls: ReadonlyArray<string>,
    wishes: Iterable<Wish>,
    concurrency: number
  ) => Promise<ReadonlyArray<Attempt>>
  /** Starts that many users who claim without end, each time a new wish, until stopped. */
  readonly keepClaiming: (urls: () => ReadonlyArray<string>, wishes: () => Wish, concurrency: number) => Load
  readonly close: () => void
}

/** Load that goes on until `stop`, which resolves when all its users have their last answer. */
export interface Load {
  readonly stop: () => Promise<void>
}

export const makeLoad = (): LoadGenerator => {
  const agent = new Agent({ keepAlive: true, maxSockets: 2_000 })
  const history: Array<Attempt> = []

  const post = (
    url: string,
    method: string,
    body: string,
    signal?: AbortSignal,
    timeoutMillis?: number
  ): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const call = request(`${url}/coupon.v1.CouponService/${method}`, {
        method: "POST",
        agent,
        headers: {
          "content-type": "application/json",
          "content-length": Buffer.byteLength(body),
          ...timeoutMillis === undefined ? {} : { "connect-timeout-ms": timeoutMillis }
        },
        timeout: CLIENT_TIMEOUT_MILLIS,
        signal
      }, (response) => {
        let text = ""
        response.setEncoding("utf8")
        response.on("data", (chunk: string) => {
          text += chunk
        })
        response.once("end", () => resolve({ status: response.statusCode ?? 0, text }))
        response.once("error", reject)
        response.once("aborted", () => reject(new Error("the reply broke off")))
      })
      call.once("timeout", () => call.destroy(new Error("no reply")))
      call.once("error", reject)
      call.end(body)
    })

  const understand = ({ status, text }: Reply): Pick<Attempt, "outcome" | "code"> => {
    let json: Record<string, unknown>
    try {
      json = JSON.parse(text) as Record<string, unknown>
    } catch {
      return { outcome: `HTTP ${status}` }
    }
    if (typeof json["message"] !== "string") return { outcome: `HTTP ${status}` }
    // A success with a failure's body, or the reverse, must not pass for either.
    if ((status === 200) !== (json["message"] === "OK")) return { outcome: `HTTP ${status} ${json["message"]}` }
    if (status === 200) return { outcome: "OK", ...typeof json["code"] === "string" ? { code: json["code"] } : {} }
    const [detail] = (json["details"] ?? []) as Array<{ readonly value: string }>
    if (detail === undefined) return { outcome: json["message"] }
    return { outcome: json["message"], code: fromBinary(CouponSchema, Buffer.from(detail.value, "base64")).code }
  }

  const claim: LoadGenerator["claim"] = async (url, { campaignId, timeoutMillis, userId }, signal) => {
    const askedAt = now()
    const answer = await post(
      url,
      "IssueCoupon",
      JSON.stringify({ campaignId, userId: String(userId) }),
      signal,
      timeoutMillis
    ).then(
      understand,
      () => ({ outcome: "NO_ANSWER" })
    )
    const attempt = { askedAt, answeredAt: now(), campaignId, userId: String(userId), instance: url, ...answer }
    history.push(attempt)
    return attempt
  }

  const workers = (count: number, run: (worker: number) => Promise<void>) =>
    Promise.all(Array.from({ length: count }, (_, worker) => run(worker)))

  return {
    history,
    openCampaign: async (url, couponLimit) => {
      const reply = await post(url, "CreateCampaign", JSON.stringify({ name: "load", couponLimit, startTime: started }))
      if (reply.status !== 200) throw new Error(`CreateCampaign answered ${reply.status} ${reply.text}`)
      return (JSON.parse(reply.text) as { readonly campaignId: number }).campaignId
    },
    openPool: async (url, couponLimit) => {
      const call = async (method: string, body: unknown) => {
        const reply = await post(url, method, JSON.stringify(body))
        if (reply.status !== 200) throw new Error(`${method} answered ${reply.status} ${reply.text}`)
        return JSON.parse(reply.text) as { readonly campaignId: number }
      }
      const terms = { name: "pool", couponLimit, startTime: started, codeSource: "CODE_SOURCE_POOL" }
      const { campaignId } = await call("CreateCampaign", terms)
      await call("StartImport", { campaignId, requestId: "load" })
      const CHUNK = 1_000
      for (let chunkIndex = 0; chunkIndex * CHUNK < couponLimit; chunkIndex++) {
        const codes = Array.from(
          { length: Math.min(CHUNK, couponLimit - chunkIndex * CHUNK) },
          (_, k) => `POOL-${campaignId}-${String(chunkIndex * CHUNK + k).padStart(7, "0")}`
        )
        for (let turn = 0; turn < 2; turn++) await call("AppendCodes", { campaignId, importId: 1, chunkIndex, codes })
      }
      await call("FinishImport", { campaignId, importId: 1 })
      return campaignId
    },
    claim,
    insist: async (urls, wish) => {
      for (let turn = 0;; turn++) {
        const all = urls()
        const attempt = await claim(all[turn % all.length]!, wish)
        const askAgain = OPEN.has(attempt.outcome) || attempt.outcome === "UNAVAILABLE" ||
          attempt.outcome === "OVERLOADED"
        if (!askAgain) return attempt
        await pause(50)
      }
    },
    claimAll: async (urls, wishes, concurrency) => {
      const iterator = wishes[Symbol.iterator]()
      const attempts: Array<Attempt> = []
      let turn = 0
      await workers(concurrency, async () => {
        for (let next = iterator.next(); next.done !== true; next = iterator.next()) {
          let attempt = await claim(urls[turn++ % urls.length]!, next.value)
          while (attempt.outcome === "OVERLOADED") {
            await pause(50)
            attempt = await claim(urls[turn++ % urls.length]!, next.value)
          }
          attempts.push(attempt)
        }
      })
      return attempts
    },
    keepClaiming: (urls, wishes, concurrency) => {
      let stopping = false
      const done = workers(concurrency, async (worker) => {
        for (let turn = worker; !stopping; turn++) {
          const all = urls()
          const { outcome } = await claim(all[turn % all.length]!, wishes())
          // Users think before they press again, so that a campaign outlasts the test on any machine; and where a store
          // or an instance is away, asking would only cost the test's CPU.
          await pause(outcome === "OK" ? 5 : 20)
        }
      })
      return {
        stop: async () => {
          stopping = true
          await done
        }
      }
    },
    close: () => agent.destroy()
  }
}

/** How many attempts had each outcome. */
export const tally = (attempts: ReadonlyArray<Attempt>): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const { outcome } of attempts) counts[outcome] = (counts[outcome] ?? 0) + 1
  return counts
}

/** New users, one wish each, who go round the campaigns. */
export const newcomers = (campaignIds: ReadonlyArray<number>, firstUser: number): () => Wish => {
  let user = firstUser
  return () => ({ campaignId: campaignIds[user % campaignIds.length]!, userId: user++ })
}
