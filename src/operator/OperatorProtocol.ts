import type * as http from "node:http"
import type { FromClientEncoded, FromServerEncoded } from "@effect/rpc/RpcMessage"
import * as RpcSerialization from "@effect/rpc/RpcSerialization"
import * as RpcServer from "@effect/rpc/RpcServer"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import * as Runtime from "effect/Runtime"
import { noSource, type RequestSource } from "../domain/Actor.ts"
import * as HttpSource from "../rpc/dispatch/HttpSource.ts"
import type { Principal } from "../domain/Principal.ts"
import type { Request, Response } from "../rpc/Request.ts"
import * as OperatorSlots from "./admission/OperatorSlots.ts"

/** `@effect/rpc`'s protocol over requests of Node's two HTTP servers. */
export interface OperatorProtocol {
  readonly protocol: RpcServer.Protocol["Type"]
  /** Serves one POST of newline-delimited JSON. Each answer is written as one line as soon as it is there. */
  readonly serve: (request: Request, response: Response, caller: Principal) => void
  /** Where a request came from, while it is served. */
  readonly sourceOf: (clientId: number) => RequestSource
}

/** Where the requests of the operator plane came from. */
export class OperatorSources extends Context.Tag("coupon/operator/OperatorSources")<OperatorSources, {
  /** As `OperatorProtocol.sourceOf`. */
  readonly of: (clientId: number) => RequestSource
}>() {}

const CONTENT_TYPE = "application/ndjson"

/** The most calls in one request. A client of `@effect/rpc` sends one. */
const MOST_MESSAGES = 16

/** One request with the calls in it. */
interface Client {
  readonly response: Response
  readonly parser: RpcSerialization.Parser
  readonly source: RequestSource
  readonly slot: OperatorSlots.Slot
}

const reject = (response: Response, status: number, message: string, headers: Record<string, string> = {}) => {
  ;(response as http.ServerResponse).writeHead(status, {
    "content-type": "text/plain; charset=utf-8",
    "content-length": String(Buffer.byteLength(message) + 1),
    "cache-control": "no-store",
    ...headers
  })
  response.end(`${message}\n`)
}

/**
 * Replaces `RpcServer.makeProtocolWithHttpApp`: that needs the whole HTTP server of `@effect/platform-node` (47 MB more
 * memory), trusts headers inside a client's message, and does not bound the body.
 */
export const make = (options: {
  readonly maxBodyBytes: number
  /** The client's address, as `RequestSource.address` has it. */
  readonly addressOf: (request: Request) => string
}): Effect.Effect<OperatorProtocol> =>
  Effect.gen(function*() {
    const run = Runtime.runFork(yield* Effect.runtime<never>())
    const disconnects = yield* Mailbox.make<number>()
    const clients = new Map<number, Client>()
    const slots = OperatorSlots.make()
    let lastId = 0
    let writeRequest!: (clientId: number, message: FromClientEncoded) => Effect.Effect<void>

    /** Waits while a slow reader's socket is full, so that a stream is produced no faster than it is read. */
    const write = ({ parser, response }: Client, message: FromServerEncoded) =>
      Effect.async<void>((resume) => {
        const encoded = parser.encode(message)
        if (encoded === undefined || response.destroyed || (response as http.ServerResponse).write(encoded)) {
          resume(Effect.void)
          return
        }
        const late = setTimeout(() => OperatorSlots.endUnread(response), OperatorSlots.UNREAD_MILLIS).unref()
        const done = () => {
          clearTimeout(late)
          response.removeListener("drain", done)
          response.removeListener("close", done)
          resume(Effect.void)
        }
        response.once("drain", done)
        response.once("close", done)
        return Effect.sync(done)
      })

    const protocol = yield* RpcServer.Protocol.make((writeRequest_) => {
      writeRequest = writeRequest_
      return Effect.succeed({
        disconnects,
        send: (clientId, message) => {
          const client = clients.get(clientId)
          return client === undefined ? Effect.void : write(client, message)
        },
        end: (clientId) =>
          Effect.sync(() => {
            const client = clients.get(clientId)
            client?.response.end()
            client?.slot.written()
          }),
        clientIds: Effect.sync(() => new Set(clients.keys())),
        initialMessage: Effect.succeedNone,
        supportsAck: false,
        supportsTransferables: false,
        supportsSpanPropagation: false
      })
    })

    const start = (request: Request, response: Response, body: string, caller: Principal) => {
      const parser = RpcSerialization.ndjson.unsafeMake()
      let messages: ReadonlyArray<FromClientEncoded>
      try {
        messages = parser.decode(body.endsWith("\n") ? body : `${body}\n`) as ReadonlyArray<FromClientEncoded>
      } catch {
        reject(response, 400, "the body must be JSON, an object a line")
        return
      }
      const calls = messages.every((message) =>
        typeof message === "object" && message !== null && message._tag === "Request")
      if (!calls || messages.length === 0 || messages.length > MOST_MESSAGES) {
        reject(response, 400, `the body must be 1 to ${MOST_MESSAGES} messages of @effect/rpc with the tag Request`)
        return
      }
      const slot = slots.take(caller, response)
      if (slot === undefined) {
        reject(response, 429, "as many calls of operators are under way as this key may have", { "retry-after": "1" })
        return
      }
      const id = ++lastId
      const source = HttpSource.make(request, response, options.addressOf)
      // Now, while the connection is there and the head is not sent.
      source.address()
      source.requestId()
      clients.set(id, { response, parser, source, slot })
      response.once("close", () => {
        clients.delete(id)
        disconnects.unsafeOffer(id)
      })
      ;(response as http.ServerResponse).writeHead(200, {
        "content-type": CONTENT_TYPE,
        "cache-control": "no-store",
        // Keeps proxies from buffering the stream.
        "x-accel-buffering": "no"
      })
      const headers = Object.entries(request.headers).flatMap(([name, value]): ReadonlyArray<[string, string]> =>
        name.startsWith(":") || value === undefined ? [] : [[name, String(value)]])
      run(Effect.zipRight(
        Effect.forEach(
          messages,
          (message) => writeRequest(id, { ...message, headers } as FromClientEncoded),
          { discard: true }
        ),
        writeRequest(id, { _tag: "Eof" })
      ))
    }

    return {
      protocol,
      sourceOf: (clientId) => clients.get(clientId)?.source ?? noSource,
      serve: (request, response, caller) => {
        if (request.method !== "POST") {
          reject(response, 405, "calls of the operator plane are POSTed", { allow: "POST" })
          return
        }
        // Requires a type that a web page cannot send without a CORS preflight, so no foreign page can make a call.
        if (request.headers["content-type"]?.split(";", 1)[0]?.trim().toLowerCase() !== CONTENT_TYPE) {
          reject(response, 415, `the content type must be ${CONTENT_TYPE}`)
          return
        }
        const chunks: Array<Buffer> = []
        let bytes = 0
        request.on("data", (chunk: Buffer) => {
          bytes += chunk.length
          if (bytes <= options.maxBodyBytes) chunks.push(chunk)
          else if (!response.headersSent) {
            reject(response, 413, `the body must be at most ${options.maxBodyBytes} bytes`)
          }
        })
        request.once("end", () => {
          if (response.headersSent || response.destroyed) return
          try {
            start(request, response, Buffer.concat(chunks).toString(), caller)
          } catch (defect) {
            run(Effect.logError("a call of the operator plane failed unexpectedly", Cause.die(defect)))
            response.destroy()
          }
        })
        request.once("error", () => response.destroy())
      }
    }
  })
