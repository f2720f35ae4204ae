import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type BlockList, isIP } from "node:net"
import { AppConfig } from "../../config/AppConfig.ts"
import { VERSION } from "../../config/Version.ts"
import * as AddressRules from "./AddressRules.ts"
import { AddressRefused } from "./AddressRefused.ts"
import * as Answer from "./Answer.ts"
import * as Connections from "./Connections.ts"
import * as Resolver from "./Resolver.ts"

/** One request to a receiver. */
export interface Sending {
  readonly url: string
  readonly contentType: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** The receiver has answered, whatever it said; `text` is what was read of its answer. */
export interface Answered {
  readonly _tag: "Answered"
  readonly status: number
  readonly text: string
  /** What Retry-After asks for. */
  readonly retryAfterMillis: number | undefined
  readonly tookMillis: number
}

/** There was no answer; `reason` says why, for operators. */
export interface NotAnswered {
  readonly _tag: "NotAnswered"
  readonly reason: string
  readonly tookMillis: number
}

export type SendResult = Answered | NotAnswered

/** Sends requests to receivers, which may be slow, broken or hostile. */
export class WebhookSender extends Context.Tag("coupon/webhooks/WebhookSender")<WebhookSender, {
  /**
   * Sends once. Never fails: it ends within 15 s, from the look-up of the host to the end of the answer. The host's
   * addresses are checked each time, and the connection goes to a checked one. Redirects are answers like others.
   * Interruption ends the connection.
   */
  readonly send: (sending: Sending) => Effect.Effect<SendResult>
  /** Fails if the host of a URL has an address that webhooks may not go to, or none. */
  readonly check: (url: URL) => Effect.Effect<void, AddressRefused>
}>() {}

/** The time of a whole request. */
export const TIMEOUT_MILLIS = 15_000

export interface Options {
  readonly networks: BlockList
  readonly resolve: Resolver.Resolve
  /** For tests. Default: 15 s. */
  readonly timeoutMillis?: number
}

const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    const abort = () => reject(signal.reason as Error)
    if (signal.aborted) abort()
    else signal.addEventListener("abort", abort, { once: true })
  })

export const make = ({ networks, resolve, timeoutMillis = TIMEOUT_MILLIS }: Options) =>
  Effect.gen(function*() {
    const connections = yield* Connections.make

    /** The addresses of a host, all of which are allowed. */
    const addressesOf = async (hostname: string): Promise<ReadonlyArray<string>> => {
      const addresses = await resolve(hostname).catch(() => [])
      if (addresses.length === 0) throw new AddressRefused({ reason: `the host ${hostname} has no address` })
      for (const address of addresses) {
        const reason = isIP(address) === 0 ? "is no IP address" : AddressRules.refusal(address, networks)
        if (reason !== undefined) throw new AddressRefused({ reason: `the host ${hostname} ${reason}` })
      }
      return addresses
    }

    const attempt = async ({ body, contentType, headers, url }: Sending, signal: AbortSignal) => {
      const target = new URL(url)
      const cut = aborted(signal)
      cut.catch(() => {})
      const addresses = await Promise.race([addressesOf(target.hostname), cut])
      const connection = await connections.to(target, addresses)
      try {
        const response = await connection.pool.request({
          method: "POST",
          path: `${target.pathname}${target.search}`,
          headers: { "content-type": contentType, "user-agent": `coupon-issuance/${VERSION}`, ...headers },
          body,
          signal
        })
        return await Answer.read(response)
      } catch (cause) {
        connection.failed()
        throw cause
      }
    }

    return WebhookSender.of({
      check: (url) =>
        Effect.tryPromise({
          try: () => addressesOf(url.hostname),
          catch: (cause) => cause as AddressRefused
        }),
      send: (sending) =>
        Effect.promise(async (interrupted): Promise<SendResult> => {
          const began = performance.now()
          const late = new AbortController()
          const timer = setTimeout(() => late.abort(new Error("late")), timeoutMillis)
          const took = () => Math.round(performance.now() - began)
          try {
            const answer = await attempt(sending, AbortSignal.any([interrupted, late.signal]))
            return { _tag: "Answered", ...answer, tookMillis: took() }
          } catch (cause) {
            const reason = late.signal.aborted
              ? `no answer within ${timeoutMillis / 1_000} s`
              : Answer.reasonOf(cause)
            return { _tag: "NotAnswered", reason, tookMillis: took() }
          } finally {
            clearTimeout(timer)
          }
        })
    })
  })

/** The sender by the settings. */
export const layer: Layer.Layer<WebhookSender, never, AppConfig> = Layer.scoped(
  WebhookSender,
  Effect.flatMap(AppConfig, ({ webhookNetworks }) => make({ networks: webhookNetworks, resolve: Resolver.make() }))
)
