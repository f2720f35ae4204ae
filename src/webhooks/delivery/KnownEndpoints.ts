import * as Effect from "effect/Effect"
import type { WebhookEndpoint, WebhookId } from "../../domain/webhooks/Webhook.ts"
import type { LedgerUnavailable } from "../../ports/Ledger.ts"
import type { WebhookEndpoints } from "../../ports/webhooks/WebhookEndpoints.ts"
import type * as SecretBox from "../secrets/SecretBox.ts"

/** How old the endpoints may be that an instance knows. */
const ENDPOINTS_MILLIS = 1_000

/** The endpoints as this instance has read them. */
export interface KnownEndpoints {
  /** Reads them again, unless that was done just now; `false`: nothing was read. */
  readonly refresh: Effect.Effect<boolean, LedgerUnavailable>
  /** Seals secrets anew that an earlier key has sealed. */
  readonly reseal: Effect.Effect<void, LedgerUnavailable>
  readonly all: () => ReadonlyArray<WebhookEndpoint>
  readonly enabled: () => ReadonlyArray<WebhookEndpoint>
  readonly get: (id: WebhookId) => WebhookEndpoint | undefined
  /** `undefined`: it is disabled or removed. */
  readonly enabledOf: (id: WebhookId) => WebhookEndpoint | undefined
}

export const isEnabled = ({ status }: WebhookEndpoint): boolean => status === "ENABLED"

export const make = (endpoints: WebhookEndpoints["Type"], box: SecretBox.SecretBox): KnownEndpoints => {
  let all: ReadonlyArray<WebhookEndpoint> = []
  let known: ReadonlyMap<WebhookId, WebhookEndpoint> = new Map()
  let readAt = Number.NEGATIVE_INFINITY

  /** A secret that cannot be opened stays as it is. */
  const resealOne = (endpoint: WebhookEndpoint) => {
    const sealed = endpoint.secrets.map(({ sealed }) => {
      const opened = box.open(sealed, endpoint.id)
      return opened._tag === "Right" ? box.seal(opened.right, endpoint.id) : sealed
    })
    const isBetter = sealed.some((one) => !box.isStale(one))
    return isBetter ? endpoints.reseal(endpoint, sealed) : Effect.void
  }

  return {
    refresh: Effect.gen(function*() {
      const now = performance.now()
      if (now - readAt < ENDPOINTS_MILLIS) return false
      all = yield* endpoints.all
      readAt = now
      known = new Map(all.map((endpoint) => [endpoint.id, endpoint]))
      return true
    }),
    reseal: Effect.suspend(() =>
      Effect.forEach(
        all.filter(({ secrets }) => secrets.some(({ sealed }) => box.isStale(sealed))),
        resealOne,
        { discard: true }
      )),
    all: () => all,
    enabled: () => all.filter(isEnabled),
    get: (id) => known.get(id),
    enabledOf: (id) => {
      const endpoint = known.get(id)
      return endpoint !== undefined && isEnabled(endpoint) ? endpoint : undefined
    }
  }
}
