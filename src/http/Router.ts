import * as http from "node:http"
import { Code } from "@connectrpc/connect"
import type { AppConfig } from "../config/AppConfig.ts"
import * as ConnectAdapter from "../rpc/ConnectAdapter.ts"
import type { Dispatcher } from "../rpc/dispatch/Dispatcher.ts"
import type { Request, Response } from "../rpc/Request.ts"
import * as RequestHead from "../rpc/RequestHead.ts"
import type { Route } from "../rpc/Route.ts"
import type { StreamRoute } from "../rpc/streams/StreamRoute.ts"
import * as UnaryLane from "../rpc/UnaryLane.ts"
import * as BrowserHeaders from "./BrowserHeaders.ts"
import { dropRest } from "./connections/DropRest.ts"
import * as ConsoleRequests from "./console/ConsoleRequests.ts"
import * as Cors from "./Cors.ts"
import { finder, type Handler, type Mounts } from "./Mounts.ts"
import type { Pages } from "./Pages.ts"

/** Answers every request of the port: RPCs by the lane or the adapter, then mounts, then pages. */
export interface Router {
  /** Never throws. */
  readonly serve: (request: Request, response: Response) => void
  /** Asks for the end of all HTTP/1.1 connections whose answers are not begun. The lane asks by itself. */
  readonly closeAfterAnswers: () => void
}

const isConsolePath = (url: string): boolean => url.startsWith("/console")

export const make = (options: {
  readonly config: AppConfig["Type"]
  readonly dispatcher: Dispatcher
  /** Aborted when the server begins to drain. */
  readonly draining: AbortSignal
  readonly mounts: Mounts
  readonly pages: Pages
  readonly routes: ReadonlyArray<Route>
  readonly streams: ReadonlyArray<StreamRoute>
  /** Bounds calls that last, of all kinds together. */
  readonly boundLong: (handler: Handler, paths: ReadonlySet<string>) => Handler
  readonly tls: boolean
}): Router => {
  const { boundLong, dispatcher, draining, pages, routes, streams, tls } = options
  const { corsOrigins, maxBodyBytes } = options.config
  // The lane asks for every answer, and a variable is cheaper than the signal.
  let isDraining = draining.aborted
  draining.addEventListener("abort", () => isDraining = true)
  const lane = UnaryLane.make(routes, { dispatcher, maxBodyBytes, draining: () => isDraining })
  const adapter = ConnectAdapter.make({ routes, streams }, { dispatcher, draining, maxBodyBytes })
  const streamPaths = new Set(streams.map(({ path }) => path))
  const serveStream = boundLong((request, response) => void adapter(request, response), streamPaths)
  const rpcs = new Set([...routes, ...streams].map(({ path }) => path))
  const mountAt = finder(options.mounts)
  const cors = corsOrigins.length === 0 ? undefined : Cors.make(corsOrigins)
  const readHead = RequestHead.make()
  const consoleRequests = options.config.servesConsole
    ? ConsoleRequests.make(options.config.trustedNetworks, tls)
    : undefined

  /** HTTP/1.1 responses that the lane does not write. */
  const open = new Set<http.ServerResponse>()
  const track = (request: Request, response: http.ServerResponse) => {
    if (isDraining) response.shouldKeepAlive = false
    open.add(response)
    response.once("close", () => open.delete(response))
    response.once("finish", () => dropRest(request))
  }

  const isWellFormed = (request: Request, response: Response) => {
    const problem = readHead(request)
    if (problem === undefined) return true
    pages.reject(request, response, 400, Code.InvalidArgument, `INVALID_ARGUMENT: ${problem}`)
    return false
  }

  /** Admits the console's cookie in place of a key, except to the pages of the console itself, which read it. */
  const isAuthorized = (request: Request, response: Response) => {
    if (consoleRequests === undefined || isConsolePath(request.url!)) return true
    const reason = consoleRequests.authorize(request)
    if (reason === undefined) return true
    request.resume()
    pages.reject(request, response, 403, Code.PermissionDenied, `PERMISSION_DENIED: ${reason}`)
    return false
  }

  const pathOf = (request: Request) => request.url!.split("?", 1)[0]!
  const mountOf = (path: string) => rpcs.has(path) ? undefined : mountAt(path)

  const route = (request: Request, response: Response) => {
    if (response instanceof http.ServerResponse) track(request, response)
    if (request.method !== "POST") {
      BrowserHeaders.set(response, mountOf(pathOf(request))?.headers ?? BrowserHeaders.api, tls)
    }
    if (!isWellFormed(request, response) || !isAuthorized(request, response)) return
    if (request.method === "POST" && streamPaths.has(request.url!)) return serveStream(request, response, draining)
    if (adapter(request, response)) return
    // Read again: of an absolute target, `isWellFormed` leaves the path.
    const path = pathOf(request)
    const mount = mountOf(path)
    if (mount === undefined) pages.serve(request, response, path)
    else mount.handler(request, response, draining)
  }

  return {
    serve: (request, response) => {
      try {
        // A preflight is answered here, so its head is read here too.
        if (cors !== undefined && request.method === "OPTIONS" && !isWellFormed(request, response)) return
        if (cors !== undefined && cors(request, response)) return
        if (!lane(request, response)) route(request, response)
      } catch (defect) {
        dispatcher.report(defect)
        response.destroy()
      }
    },
    closeAfterAnswers: () => {
      for (const response of open) if (!response.headersSent) response.shouldKeepAlive = false
    }
  }
}
