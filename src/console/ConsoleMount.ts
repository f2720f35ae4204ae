import type { ServerResponse } from "node:http"
import { Code } from "@connectrpc/connect"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import * as LogLimiter from "../base/LogLimiter.ts"
import { AppConfig } from "../config/AppConfig.ts"
import type { IssueFailure } from "../domain/Failure.ts"
import * as BrowserHeaders from "../http/BrowserHeaders.ts"
import * as ConsoleRequests from "../http/console/ConsoleRequests.ts"
import type { Handler, Mounts } from "../http/Mounts.ts"
import * as Rejection from "../http/Rejection.ts"
import * as SmallBody from "../http/SmallBody.ts"
import * as CredentialMetrics from "../metrics/CredentialMetrics.ts"
import * as ClientAddress from "../rpc/admission/ClientAddress.ts"
import * as HttpSource from "../rpc/dispatch/HttpSource.ts"
import * as ErrorCatalog from "../rpc/ErrorCatalog.ts"
import type { Request, Response } from "../rpc/Request.ts"
import { Startup } from "../rpc/Startup.ts"
import * as UnaryLane from "../rpc/UnaryLane.ts"
import * as ConsoleFiles from "./ConsoleFiles.ts"
import * as PagePolicy from "./PagePolicy.ts"
import * as SessionCalls from "./SessionCalls.ts"

/** The page, and below it its files and the session. */
export const PATH = "/console"
const SESSION = `${PATH}/session`

const MOST_BODY_BYTES = 4_096
const MOST_REPORT_BYTES = 16_384

const UNBUILT = "This build has no console. `npm run build` makes it, and `npm start` does so by itself.\n"

const sendText = (response: Response, status: number, text: string, last: boolean) =>
  UnaryLane.send(response, status, "text/plain; charset=utf-8", text, Buffer.byteLength(text), last)

const sendFailure = (response: Response, failure: IssueFailure | undefined, last: boolean) => {
  const { body, retryAfterSeconds, status } = ErrorCatalog.toErrorReply(failure)
  UnaryLane.send(response, status, "application/json", body, Buffer.byteLength(body), last, retryAfterSeconds)
}

const sendNothing = (response: Response) => {
  if (response.destroyed || response.headersSent) return
  ;(response as ServerResponse).writeHead(204)
  response.end()
}

const allow = (request: Request, response: Response, methods: string, last: boolean) =>
  Rejection.method(request, response, methods, `this path takes ${methods}`, last)

const redirect = (request: Request, response: Response) => {
  request.resume()
  const plain = response as ServerResponse
  plain.writeHead(308, { Location: `${PATH}/`, "Content-Length": 0 })
  plain.end()
}

const parse = (body: string): unknown => {
  try {
    return (JSON.parse(body) as { readonly key?: unknown } | null)?.key
  } catch {
    return undefined
  }
}

/**
 * The console: its files, read once when it is first asked for and then served from memory, and the calls by which its
 * page signs in and out. `folder`: where its files are, unless they are where the build puts them.
 */
export const make = (folder?: URL): Effect.Effect<Mounts, never, AppConfig | Startup> =>
  Effect.gen(function*() {
    const config = yield* AppConfig
    const startup = yield* Startup
    const run = Runtime.runFork(yield* Effect.runtime<never>())
    const requests = ConsoleRequests.make(config.trustedNetworks, config.tlsCertFile._tag === "Some")
    const sessions = SessionCalls.make(config, startup, requests)
    const addressOf = ClientAddress.makeAddressOf(config.trustedNetworks)
    const reports = LogLimiter.make<string>(3, (report, suppressed) => {
      const line = Effect.logWarning("the console's policy has stopped something in a browser")
      run(Effect.annotateLogs(line, { report, suppressed }))
    })
    let files: Promise<ConsoleFiles.Files | undefined> | undefined

    /** Answers with the outcome of a call, as JSON, or without a body. */
    const answer = (
      response: Response,
      draining: AbortSignal,
      call: Effect.Effect<SessionCalls.SessionState | void, SessionCalls.SessionFailure>
    ) =>
      void run(call).addObserver((exit) => {
        if (exit._tag === "Success") {
          if (exit.value === undefined) return sendNothing(response)
          const body = `${JSON.stringify(exit.value)}\n`
          return UnaryLane.send(response, 200, "application/json", body, Buffer.byteLength(body), draining.aborted)
        }
        const failure = exit.cause._tag === "Fail" ? exit.cause.error : undefined
        if (failure === undefined) run(Effect.logError("a call of the console failed unexpectedly", exit.cause))
        sendFailure(response, failure, draining.aborted)
      })

    const serveSession: Handler = (request, response, draining) => {
      // The answer to a POST is no page: what the router sets for the others is set here.
      if (request.method === "POST") BrowserHeaders.set(response, BrowserHeaders.api, false)
      const source = HttpSource.make(request, response, addressOf)
      // Now, while the connection is there: the audit log names both.
      source.address()
      source.requestId()
      const reason = requests.foreignness(request)
      if (reason !== undefined) {
        request.resume()
        return Rejection.send(response, 403, Code.PermissionDenied, `PERMISSION_DENIED: ${reason}`, draining.aborted)
      }
      if (request.method === "GET") {
        request.resume()
        answer(response, draining, sessions.look(request, response, source))
      } else if (request.method === "DELETE") {
        request.resume()
        answer(response, draining, sessions.signOut(request, response, source))
      } else if (request.method === "POST") {
        SmallBody.read(request, MOST_BODY_BYTES, (body) => {
          if (body !== undefined) {
            return answer(response, draining, sessions.signIn(request, response, source, parse(body)))
          }
          const { body: text, status } = ErrorCatalog.bodyTooLargeReply(MOST_BODY_BYTES)
          UnaryLane.send(response, status, "application/json", text, Buffer.byteLength(text), draining.aborted)
        })
      } else allow(request, response, "GET, POST, DELETE", draining.aborted)
    }

    const serveReports: Handler = (request, response, draining) => {
      if (request.method !== "POST") return allow(request, response, "POST", draining.aborted)
      SmallBody.read(request, MOST_REPORT_BYTES, (body) => {
        CredentialMetrics.policyReports.add()
        if (body !== undefined) reports.log(body.slice(0, 2_000))
        sendNothing(response)
      })
    }

    const serveFile: Handler = (request, response, draining) => {
      if (request.method !== "GET" && request.method !== "HEAD") {
        return allow(request, response, "GET, HEAD", draining.aborted)
      }
      request.resume()
      const path = request.url!.split("?", 1)[0]!
      if (path === PATH) return redirect(request, response)
      files ??= ConsoleFiles.read(folder)
      files.then((all) => {
        if (response.destroyed) return
        if (all === undefined) {
          // It may be built while the service runs.
          files = undefined
          return sendText(response, 404, UNBUILT, draining.aborted)
        }
        const file = ConsoleFiles.find(all, path.slice(PATH.length + 1))
        if (file === undefined) sendText(response, 404, "there is no such file\n", draining.aborted)
        else ConsoleFiles.send(request, response, file, draining.aborted)
      }).catch((defect) => {
        files = undefined
        run(Effect.logError("a file of the console could not be served", Cause.die(defect)))
        response.destroy()
      })
    }

    const { headers } = PagePolicy
    return {
      [PATH]: { handler: serveFile, headers },
      [SESSION]: { handler: serveSession, headers: BrowserHeaders.api },
      [PagePolicy.REPORTS]: { handler: serveReports, headers: BrowserHeaders.api }
    }
  })
