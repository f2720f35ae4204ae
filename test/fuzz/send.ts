import * as http2 from "node:http2"
import * as net from "node:net"
import type { Asked } from "./Mutator.ts"

/** What came back: `status` 0 if the connection was closed without an answer, or none came in time. */
export interface Answer {
  readonly status: number
  readonly headers: string
  readonly body: string
  readonly late: boolean
}

/** The server waits 30 s for what a request promises and does not bring; the fuzzer has no such patience. */
const PATIENCE_MILLIS = 10_000

/** Writes the request by hand, so that nothing is too malformed to be sent; the server closes when it has answered. */
export const overHttp1 = (port: number, { body, headers, method, path }: Asked): Promise<Answer> =>
  new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1")
    const chunks: Array<Buffer> = []
    let late = false
    const timer = setTimeout(() => {
      late = true
      socket.destroy()
    }, PATIENCE_MILLIS)
    socket.on("data", (chunk: Buffer) => chunks.push(chunk)).on("error", () => {})
    socket.on("close", () => {
      clearTimeout(timer)
      const [head = "", ...rest] = Buffer.concat(chunks).toString("latin1").split("\r\n\r\n")
      resolve({
        status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0),
        headers: head,
        body: rest.join("\r\n\r\n"),
        late
      })
    })
    const lines = headers.map(([name, value]) => `${name}: ${value}`)
    const length = lines.some((line) => /^(content-length|transfer-encoding):/i.test(line))
      ? []
      : [`content-length: ${body.length}`]
    socket.write(
      Buffer.from(
        [`${method} ${path} HTTP/1.1`, "host: x", "connection: close", ...length, ...lines, "", ""].join("\r\n"),
        "latin1"
      )
    )
    socket.write(body)
  })

/** What the client refuses to put on the wire counts as not answered. */
export const overHttp2 = (session: http2.ClientHttp2Session, { body, headers, method, path }: Asked): Promise<Answer> =>
  new Promise((resolve) => {
    let status = 0
    let received = ""
    const chunks: Array<Buffer> = []
    let late = false
    const all: Record<string, string> = { ":method": method, ":path": path }
    for (const [name, value] of headers) if (!/^(host|connection|transfer-encoding|te)$/.test(name)) all[name] = value
    let stream: http2.ClientHttp2Stream
    try {
      stream = session.request(all)
    } catch {
      resolve({ status: 0, headers: "", body: "", late })
      return
    }
    const timer = setTimeout(() => {
      late = true
      stream.close(http2.constants.NGHTTP2_CANCEL)
    }, PATIENCE_MILLIS)
    const note = (fields: http2.IncomingHttpHeaders) => {
      received += JSON.stringify(fields)
    }
    stream.on("response", (fields) => {
      status = Number(fields[":status"])
      note(fields)
    })
    stream.on("trailers", note).on("error", () => {}).on("data", (chunk: Buffer) => chunks.push(chunk))
    stream.on("close", () => {
      clearTimeout(timer)
      resolve({ status, headers: received, body: Buffer.concat(chunks).toString("latin1"), late })
    })
    stream.end(body)
  })
