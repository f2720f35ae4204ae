import * as Effect from "effect/Effect"
import * as http from "node:http"
import * as https from "node:https"
import type { AddressInfo, Socket } from "node:net"

/** A request as the receiver got it. */
export interface Received {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface Receiver {
  readonly port: number
  readonly received: Array<Received>
  /** Connections that were ever made. */
  readonly connections: () => number
}

export interface ReceiverOptions {
  /** Writes the answer. Default: 200. */
  readonly answer?: (received: Received, response: http.ServerResponse) => void
  readonly host?: string
  readonly tls?: { readonly key: string; readonly cert: string }
}

/** A receiver of webhooks on loopback; ends with the scope. */
export const start = (
  { answer = (_, response) => response.end("ok"), host = "127.0.0.1", tls }: ReceiverOptions = {}
) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const received: Array<Received> = []
      const sockets = new Set<Socket>()
      let connections = 0
      const handle = (request: http.IncomingMessage, response: http.ServerResponse) => {
        const chunks: Array<Buffer> = []
        response.on("error", () => {})
        request.on("error", () => {})
        request.on("data", (chunk: Buffer) => chunks.push(chunk))
        request.on("end", () => {
          const one = {
            method: request.method!,
            path: request.url!,
            headers: request.headers as Record<string, string>,
            body: Buffer.concat(chunks).toString("utf8")
          }
          received.push(one)
          answer(one, response)
        })
      }
      const server = tls === undefined ? http.createServer(handle) : https.createServer(tls, handle)
      server.keepAliveTimeout = 60_000
      server.on("connection", (socket: Socket) => {
        connections++
        sockets.add(socket)
        socket.on("error", () => {})
        socket.on("close", () => sockets.delete(socket))
      })
      await new Promise<void>((listening) => server.listen(0, host, listening))
      const receiver: Receiver = {
        port: (server.address() as AddressInfo).port,
        received,
        connections: () => connections
      }
      return {
        receiver,
        close: () =>
          new Promise<void>((closed) => {
            server.close(() => closed())
            sockets.forEach((socket) => socket.destroy())
          })
      }
    }),
    ({ close }) => Effect.promise(close)
  ).pipe(Effect.map(({ receiver }) => receiver))
