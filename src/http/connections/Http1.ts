import * as http from "node:http"
import * as https from "node:https"
import type { Request, Response } from "../../rpc/Request.ts"
import type { Patience } from "../Patience.ts"
import type { Bodies } from "../protection/Bodies.ts"
import type { Credentials } from "./Listening.ts"
import type { Offences } from "../protection/Offences.ts"
import * as Pipelining from "../protection/Pipelining.ts"

/** Of the headers of one request, over both HTTP versions. */
export const MAX_HEADER_BYTES = 16_384

/**
 * Forward secrecy and authenticated encryption alone: no CBC, no key exchange by RSA. The "intermediate" list of
 * Mozilla's Server Side TLS 5.7, without DHE, which needs parameters of its own.
 */
const CIPHERS = [
  ...["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"],
  ...["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"],
  ...["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"],
  ...["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"]
].join(":")

/** The HTTP/1.1 server. With credentials it speaks TLS, and offers HTTP/2 in the handshake. */
export const make = (options: {
  readonly bodies: Bodies
  readonly credentials: Credentials | undefined
  readonly offences: Offences
  readonly patience: Patience
  readonly serve: (request: Request, response: Response) => void
}): http.Server => {
  const { credentials, patience } = options
  const serve = Pipelining.make(options.serve, options.offences)
  const plain = {
    IncomingMessage: options.bodies.IncomingMessage,
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: patience.headers,
    requestTimeout: patience.request,
    keepAliveTimeout: patience.keepAlive,
    connectionsCheckingInterval: Math.min(1_000, patience.headers / 4)
  }
  const server = credentials === undefined ? http.createServer(plain, serve) : https.createServer({
    ...plain,
    ...credentials,
    minVersion: "TLSv1.2",
    ciphers: CIPHERS,
    ALPNProtocols: ["h2", "http/1.1"],
    handshakeTimeout: patience.headers
  }, serve)
  return server
}
