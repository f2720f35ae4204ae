import { type Client, ConnectError, createClient } from "@connectrpc/connect"
import { createConnectTransport } from "@connectrpc/connect-node"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { CouponService } from "../contract/gen/coupon/v1/coupon_pb.ts"
import { CliFailure, fromContract, tooSlow, unreachable } from "./CliFailure.ts"
import type { Connection } from "./Connection.ts"

type Api = Client<typeof CouponService>

/** The public API, as any client of it. */
export interface PublicClient {
  /** `writes`: it changes something, so that a lost answer leaves it unknown. */
  readonly call: <A>(
    make: (api: Api, options: { readonly signal: AbortSignal }) => Promise<A>,
    options?: { readonly writes?: boolean; readonly onError?: (error: ConnectError) => CliFailure | undefined }
  ) => Effect.Effect<A, CliFailure>
}

const failureOf = (url: string, error: ConnectError, writes: boolean): CliFailure => {
  if (error.rawMessage === "DEADLINE_EXCEEDED" || error.rawMessage === "the operation timed out") return tooSlow(url, writes)
  const known = fromContract(error.rawMessage)
  if (known !== undefined) return known
  if (error.cause !== undefined) return unreachable(url, error.cause, writes)
  return new CliFailure({
    exit: "FAILED",
    code: "UNEXPECTED",
    message: `${url} answers ${error.message}`,
    hint: "this may be something else than coupon-issuance, or a version that does not know this call"
  })
}

export const make = ({ key, timeoutMillis, url }: Connection): PublicClient => {
  const api = createClient(
    CouponService,
    createConnectTransport({
      baseUrl: url,
      httpVersion: "1.1",
      defaultTimeoutMs: timeoutMillis,
      interceptors: Option.match(key, {
        onNone: () => [],
        onSome: (secret) => [(next) => (request) => {
          request.header.set("authorization", `Bearer ${Redacted.value(secret)}`)
          return next(request)
        }]
      })
    })
  )
  return {
    call: (make, { onError = () => undefined, writes = false } = {}) =>
      Effect.tryPromise({
        try: (signal) => make(api, { signal }),
        catch: (cause) => {
          const error = ConnectError.from(cause)
          return onError(error) ?? failureOf(url, error, writes)
        }
      })
  }
}
