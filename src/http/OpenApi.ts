import type { ServerResponse } from "node:http"
import { Code } from "@connectrpc/connect"
import * as UnaryLane from "../rpc/UnaryLane.ts"
import * as BrowserHeaders from "./BrowserHeaders.ts"
import type { Mount } from "./Mounts.ts"
import * as Rejection from "./Rejection.ts"

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
  return {
    headers: BrowserHeaders.make("default-src 'none'; frame-ancestors 'none'", "public, max-age=300"),
    handler: (request, response, draining) => {
      request.resume()
      const path = request.url!.split("?", 1)[0]
      if (path !== PATH) {
        return Rejection.send(response, 404, Code.Unimplemented, "there is no such path", draining.aborted)
      }
      if (request.method !== "GET" && request.method !== "HEAD") {
        return Rejection.method(request, response, "GET, HEAD", `${PATH} takes GET`, draining.aborted)
      }
      (response as ServerResponse).setHeader("Access-Control-Allow-Origin", "*")
      text ??= load()
      text.then(
        (body) =>
          UnaryLane.send(response, 200, "application/json", body, Buffer.byteLength(body), draining.aborted),
        () => response.destroy()
      )
    }
  }
}
