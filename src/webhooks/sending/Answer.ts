import type { Dispatcher } from "undici"
import { rootMessage } from "../../base/RootMessage.ts"
import { AddressRefused } from "./AddressRefused.ts"

/** What is read of a receiver's answer. */
export interface Answer {
  readonly status: number
  /** At most 4 KiB; bytes that are no UTF-8 are replaced. */
  readonly text: string
  readonly retryAfterMillis: number | undefined
}

/** How much of an answer is read. */
const MAX_ANSWER_BYTES = 4_096

/** How long the rest of an answer is waited for: its status has said all that matters. */
const REST_MILLIS = 1_000

const SECONDS = /^\d{1,9}$/

/** Retry-After in seconds or as a date (RFC 9110, section 10.2.3). */
export const retryAfter = (header: string | ReadonlyArray<string> | undefined, now: number): number | undefined => {
  const text = [header].flat()[0]?.trim()
  if (text === undefined || text === "") return undefined
  if (SECONDS.test(text)) return Number(text) * 1_000
  const at = Date.parse(text)
  return Number.isNaN(at) ? undefined : Math.max(0, at - now)
}

/** The beginning of a body. A body that goes on is cut off, and its connection with it. */
const beginning = async (body: Dispatcher.ResponseData["body"]): Promise<string> => {
  const chunks: Array<Buffer> = []
  let bytes = 0
  // A body that is cut off emits an error.
  body.on("error", () => {})
  const timer = setTimeout(() => body.destroy(), REST_MILLIS)
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      chunks.push(chunk.subarray(0, MAX_ANSWER_BYTES - bytes))
      bytes += chunk.length
      if (bytes >= MAX_ANSWER_BYTES) break
    }
  } catch {
    // What has arrived is all there is.
  } finally {
    clearTimeout(timer)
    body.destroy()
  }
  return Buffer.concat(chunks).toString("utf8")
}

export const read = async ({ body, headers, statusCode }: Dispatcher.ResponseData): Promise<Answer> => ({
  status: statusCode,
  retryAfterMillis: retryAfter(headers["retry-after"], Date.now()),
  text: await beginning(body)
})

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ECONNRESET: "the connection was cut",
  EPIPE: "the connection was cut",
  UND_ERR_SOCKET: "the connection was cut",
  UND_ERR_CONNECT_TIMEOUT: "no connection within 10 s",
  UND_ERR_HEADERS_OVERFLOW: "the answer's headers are too large",
  EHOSTUNREACH: "the host cannot be reached",
  ENETUNREACH: "the host's network cannot be reached"
}

/** Why there was no answer, for operators. */
export const reasonOf = (cause: unknown): string => {
  if (cause instanceof AddressRefused) return cause.reason
  const { code } = cause as NodeJS.ErrnoException
  const known = code === undefined ? undefined : reasons[code]
  return known ?? `the request failed: ${rootMessage(cause)}`
}
