import * as http from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { Webhook } from "standardwebhooks"
import { makeRandom, type Random } from "../Random.ts"

/** How a receiver may treat a request while receivers fail. */
export const treatments = ["taken", "slow", "silent", "error", "busy", "reset"] as const
export type Treatment = (typeof treatments)[number]

export type Mode = "EACH" | "BATCH" | "RANGE"

/** A receiver of webhooks, which takes requests unless it is to fail. */
export interface Receiver {
  readonly mode: Mode
  readonly url: string
  /** The secret of its endpoint, as soon as there is one; requests before that are rejected. */
  secret: string | undefined
  /** The ids of the events of each request that was answered 2xx, in the order of the answers. */
  readonly accepted: Array<ReadonlyArray<string>>
  /** What must never happen. */
  readonly violations: Array<string>
  /** Requests by how they were treated while receivers failed. */
  readonly treated: Record<Treatment, number>
  /** From now on each request is treated so, or by chance. */
  readonly fail: (how: Treatment | "by chance") => void
  /** Takes requests again. Those that wait are answered, cut off, or either by chance. */
  readonly heal: (waiting?: "answer" | "cut") => void
  readonly stop: () => Promise<void>
}

interface Waiting {
  readonly answer: () => void
  readonly cut: () => void
}

/** The ids of the events in a body, single or a batch; throws if it is not signed. */
const idsOf = (secret: string, headers: http.IncomingHttpHeaders, body: string): ReadonlyArray<string> => {
  const events = [new Webhook(secret).verify(body, headers as Record<string, string>)].flat()
  return events.map((event) => (event as { readonly id: string }).id)
}

/** An instance whose clock has jumped signs with its time. */
const isMisdated = (error: unknown): boolean => /timestamp/i.test(String(error))

/** Starts one on loopback. Its treatment of requests is decided by the seed, in the order in which they come. */
export const startReceiver = async (mode: Mode, seed: number): Promise<Receiver> => {
  const random: Random = makeRandom(seed)
  const sockets = new Set<Socket>()
  const waiting = new Set<Waiting>()
  const accepted: Array<ReadonlyArray<string>> = []
  const violations: Array<string> = []
  const treated: Record<Treatment, number> = { taken: 0, slow: 0, silent: 0, error: 0, busy: 0, reset: 0 }
  let failing: Treatment | "by chance" | undefined

  const take = (response: http.ServerResponse, ids: ReadonlyArray<string>) => {
    // The sender has left: it gets no answer, and sends the request again.
    if (response.destroyed) return
    accepted.push(ids)
    response.writeHead(204).end()
  }

  const treat = (
    treatment: Treatment,
    request: http.IncomingMessage,
    response: http.ServerResponse,
    ids: ReadonlyArray<string>
  ) => {
    treated[treatment]++
    switch (treatment) {
      case "taken":
        return take(response, ids)
      case "slow":
        return void setTimeout(() => take(response, ids), random.integer(100, 1_500))
      case "silent":
        return void waiting.add({
          answer: () => take(response, ids),
          cut: () => request.socket.destroy()
        })
      case "error":
        return void response.writeHead(500).end("out of order")
      case "busy":
        return void response.writeHead(429, { "retry-after": "1" }).end()
      case "reset":
        return void request.socket.resetAndDestroy()
    }
  }

  const receive = (request: http.IncomingMessage, response: http.ServerResponse, body: string) => {
    if (receiver.secret === undefined) return void response.writeHead(503).end()
    let ids: ReadonlyArray<string>
    try {
      ids = idsOf(receiver.secret, request.headers, body)
    } catch (error) {
      if (!isMisdated(error)) violations.push(`E3 the endpoint ${mode} received what is not signed: ${String(error)}`)
      return void response.writeHead(400).end()
    }
    if (failing === undefined) take(response, ids)
    else treat(failing === "by chance" ? random.pick(treatments) : failing, request, response, ids)
  }

  const server = http.createServer((request, response) => {
    const chunks: Array<Buffer> = []
    response.on("error", () => {})
    request.on("error", () => {})
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => receive(request, response, Buffer.concat(chunks).toString("utf8")))
  })
  server.keepAliveTimeout = 60_000
  server.on("connection", (socket: Socket) => {
    sockets.add(socket)
    socket.on("error", () => {})
    socket.on("close", () => sockets.delete(socket))
  })
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening))

  const receiver: Receiver = {
    mode,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    secret: undefined,
    accepted,
    violations,
    treated,
    fail: (how) => {
      failing = how
    },
    heal: (how) => {
      failing = undefined
      for (const one of waiting) one[how ?? random.pick(["answer", "cut"] as const)]()
      waiting.clear()
    },
    stop: () =>
      new Promise((closed) => {
        server.close(() => closed())
        for (const socket of sockets) socket.destroy()
      })
  }
  return receiver
}
