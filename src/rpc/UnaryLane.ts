import type { ServerResponse } from "node:http"
import type { IssueFailure } from "../domain/Failure.ts"
import { DeadlineExceeded, InvalidArgument } from "../domain/Failure.ts"
import * as RequestMetrics from "../metrics/RequestMetrics.ts"
import * as BodyDeadline from "./BodyDeadline.ts"
import type { Dispatcher } from "./dispatch/Dispatcher.ts"
import type { ErrorReply } from "./ErrorCatalog.ts"
import { bodyTooLargeReply, toErrorReply, wireToErrorReply } from "./ErrorCatalog.ts"
import * as RequestHead from "./RequestHead.ts"
import type { Metadata, Route } from "./Route.ts"
import type { Request, Response } from "./Request.ts"
import * as TurnWrites from "./TurnWrites.ts"
import * as UnaryHead from "./UnaryHead.ts"
import { JSON_TYPE, PROTO_TYPE } from "./UnaryHead.ts"

const deadlineExceeded = new DeadlineExceeded()

/** The failure that malformed requests are counted as. */
const MALFORMED = { _tag: "InvalidArgument" }

/** Writes an answer in one piece, unless the client is gone. */
export const send = (
  response: Response,
  status: number,
  type: string,
  body: string | Uint8Array,
  length: number,
  last: boolean,
  retryAfterSeconds?: number,
  metadata?: Metadata
): void => {
  if (response.destroyed || response.headersSent) return
  // HTTP/2 ends connections by GOAWAY, and forbids the header that this sets.
  if (last && "shouldKeepAlive" in response) response.shouldKeepAlive = false
  const headers: Record<string, string | number> = { "Content-Type": type, "Content-Length": length }
  if (retryAfterSeconds !== undefined) headers["Retry-After"] = retryAfterSeconds
  if (metadata !== undefined) {
    metadata.responseHeader.forEach((value, name) => headers[name] = value)
    metadata.responseTrailer.forEach((value, name) => headers[`trailer-${name}`] = value)
  }
  // Both kinds of response accept these calls, but their overloads have no common signature.
  const plain = response as ServerResponse
  plain.writeHead(status, headers)
  plain.end(body)
}

const metadataOf = (request: Request): Metadata => {
  const requestHeader = new Headers()
  const raw = request.rawHeaders
  for (let i = 0; i < raw.length; i += 2) if (!raw[i]!.startsWith(":")) requestHeader.append(raw[i]!, raw[i + 1]!)
  const host = request.headers.host ?? request.headers[":authority"] ?? RequestHead.NO_HOST
  return {
    requestMethod: request.method!,
    url: `http://${String(host)}${request.url!}`,
    requestHeader,
    responseHeader: new Headers(),
    responseTrailer: new Headers()
  }
}

/**
 * The fast path of Connect's unary protocol: exactly POST, a path without a query, JSON or protobuf, not compressed.
 * A request takes 26 to 31 µs instead of the adapter's 173 (async iterables, undici Headers, an AbortController each),
 * with the same answers, which a differential test proves. Returns false for all other requests and leaves them as they
 * are.
 */
export const make = (
  routes: ReadonlyArray<Route>,
  options: {
    readonly dispatcher: Dispatcher
    readonly maxBodyBytes: number
    readonly draining: () => boolean
  }
): (request: Request, response: Response) => boolean => {
  const { dispatcher, draining, maxBodyBytes } = options
  const byPath = new Map(routes.map((route) => [route.path, route]))
  const isHost = RequestHead.makeIsHost()
  const atEndOfTurn = BodyDeadline.makeAtEndOfTurn(dispatcher.report)
  // Metrics exist from the start: the rate of a first increment needs the zero before it.
  for (const route of routes) RequestMetrics.rpc(route.method.name)
  const sendError = (response: Response, reply: ErrorReply, metadata?: Metadata) => {
    const { body, retryAfterSeconds, status } = reply
    // RFC 9110: a 401 says how to authenticate.
    if (status === 401 && !response.headersSent) {
      (response as ServerResponse).setHeader("WWW-Authenticate", "Bearer")
    }
    send(response, status, JSON_TYPE, body, Buffer.byteLength(body), draining(), retryAfterSeconds, metadata)
  }

  /** Answers with INTERNAL; if that cannot be written either, ends the connection. */
  const sendDefect = (response: Response, defect: unknown) => {
    dispatcher.report(defect)
    if (response.headersSent) return void response.destroy()
    try {
      sendError(response, toErrorReply(undefined))
    } catch (again) {
      dispatcher.report(again)
      response.destroy()
    }
  }
  const later = TurnWrites.make(sendDefect)

  const replyTo = (route: Route, failure: IssueFailure | undefined) => {
    const wire = failure === undefined ? undefined : route.wireOf(failure)
    return wire === undefined ? toErrorReply(failure) : wireToErrorReply(wire)
  }

  const serve = (
    route: Route,
    head: UnaryHead.UnaryHead,
    client: number,
    request: Request,
    response: Response,
    body: Uint8Array
  ) => {
    let input: unknown
    try {
      input = head.binary ? route.decodeBinary(body) : route.decodeJson(body)
    } catch (error) {
      if (!(error instanceof InvalidArgument)) dispatcher.report(error)
      dispatcher.refused(route, error instanceof InvalidArgument ? error : undefined)
      sendError(response, toErrorReply(error instanceof InvalidArgument ? error : undefined))
      return
    }
    const { authorization, binary, timeoutMillis, traceparent } = head
    const metadata = route.wantsMetadata ? metadataOf(request) : undefined
    dispatcher.dispatch({
      route,
      input,
      timeoutMillis,
      authorization,
      traceparent,
      metadata,
      client,
      request,
      response,
      answered: (answer) => {
        try {
          const encoded = binary ? route.encodeBinary(answer) : route.encodeJson(answer)
          const length = typeof encoded === "string" ? Buffer.byteLength(encoded) : encoded.length
          const type = binary ? PROTO_TYPE : JSON_TYPE
          later(response, () => send(response, 200, type, encoded, length, draining(), undefined, metadata))
        } catch (defect) {
          sendDefect(response, defect)
        }
      },
      failed: (failure) => later(response, () => sendError(response, replyTo(route, failure), metadata))
    })
  }

  /** Reads the body, up to its limits in size and time, and serves the call. */
  const receive = (
    route: Route,
    head: UnaryHead.UnaryHead,
    client: number,
    request: Request,
    response: Response
  ): void => {
    const most = Math.max(maxBodyBytes, route.maxBodyBytes)
    let size = 0
    let first: Buffer | undefined
    let rest: Array<Buffer> | undefined
    request.on("data", (chunk: Buffer) => {
      if (size > most) return
      size += chunk.length
      if (size > most) {
        rest = undefined
        dispatcher.refused(route, MALFORMED)
        // The rest is read and dropped, within the request timeout, so that the client receives this answer.
        sendError(response, bodyTooLargeReply(most))
      } else if (first === undefined) first = chunk
      else (rest ??= [first]).push(chunk)
    })
    let deadline: NodeJS.Timeout | undefined
    let ended = false
    request.on("end", () => {
      // A stream of HTTP/2 that is reset in the middle of its body ends as one that is complete.
      if (size > most || ended || request.aborted) return
      ended = true
      if (deadline !== undefined) clearTimeout(deadline)
      const body = rest === undefined ? first ?? Buffer.alloc(0) : Buffer.concat(rest, size)
      try {
        serve(route, head, client, request, response, body)
      } catch (defect) {
        sendDefect(response, defect)
      }
    })
    const { timeoutMillis } = head
    if (timeoutMillis !== undefined) {
      // Nearly every body arrives with its head, by the end of the turn. It needs no timer.
      atEndOfTurn(() => {
        if (ended || size > most) return
        deadline = BodyDeadline.start(timeoutMillis, dispatcher.report, () => {
          if (ended || size > most || response.destroyed) return
          ended = true
          rest = undefined
          dispatcher.refused(route, deadlineExceeded)
          BodyDeadline.endAfter(response)
          sendError(response, toErrorReply(deadlineExceeded))
        })
      })
    }
  }

  return (request, response) => {
    const route = byPath.get(request.url!)
    if (route === undefined || request.method !== "POST") return false
    const head = UnaryHead.read(request.rawHeaders, route.bound === "itself", isHost)
    if (head === undefined) return false
    const most = Math.max(maxBodyBytes, route.maxBodyBytes)
    const rejection = head.rejection ??
      (head.length !== undefined && head.length > most ? bodyTooLargeReply(most) : undefined)
    if (rejection !== undefined) {
      // The body is read and dropped, because HTTP/2 would reset a stream with an unread body and lose the answer.
      request.resume()
      dispatcher.refused(route, MALFORMED)
      sendError(response, rejection)
      return true
    }
    const client = dispatcher.clientOf(request)
    if (!dispatcher.admits(route, client)) {
      // The body is read and dropped here too: rejections must stay cheap.
      request.resume()
      dispatcher.shed(route, (failure) => sendError(response, toErrorReply(failure)))
      return true
    }
    receive(route, head, client, request, response)
    return true
  }
}
