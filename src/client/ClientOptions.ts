import type * as Redacted from "effect/Redacted"
import type { RetryPolicy, RetryThrottling } from "./RetryPolicy.ts"

/** Where the service is, and how to call it. */
export interface ClientOptions {
  /** E.g. `http://127.0.0.1:8080`, without a slash at the end. */
  readonly url: string
  /** An API key, or for some calls a user's token; sent as `Authorization: Bearer`. */
  readonly key?: Redacted.Redacted<string> | undefined
  /** More headers of each call: `x-coupon-reason` says why, for the audit log (percent-encoded UTF-8). */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Longest wait for the answer to a single call. A stream has no such limit. */
  readonly timeoutMillis?: number | undefined
  /** What sends requests; unless given, the platform's `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined
  /** How long claims are repeated; unless given, `DEFAULT_RETRY`. Other calls are sent once; see `retrying`. */
  readonly retry?: RetryPolicy | undefined
  /** How many calls are repeated while many fail; unless given, `DEFAULT_THROTTLING`. */
  readonly retryThrottling?: RetryThrottling | undefined
}

export const DEFAULT_TIMEOUT_MILLIS = 10_000
