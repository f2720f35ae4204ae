import { setTimeout as pause } from "node:timers/promises"
import type { Change } from "../invariants/Changes.ts"
import { makeRandom } from "./Random.ts"

/** An operator who changes a campaign again and again, under whatever faults there are. */
export interface Operator {
  /**
   * Leaves the campaign open, which is what the fill phase needs; resolves with every change that was attempted, in
   * order.
   */
  readonly stop: () => Promise<ReadonlyArray<Change>>
}

const REPLY_MILLIS = 8_000

/** Between two changes; a sale goes on meanwhile. */
const EVERY_MILLIS = [150, 500] as const

/** How long the last change may take once all is well. */
const LAST_MILLIS = 15_000

interface Seen {
  readonly version: string
  readonly status: string
  readonly couponLimit: string
}

const now = () => performance.timeOrigin + performance.now()

/**
 * Starts changing the campaign: paused and resumed in turn, and raised by `step` in between, through whichever
 * instance. Every change expects the version that was read before it, so that one whose reply is lost cannot happen
 * after a later one.
 */
export const startOperator = (
  urls: () => ReadonlyArray<string>,
  campaignId: number,
  step: number,
  seed: number
): Operator => {
  const random = makeRandom(seed + 77)
  const changes: Array<Change> = []
  let stopping = false

  const call = async (
    method: string,
    body: object
  ): Promise<{ readonly outcome: string; readonly json: Record<string, unknown> }> => {
    try {
      const reply = await fetch(`${random.pick(urls())}/coupon.v1.CouponService/${method}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(REPLY_MILLIS)
      })
      const json = await reply.json() as Record<string, unknown>
      return { outcome: reply.status === 200 ? "OK" : String(json["message"]), json }
    } catch {
      return { outcome: "NO_ANSWER", json: {} }
    }
  }

  const read = async (): Promise<Seen | undefined> => {
    const { json, outcome } = await call("GetCampaign", { campaignId, pageSize: 1 })
    return outcome === "OK" ? json as unknown as Seen : undefined
  }

  const change = async (kind: Change["kind"], { couponLimit, version }: Seen): Promise<boolean> => {
    const limit = Number(couponLimit) + step
    const method = { pause: "PauseCampaign", resume: "ResumeCampaign", raise: "UpdateCampaign" }[kind]
    const askedAt = now()
    const { outcome } = await call(method, {
      campaignId,
      expectedVersion: version,
      ...kind === "raise" ? { couponLimit: limit } : {}
    })
    const expectedVersion = Number(version)
    changes.push({
      askedAt,
      answeredAt: now(),
      campaignId,
      kind,
      outcome,
      expectedVersion,
      ...kind === "raise" ? { couponLimit: limit } : {}
    })
    return outcome === "OK"
  }

  const run = async () => {
    while (!stopping) {
      const seen = await read()
      if (seen !== undefined) {
        const paused = seen.status === "CAMPAIGN_STATUS_PAUSED"
        await change(random.chance(0.4) ? "raise" : paused ? "resume" : "pause", seen)
      }
      await pause(random.integer(...EVERY_MILLIS))
    }
    const end = now() + LAST_MILLIS
    for (;;) {
      const seen = await read()
      // A raise always makes a new version, for which nothing that is still under way is meant.
      const kind = seen?.status === "CAMPAIGN_STATUS_PAUSED" ? "resume" : "raise"
      if (seen !== undefined && await change(kind, seen) && kind === "raise") return
      if (now() > end) {
        const last = changes.at(-1)?.outcome
        throw new Error(`campaign ${campaignId} could not be opened within ${LAST_MILLIS} ms after the faults: ${last}`)
      }
      await pause(50)
    }
  }
  const done = run()
  return {
    stop: async () => {
      stopping = true
      await done
      return changes
    }
  }
}
