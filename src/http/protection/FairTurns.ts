import { CLIENTS } from "../../base/Clients.ts"
import type { Request, Response } from "../../rpc/Request.ts"

/** Claims as most clients send them. */
const isLight = (request: Request): boolean =>
  request.url === ISSUE &&
  !("stream" in request && String(request.headers["content-type"]).startsWith("application/grpc"))

/** What a request weighs, by what is seen of it without reading its headers. */
export const weightOf = (request: Request): number => isLight(request) ? 1 : HEAVY

/** Lets requests begin so that no client's crowd of them takes a whole turn of the event loop. */
export interface FairTurns {
  /** Serves a request now or, if its client had its part of this turn, in one that follows. */
  readonly take: (client: number, weight: number, request: Request, response: Response) => void
  /** Requests that wait. */
  readonly waiting: () => number
}

/** What a client begins in one turn before it has to wait: claims weigh 1 and take some 25 µs. */
const A_TURN = 512

/** What a request weighs that is no claim, or a claim over gRPC: connect-es takes some 200 µs. */
const HEAVY = 8

const ISSUE = "/coupon.v1.CouponService/IssueCoupon"

/** After those of a turn, requests that waited are begun for so long, one of each client after the other. */
const CATCH_UP_MILLIS = 4

/** `serve` must not throw; `later` calls back in the next turn of the event loop. */
export const make = (
  serve: (request: Request, response: Response) => void,
  later: (run: () => void) => void = setImmediate,
  now: () => number = () => performance.now()
): FairTurns => {
  const used = new Int32Array(CLIENTS)
  let touched: Array<number> = []
  const queues = new Map<number, Array<readonly [Request, Response]>>()
  let isScheduled = false
  let waiting = 0

  const catchUp = () => {
    const end = now() + CATCH_UP_MILLIS
    while (queues.size > 0) {
      for (const [client, queue] of queues) {
        if (now() >= end) return
        // Behind those who have not had a turn.
        queues.delete(client)
        waiting--
        const [request, response] = queue.shift()!
        if (queue.length > 0) queues.set(client, queue)
        // One whose client left meanwhile costs nothing more.
        if (!response.destroyed) serve(request, response)
      }
    }
  }

  const turn = () => {
    isScheduled = false
    for (const client of touched) used[client] = 0
    touched = []
    if (queues.size > 0) catchUp()
    if (queues.size > 0) schedule()
  }

  const schedule = () => {
    if (isScheduled) return
    isScheduled = true
    later(turn)
  }

  return {
    waiting: () => waiting,
    take: (client, weight, request, response) => {
      const before = used[client]!
      if (before === 0) {
        touched.push(client)
        schedule()
      }
      used[client] = before + weight
      const queue = queues.size === 0 ? undefined : queues.get(client)
      if (queue === undefined && before < A_TURN) return serve(request, response)
      waiting++
      if (queue === undefined) queues.set(client, [[request, response]])
      else queue.push([request, response])
      schedule()
    }
  }
}
