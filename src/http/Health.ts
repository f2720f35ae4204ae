import { create } from "@bufbuild/protobuf"
import { Code, ConnectError } from "@connectrpc/connect"
import { connectNodeAdapter } from "@connectrpc/connect-node"
import { protections } from "../metrics/ProtectionMetrics.ts"
import { EXPIRY_MILLIS } from "./protection/LongCalls.ts"
import { compressions } from "../rpc/admission/Compressions.ts"
import type { Handler, Mounts } from "./Mounts.ts"
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
  HealthCheckResponseSchema,
  HealthListResponseSchema
} from "../contract/gen/grpc/health/v1/health_pb.ts"

/** `grpc.health.v1` on the transport's port: what `/readyz` says, for what speaks gRPC. */
export interface GrpcHealth {
  readonly mounts: Mounts
  /** Tells calls of Watch to look again: the state may have changed. */
  readonly changed: () => void
}

/** How often the state is read while a Watch is open. Draining is sent at once, by `changed`. */
const LOOK_MILLIS = 250

/** How long a Watch lasts: some seconds less than after which it would be cut. */
const WATCH_MILLIS = EXPIRY_MILLIS - 5_000

/**
 * Answers for the whole server (the empty name) and for each of `services`, which share its state. When the server
 * drains, a Watch receives NOT_SERVING and ends: an open stream would delay the drain.
 */
export const make = (options: {
  readonly services: ReadonlyArray<string>
  readonly ready: () => boolean
  readonly draining: () => boolean
  readonly watchMillis?: number
}): GrpcHealth => {
  const { watchMillis = WATCH_MILLIS } = options
  const known = new Set(["", ...options.services])
  const status = () => options.ready() && !options.draining() ? Status.SERVING : Status.NOT_SERVING
  const response = (value: Status) => create(HealthCheckResponseSchema, { status: value })

  const waiting = new Set<() => void>()
  let timer: NodeJS.Timeout | undefined
  const changed = () => {
    for (const wake of waiting) wake()
  }
  /** Resolves when it is time to look again, at the latest when `signal` says that the caller is gone. */
  const nextLook = (signal: AbortSignal) =>
    new Promise<void>((resolve) => {
      const wake = () => {
        waiting.delete(wake)
        signal.removeEventListener("abort", wake)
        if (waiting.size === 0) {
          clearInterval(timer)
          timer = undefined
        }
        resolve()
      }
      waiting.add(wake)
      signal.addEventListener("abort", wake)
      timer ??= setInterval(changed, LOOK_MILLIS).unref()
      if (signal.aborted) wake()
    })

  const handler = connectNodeAdapter({
    acceptCompression: [...compressions],
    readMaxBytes: 4_096,
    routes: (router) =>
      void router.service(Health, {
        check: ({ service }) => {
          if (!known.has(service)) throw new ConnectError("no such service", Code.NotFound)
          return response(status())
        },
        list: () =>
          create(HealthListResponseSchema, {
            statuses: Object.fromEntries([...known].map((name) => [name, response(status())]))
          }),
        async *watch({ service }, { signal }) {
          const end = performance.now() + watchMillis
          let sent: Status | undefined
          while (!signal.aborted) {
            const current = known.has(service) ? status() : Status.SERVICE_UNKNOWN
            if (current !== sent) yield response(current)
            sent = current
            if (options.draining()) return
            if (performance.now() >= end) {
              protections.expired.add()
              throw new ConnectError("this call has lasted long enough; call again", Code.Unavailable)
            }
            await nextLook(signal)
          }
        }
      })
  })
  return { mounts: { [`/${Health.typeName}`]: handler as Handler }, changed }
}
