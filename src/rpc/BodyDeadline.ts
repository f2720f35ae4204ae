import { Code, ConnectError } from "@connectrpc/connect"
import { MAX_TIMEOUT_MILLIS } from "./dispatch/Dispatcher.ts"
import { guarded } from "./Guarded.ts"
import type { Response } from "./Request.ts"

/**
 * Runs functions at the end of the event loop's turn, by one `setImmediate` for all of them. By then a body that came
 * with its head has been read.
 */
export const makeAtEndOfTurn = (report: (cause: unknown) => void): (look: () => void) => void => {
  let waiting: Array<() => void> = []
  const flush = guarded(report, () => {
    const looks = waiting
    waiting = []
    for (const look of looks) look()
  })
  return (look) => {
    if (waiting.push(look) === 1) setImmediate(flush)
  }
}

/** Calls back once the caller's timeout has passed; `clearTimeout` takes it back. */
export const start = (timeoutMillis: number, report: (cause: unknown) => void, passed: () => void): NodeJS.Timeout =>
  setTimeout(guarded(report, passed), Math.min(timeoutMillis, MAX_TIMEOUT_MILLIS))

/**
 * Makes the answer to a request whose body has not come the last thing on an HTTP/1.1 connection, which cannot be used
 * again. A stream of HTTP/2 is over for its client with the answer; the server resets it if the client does not.
 */
export const endAfter = (response: Response): void => {
  if ("shouldKeepAlive" in response) response.shouldKeepAlive = false
}

const UNITS = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 } as const

/** The caller's timeout in milliseconds, by the header of its protocol; `undefined`: there is none that can be read. */
export const timeoutOf = (header: Headers): number | undefined => {
  if (!header.get("content-type")?.toLowerCase().startsWith("application/grpc")) {
    const connect = header.get("connect-timeout-ms") ?? ""
    return /^\d{1,10}$/.test(connect) ? Number(connect) : undefined
  }
  const [, amount, unit] = /^(\d{1,8})([HMSmun])$/.exec(header.get("grpc-timeout") ?? "") ?? []
  return amount === undefined ? undefined : Number(amount) * UNITS[unit as keyof typeof UNITS]
}

/** The body, whose reading fails with DEADLINE_EXCEEDED if its end has not come by the caller's timeout. */
export const bound = (
  body: AsyncIterable<Uint8Array>,
  timeoutMillis: number,
  report: (cause: unknown) => void,
  passed: () => void
): AsyncIterable<Uint8Array> => ({
  [Symbol.asyncIterator]: () => {
    const inner = body[Symbol.asyncIterator]()
    let isOver = false
    let timer: NodeJS.Timeout | undefined
    const expired = new Promise<never>((_, reject) => {
      timer = start(timeoutMillis, report, () => {
        isOver = true
        passed()
        reject(new ConnectError("the body did not come in time", Code.DeadlineExceeded))
      })
    })
    // Without a reader, the rejection must not count as unhandled.
    expired.catch(() => {})
    return {
      next: async () => {
        const result = await Promise.race([inner.next(), expired])
        if (result.done === true) clearTimeout(timer)
        return result
      },
      return: async () => {
        clearTimeout(timer)
        // Waiting for a chunk that never comes would hold the answer up.
        if (!isOver) await inner.return?.()
        return { done: true, value: undefined }
      }
    }
  }
})
