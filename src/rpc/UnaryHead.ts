import type { ErrorReply } from "./ErrorCatalog.ts"
import { badRequestReply } from "./ErrorCatalog.ts"

export const JSON_TYPE = "application/json"
export const PROTO_TYPE = "application/proto"

/** The headers of a call that the lane serves. */
export interface UnaryHead {
  readonly binary: boolean
  readonly timeoutMillis: number | undefined
  readonly length: number | undefined
  readonly authorization: string | undefined
  readonly traceparent: string | undefined
  /** Why the call is rejected; `undefined` if it is not. */
  readonly rejection: ErrorReply | undefined
}

/** The notation of Connect's protocol: at most ten digits. */
const TIMEOUT = /^\d{1,10}$/

/**
 * Reads the raw headers of a call; `undefined` if the lane does not serve it, for example if a header is given twice.
 * `request.headers` would build an object of all of them, which takes about 1.5 µs.
 */
export const read = (
  raw: ReadonlyArray<string>,
  hot: boolean,
  isHost: (host: string) => boolean
): UnaryHead | undefined => {
  let hosted = false
  let type: string | undefined
  let timeout: string | undefined
  let version: string | undefined
  let length: string | undefined
  let authorization: string | undefined
  let traceparent: string | undefined
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!
    switch (name.length) {
      case 4:
        if (name !== "Host" && name.toLowerCase() !== "host") break
        if (hosted || !isHost(raw[i + 1]!)) return undefined
        hosted = true
        break
      case 10:
        if (name !== ":authority") break
        if (hosted || !isHost(raw[i + 1]!)) return undefined
        hosted = true
        break
      case 11:
        if (name.toLowerCase() === "traceparent") traceparent = raw[i + 1]!
        break
      case 12:
        if (name.toLowerCase() !== "content-type") break
        if (type !== undefined) return undefined
        type = raw[i + 1]!
        break
      case 13:
        if (name.toLowerCase() !== "authorization") break
        if (authorization !== undefined) return undefined
        authorization = raw[i + 1]!
        break
      case 14:
        if (name.toLowerCase() === "content-length") length = raw[i + 1]!
        break
      case 15:
        // The adapter compresses large answers; those of the hot path are too small.
        if (!hot && name.toLowerCase() === "accept-encoding") return undefined
        break
      case 16: {
        const lower = name.toLowerCase()
        // The console's calls, whose credential may be a cookie, are the router's.
        if (lower === "x-coupon-console") return undefined
        if (lower === "content-encoding" && raw[i + 1] !== "identity") return undefined
        break
      }
      case 18:
        if (name.toLowerCase() !== "connect-timeout-ms") break
        if (timeout !== undefined) return undefined
        timeout = raw[i + 1]!
        break
      case 24:
        if (name.toLowerCase() !== "connect-protocol-version") break
        if (version !== undefined) return undefined
        version = raw[i + 1]!
        break
    }
  }
  const binary = type === PROTO_TYPE
  if (!binary && type !== JSON_TYPE && type !== "application/json; charset=utf-8") return undefined
  return {
    binary,
    timeoutMillis: timeout === undefined ? undefined : Number(timeout),
    length: length === undefined ? undefined : Number(length),
    authorization,
    traceparent,
    // In the adapter's order: version, then timeout, then the body.
    rejection: version !== undefined && version !== "1"
      ? badRequestReply(`Connect-Protocol-Version must be "1": got "${version}"`)
      : timeout !== undefined && !TIMEOUT.test(timeout)
      ? badRequestReply(`protocol error: invalid connect timeout value: ${timeout}`)
      : undefined
  }
}
