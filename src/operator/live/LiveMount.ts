import type { ServerResponse } from "node:http"
import { Code } from "@connectrpc/connect"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import { AppConfig } from "../../config/AppConfig.ts"
import { PATH } from "../../contract/Live.ts"
import { mayTouch } from "../../domain/Principal.ts"
import type { Handler, Mounts } from "../../http/Mounts.ts"
import * as Rejection from "../../http/Rejection.ts"
import * as SmallBody from "../../http/SmallBody.ts"
import { AuditChain } from "../../ports/AuditChain.ts"
import * as ClientAddress from "../../rpc/admission/ClientAddress.ts"
import * as HttpSource from "../../rpc/dispatch/HttpSource.ts"
import { Startup } from "../../rpc/Startup.ts"
import * as Rechecks from "../../rpc/streams/Rechecks.ts"
import type { Caller } from "../../security/Guard.ts"
import * as OperatorAccess from "../admission/OperatorAccess.ts"
import { OperatorServices } from "../OperatorServices.ts"
import { ask, type Overviews } from "../OverviewSampler.ts"
import * as LiveCampaigns from "./LiveCampaigns.ts"
import * as LiveReaders from "./LiveReaders.ts"
import * as LiveSales from "./LiveSales.ts"
import * as LiveSamples from "./LiveSamples.ts"

const MOST_BODY_BYTES = 1_024

const JSON_TYPE = /^application\/json(;|$)/i

/** The campaign that a body asks for; `null`: it asks for none; `undefined`: it is no request. */
const campaignOf = (body: string | undefined): number | null | undefined => {
  try {
    const asked: unknown = JSON.parse(body === "" ? "{}" : body ?? "")
    if (typeof asked !== "object" || asked === null) return undefined
    const { campaignId = null } = asked as { readonly campaignId?: unknown }
    const isId = Number.isInteger(campaignId) && Number(campaignId) >= 1 && Number(campaignId) <= 2_147_483_647
    return campaignId === null ? null : isId ? Number(campaignId) : undefined
  } catch {
    return undefined
  }
}

/**
 * What all instances do, once a second, to any number of readers (VIEWER): the stream of the console's pages. It needs
 * nothing of `@effect/rpc`, at neither end.
 */
export const make: Effect.Effect<
  Mounts,
  never,
  AppConfig | OperatorServices | Overviews | Scope.Scope | Startup
> = Effect.gen(function*() {
  const startup = yield* Startup
  const services = yield* OperatorServices
  const addressOf = ClientAddress.makeAddressOf((yield* AppConfig).trustedNetworks)
  const run = Runtime.runFork(yield* Effect.runtime<never>())
  const sales = LiveSales.make()
  const readers = LiveReaders.make(sales)
  const rechecks = yield* Rechecks.make

  const detailsOf = (campaignIds: ReadonlySet<number>): Effect.Effect<LiveReaders.Details> =>
    Effect.gen(function*() {
      const ports = services.current()
      if (ports === undefined) return { auditHead: null, campaigns: new Map() }
      const [head, campaigns] = yield* Effect.all([
        ask(Effect.flatMap(AuditChain, (chain) => chain.head)),
        Effect.forEach(
          campaignIds,
          (campaignId) => Effect.map(LiveCampaigns.look(campaignId), (one) => [campaignId, one] as const),
          { concurrency: 4 }
        )
      ], { concurrency: 2 }).pipe(Effect.provide(ports))
      const auditHead = Option.match(head, { onNone: () => null, onSome: ({ sequence }) => sequence })
      return { auditHead, campaigns: new Map(campaigns) }
    })

  const watched = () =>
    new Set(Array.from(readers.all(), ({ campaignId }) => campaignId).filter((id) => id !== undefined))

  const publish = (gathered: LiveSamples.Gathered) =>
    Effect.gen(function*() {
      readers.write(gathered, yield* detailsOf(watched()))
      sales.settle()
    })
  const hasReaders = () => readers.all().size > 0
  const { wake } = yield* LiveSamples.run({ hasReaders, watched, sales, publish })

  const mount: Handler = (request, response, draining) => {
    if (request.method !== "POST") {
      return Rejection.method(request, response, "POST", `${PATH} takes POST`, draining.aborted)
    }
    const source = HttpSource.make(request, response, addressOf)
    // Now, while the connection is there.
    source.address()
    source.requestId()
    const caller: Caller = {
      authorization: request.headers.authorization,
      source,
      call: "Live",
      touches: "own"
    }
    run(Effect.either(OperatorAccess.identify(startup, request, response, addressOf))).addObserver((exit) => {
      if (response.destroyed) return
      if (exit._tag === "Failure" || Either.isLeft(exit.value)) {
        const rejection = exit._tag === "Success" && Either.isLeft(exit.value) ? exit.value.left : undefined
        return OperatorAccess.reject(request, response, rejection, startup.waitingFor())
      }
      const principal = exit.value.right
      if (!JSON_TYPE.test(request.headers["content-type"] ?? "")) {
        request.resume()
        const message = "the content type must be application/json"
        return Rejection.send(response, 415, Code.Unknown, message, draining.aborted)
      }
      SmallBody.read(request, MOST_BODY_BYTES, (body) => {
        if (response.destroyed) return
        const campaignId = campaignOf(body)
        if (campaignId === undefined) {
          const message = "INVALID_ARGUMENT: campaignId: must be a campaign"
          return Rejection.send(response, 400, Code.InvalidArgument, message, true)
        }
        if (campaignId !== null && !mayTouch(principal, campaignId)) {
          const message = `PERMISSION_DENIED: the key is limited to other campaigns, without campaign ${campaignId}`
          return Rejection.send(response, 403, Code.PermissionDenied, message, draining.aborted)
        }
        const reader = { response, principal, campaignId: campaignId ?? undefined }
        if (draining.aborted || !readers.add(reader)) {
          const message = "OVERLOADED: as many read the live state as may at once"
          return Rejection.send(response, 429, Code.ResourceExhausted, message, draining.aborted, 1)
        }
        const scope = Effect.runSync(Scope.make())
        // It was admitted, so there is a guard.
        const admitted = { guard: startup.current()!.guard, caller, access: "VIEWER", principal } as const
        run(Scope.extend(Rechecks.addCaller(rechecks, admitted, () => readers.end(reader)), scope))
        const leave = () => readers.end(reader)
        draining.addEventListener("abort", leave)
        response.once("close", () => {
          draining.removeEventListener("abort", leave)
          run(Scope.close(scope, Exit.void))
        })
        ;(response as ServerResponse).writeHead(200, {
          "content-type": "application/x-ndjson",
          "cache-control": "no-store",
          // Keeps proxies from buffering the stream.
          "x-accel-buffering": "no"
        })
        ;(response as ServerResponse).flushHeaders()
        wake()
      })
    })
  }
  return { [PATH]: mount }
})
