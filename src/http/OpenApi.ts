import type { ServerResponse } from "node:http"
import { Code } from "@connectrpc/connect"
import { rejection } from "../rpc/ErrorCatalog.ts"
import type { Response } from "../rpc/Request.ts"
import * as UnaryLane from "../rpc/UnaryLane.ts"
import * as BrowserHeaders from "./BrowserHeaders.ts"
import type { Mount } from "./Mounts.ts"

export const PATH = "/openapi.json"

/** The document as text. It is read when it is first asked for, and kept. */
const load = async (): Promise<string> => {
  const { default: document } = await import("../contract/gen/openapi.json", { with: { type: "json" } })
  return `${JSON.stringify(document)}\n`
}

/**
 * `/openapi.json`: the contract as an OpenAPI 3.1 document, which `npm run generate` writes from the proto file. Any
 * page may read it.
 */
export const make = (): Mount => {
  let text: Promise<string> | undefined
  const send = (response: Response, status: number, type: string, body: string, last: boolean) =>
    UnaryLane.send(response, status, type, body, Buffer.byteLength(body), last)
  const reject = (response: Response, status: number, message: string, last: boolean) => {
    const { body, type } = rejection(undefined, status === 404 ? Code.Unimplemented : Code.Unknown, message)
    send(response, status, type, body, last)
  }
  return {
    headers: BrowserHeaders.make("default-src 'none'; frame-ancestors 'none'", "public, max-age=300"),
    handler: (request, response, draining) => {
      request.resume()
      const path = request.url!.split("?", 1)[0]
      if (path !== PATH) return reject(response, 404, "there is no such path", draining.aborted)
      if (request.method !== "GET" && request.method !== "HEAD") {
        (response as ServerResponse).setHeader("Allow", "GET, HEAD")
        return reject(response, 405, `${PATH} takes GET`, draining.aborted)
      }
      (response as ServerResponse).setHeader("Access-Control-Allow-Origin", "*")
      text ??= load()
      text.then(
        (body) => send(response, 200, "application/json", body, draining.aborted),
        () => response.destroy()
      )
    }
  }
}
