import { ConnectError, createClient, type Client, type Code, type Transport } from "@connectrpc/connect"
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager
} from "@connectrpc/connect-node"
import type { UniversalClientFn } from "@connectrpc/connect/protocol"
import * as ProtocolConnect from "@connectrpc/connect/protocol-connect"
import * as ProtocolGrpc from "@connectrpc/connect/protocol-grpc"
import * as ProtocolGrpcWeb from "@connectrpc/connect/protocol-grpc-web"
import { Agent } from "node:http"
import { CouponSchema, CouponService, type Coupon } from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import { WebhookService } from "../../src/contract/gen/coupon/v1/webhook_pb.ts"

/** How a client may speak to the one port. */
export const protocols = [
  "Connect JSON", "Connect binary", "Connect binary, h2", "gRPC", "gRPC-Web", "gRPC-Web, h2"
] as const
export type Protocol = typeof protocols[number]

/** Clients of one service, one an instance, that take turns. */
export interface Clients {
  readonly next: () => Client<typeof CouponService>
  /** The same for webhooks. */
  readonly nextWebhooks: () => Client<typeof WebhookService>
  readonly close: () => void
}

export const makeClients = (protocol: Protocol, urls: ReadonlyArray<string>): Clients => {
  const agent = new Agent({ keepAlive: true })
  const sessions: Array<Http2SessionManager> = []
  const h2 = (baseUrl: string) => {
    const sessionManager = new Http2SessionManager(baseUrl)
    sessions.push(sessionManager)
    return { baseUrl, httpVersion: "2" as const, sessionManager }
  }
  const transport = (baseUrl: string): Transport => {
    const h1 = { baseUrl, httpVersion: "1.1" as const, nodeOptions: { agent } }
    switch (protocol) {
      case "Connect JSON":
        return createConnectTransport({ ...h1, useBinaryFormat: false })
      case "Connect binary":
        return createConnectTransport({ ...h1, useBinaryFormat: true })
      case "Connect binary, h2":
        return createConnectTransport({ ...h2(baseUrl), useBinaryFormat: true })
      case "gRPC":
        return createGrpcTransport(h2(baseUrl))
      case "gRPC-Web":
        return createGrpcWebTransport(h1)
      case "gRPC-Web, h2":
        return createGrpcWebTransport(h2(baseUrl))
    }
  }
  const clients = urls.map((url) => {
    const shared = transport(url)
    return { coupons: createClient(CouponService, shared), webhooks: createClient(WebhookService, shared) }
  })
  let turn = 0
  const next = () => clients[turn++ % clients.length]!
  return {
    next: () => next().coupons,
    nextWebhooks: () => next().webhooks,
    close: () => {
      agent.destroy()
      for (const session of sessions) session.abort()
    }
  }
}

/** The protocols over a service in this process, without HTTP/1.1 or HTTP/2 below them. */
const transportInProcess = (protocol: Protocol, baseUrl: string, send: UniversalClientFn): Transport => {
  const options = {
    httpClient: send,
    baseUrl,
    useBinaryFormat: protocol !== "Connect JSON",
    interceptors: [],
    acceptCompression: [],
    sendCompression: null,
    compressMinBytes: 1 << 20,
    readMaxBytes: 1 << 27,
    writeMaxBytes: 1 << 27
  }
  if (protocol.startsWith("Connect")) return ProtocolConnect.createTransport(options)
  return (protocol === "gRPC" ? ProtocolGrpc : ProtocolGrpcWeb).createTransport(options)
}

/** Clients of a service in this process. */
export const makeClientsInProcess = (protocol: Protocol, baseUrl: string, send: UniversalClientFn): Clients => {
  const transport = transportInProcess(protocol, baseUrl, send)
  const [coupons, webhooks] = [createClient(CouponService, transport), createClient(WebhookService, transport)]
  return { next: () => coupons, nextWebhooks: () => webhooks, close: () => {} }
}

/** A failure as a typed client sees it; `coupon` is the error's detail. */
export interface Rejection {
  readonly code: Code
  readonly message: string
  readonly coupon?: Coupon
}

/** Awaits a call that must fail with a documented failure. */
export const refusal = async (call: Promise<unknown>): Promise<Rejection> => {
  const reply = await call.then((value) => ({ value }), (error: unknown) => ({ error }))
  if (!("error" in reply)) {
    const shown = JSON.stringify(reply.value, (_, value: unknown) => typeof value === "bigint" ? `${value}` : value)
    throw new Error(`expected a failure, got ${shown}`)
  }
  if (!(reply.error instanceof ConnectError)) throw reply.error
  const [coupon] = reply.error.findDetails(CouponSchema)
  return { code: reply.error.code, message: reply.error.rawMessage, ...coupon === undefined ? {} : { coupon } }
}

/** A reply to a plain HTTP request. */
export interface HttpReply {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** The body as JSON; throws if it is not. */
  readonly json: () => Record<string, unknown>
}

/** Plain HTTP to the instances in turn, as curl would speak it. */
export interface Http {
  readonly request: (path: string, init?: RequestInit) => Promise<HttpReply>
  /** One call in Connect's JSON; a string or bytes are sent as they are. */
  readonly post: (method: string, body: unknown, headers?: Record<string, string>) => Promise<HttpReply>
  /** One call by GET, as Connect has it for methods without side effects. */
  readonly get: (method: string, message: unknown) => Promise<HttpReply>
}

export const path = (method: string) => `/coupon.v1.CouponService/${method}`

export const makeHttp = (urls: ReadonlyArray<string>, fetch = globalThis.fetch): Http => {
  let turn = 0
  const request: Http["request"] = async (target, init) => {
    const reply = await fetch(urls[turn++ % urls.length] + target, init)
    const text = await reply.text()
    return {
      status: reply.status,
      headers: reply.headers,
      text,
      json: () => JSON.parse(text) as Record<string, unknown>
    }
  }
  return {
    request,
    post: (method, body, headers = {}) =>
      request(path(method), {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: typeof body === "string" || body instanceof Uint8Array
          ? body as NonNullable<RequestInit["body"]>
          : JSON.stringify(body)
      }),
    get: (method, message) =>
      request(
        `${path(method)}?${new URLSearchParams({ connect: "v1", encoding: "json", message: JSON.stringify(message) })}`
      )
  }
}
