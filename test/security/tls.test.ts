import { createClient } from "@connectrpc/connect"
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node"
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import * as https from "node:https"
import * as net from "node:net"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import * as tls from "node:tls"
import * as Effect from "effect/Effect"
import { afterAll, beforeAll, expect, it } from "vitest"
import { load } from "../../src/config/AppConfig.ts"
import { CouponService } from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import type { Running } from "../transport/Stub.ts"
import { start, until } from "../transport/Stub.ts"

const directory = mkdtempSync(Path.join(tmpdir(), "coupon-tls-"))
const [certFile, keyFile] = [Path.join(directory, "cert.pem"), Path.join(directory, "key.pem")]
const environment = { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile }

let server: Running
let ca: Buffer
beforeAll(async () => {
  execFileSync("openssl", [
    ...[
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
      "/CN=localhost"
    ],
    ...["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", keyFile, "-out", certFile]
  ], { stdio: "ignore" })
  ca = readFileSync(certFile)
  server = await start({ environment })
})
afterAll(async () => {
  await server.close()
  rmSync(directory, { recursive: true })
})

it("serves every protocol over TLS, HTTP/1.1 and HTTP/2 by ALPN", async () => {
  const baseUrl = server.url
  expect(baseUrl).toMatch(/^https:/)
  const nodeOptions = { ca }
  const transports = [
    createConnectTransport({ baseUrl, httpVersion: "1.1", nodeOptions }),
    createConnectTransport({ baseUrl, httpVersion: "2", nodeOptions }),
    createGrpcTransport({ baseUrl, nodeOptions }),
    createGrpcWebTransport({ baseUrl, httpVersion: "1.1", nodeOptions }),
    createGrpcWebTransport({ baseUrl, httpVersion: "2", nodeOptions })
  ]
  for (const transport of transports) {
    const client = createClient(CouponService, transport)
    expect((await client.issueCoupon({ campaignId: 1, userId: 7n })).message).toBe("OK")
    expect((await client.createCampaign({ name: "x", couponLimit: 1n, startTime: "2025-06-25T00:00:00Z" })).campaignId)
      .toBe(1)
  }
})

const handshake = (options: tls.ConnectionOptions) =>
  new Promise<tls.TLSSocket>((resolve, reject) => {
    const socket = tls.connect({ host: "127.0.0.1", port: server.port, ca, ...options }, () => resolve(socket))
    socket.once("error", reject)
  })

it("agrees on h2 where it can, and takes no TLS older than 1.2", async () => {
  for (const [offer, agreed] of [[["h2", "http/1.1"], "h2"], [["http/1.1"], "http/1.1"], [[], false]] as const) {
    const socket = await handshake({ ALPNProtocols: [...offer] })
    expect(socket.alpnProtocol).toBe(agreed)
    socket.destroy()
  }
  await expect(handshake({ minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" })).rejects
    .toThrow()
})

it.each([
  "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-RSA-AES256-SHA384", "AES128-GCM-SHA256", "AES256-SHA"
])("agrees on no CBC and on no key exchange by RSA: %s", async (ciphers) => {
  const old = { minVersion: "TLSv1.2", maxVersion: "TLSv1.2" } as const
  await expect(handshake({ ...old, ciphers: `${ciphers}:@SECLEVEL=0` })).rejects.toThrow(
    /handshake failure|no ciphers/i
  )
  const modern = await handshake({ ...old, ciphers: `${ciphers}:ECDHE-ECDSA-AES128-GCM-SHA256` })
  expect(modern.getCipher().name).toBe("ECDHE-ECDSA-AES128-GCM-SHA256")
  modern.destroy()
})

it("tells browsers to stay with https", async () => {
  const headers = await new Promise<https.RequestOptions["headers"]>((resolve, reject) =>
    https.get(`${server.url}/livez`, { ca, agent: false }, (response) => {
      response.resume()
      resolve(response.headers)
    }).on("error", reject))
  expect(headers).toMatchObject({ "strict-transport-security": "max-age=31536000" })
})

it("ends who says nothing, or no TLS, and drains with a handshake half way", async () => {
  const other = await start({ environment, patience: { headers: 200 } })
  for (const opening of ["", "GET / HTTP/1.1\r\n\r\n", "\u0016\u0003\u0001"]) {
    const socket = net.connect(other.port, "127.0.0.1")
    let closed = false
    socket.on("close", () => (closed = true)).on("error", () => {})
    socket.resume()
    socket.write(opening, "latin1")
    await until(() => closed)
  }
  await other.close()
  const leaving = await start({ environment })
  const silent = net.connect(leaving.port, "127.0.0.1")
  const idle = tls.connect({ host: "127.0.0.1", port: leaving.port, ca, ALPNProtocols: ["h2"] })
  for (const socket of [silent, idle]) socket.on("error", () => {}).resume()
  await new Promise((resolve) => idle.once("secureConnect", resolve))
  const gone = Promise.all([silent, idle].map((socket) => new Promise((resolve) => socket.once("close", resolve))))
  await leaving.close()
  await gone
  expect(leaving.logs).toEqual([])
})

it("says what is wrong with certificate and key", async () => {
  const broken = Path.join(directory, "broken.pem")
  writeFileSync(broken, "no certificate")
  await expect(start({ environment: { ...environment, TLS_CERT_FILE: broken } })).rejects.toThrow(
    "TLS_CERT_FILE and TLS_KEY_FILE cannot be used"
  )
  await expect(start({ environment: { ...environment, TLS_KEY_FILE: "/nowhere/key.pem" } })).rejects.toThrow("ENOENT")
  await expect(Effect.runPromise(load({ TLS_CERT_FILE: certFile }))).rejects.toThrow(
    "TLS_KEY_FILE: must be set when TLS_CERT_FILE is"
  )
})
