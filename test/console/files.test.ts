import { brotliDecompressSync, gunzipSync } from "node:zlib"
import * as http from "node:http"
import { pathToFileURL } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as ConsoleFiles from "../../src/console/ConsoleFiles.ts"
import * as ConsoleMount from "../../src/console/ConsoleMount.ts"
import { temporaryDirectory } from "../support/guardian.ts"
import { type Running, start } from "../transport/Stub.ts"
import { built, INDEX, SCRIPT, SCRIPT_PATH } from "./Pages.ts"

let server: Running
beforeAll(async () => {
  server = await start({ mountsOf: ConsoleMount.make(built()) })
})
afterAll(() => server.close())

interface Got {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: Buffer
}

const get = (path: string, headers: Record<string, string> = {}, method = "GET", port = server.port): Promise<Got> =>
  new Promise((resolve, reject) => {
    http.request({ port, host: "127.0.0.1", path, method, headers, agent: false }, (reply) => {
      const chunks: Array<Buffer> = []
      reply.on("data", (chunk: Buffer) => chunks.push(chunk))
        .on("end", () => resolve({ status: reply.statusCode!, headers: reply.headers, body: Buffer.concat(chunks) }))
    }).on("error", reject).end()
  })

describe("the page", () => {
  it("is at /console/, and at every path below that is no file", async () => {
    const paths = ["/console/", "/console/campaigns/1", "/console/index.html", "/console/?lang=ko", "/console/a.b"]
    for (const path of paths) {
      const { body, headers, status } = await get(path)
      expect([path, status, headers["content-type"], body.toString()]).toEqual([
        path,
        200,
        "text/html; charset=utf-8",
        INDEX
      ])
      expect(headers["cache-control"]).toBe("no-cache")
    }
    const redirected = await get("/console")
    expect([redirected.status, redirected.headers.location]).toEqual([308, "/console/"])
  })

  it("runs what is of its own origin alone, and is framed by none", async () => {
    const { headers } = await get("/console/")
    const policy = headers["content-security-policy"] as string
    expect(policy.split("; ")).toEqual([
      "default-src 'self'",
      "img-src 'self' data:",
      "object-src 'none'",
      "base-uri 'none'",
      "form-action 'self'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
      "report-uri /console/csp"
    ])
    expect(policy).not.toContain("unsafe")
    expect(headers).toMatchObject({
      "x-frame-options": "DENY",
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-resource-policy": "same-origin"
    })
  })
})

describe("a file", () => {
  it("whose name changes with its content is kept for good", async () => {
    const { body, headers, status } = await get(SCRIPT_PATH)
    expect([status, headers["content-type"], headers["cache-control"], body.toString()]).toEqual([
      200,
      "text/javascript; charset=utf-8",
      "public, max-age=31536000, immutable",
      SCRIPT
    ])
  })

  it("is sent as the browser takes it, compressed at build time", async () => {
    const all = await get(SCRIPT_PATH, { "accept-encoding": "gzip, deflate, br, zstd" })
    expect([all.headers["content-encoding"], all.headers.vary, brotliDecompressSync(all.body).toString()]).toEqual([
      "br",
      "Accept-Encoding",
      SCRIPT
    ])
    expect(Number(all.headers["content-length"])).toBe(all.body.length)
    const gzip = await get(SCRIPT_PATH, { "accept-encoding": "gzip;q=0.5, br;q=0" })
    expect([gzip.headers["content-encoding"], gunzipSync(gzip.body).toString()]).toEqual(["gzip", SCRIPT])
    for (const none of ["identity", "br;q=0", "brotli", ""]) {
      expect((await get(SCRIPT_PATH, { "accept-encoding": none })).headers["content-encoding"], none).toBe(undefined)
    }
  })

  it("is not sent again to who has it, and has another tag in each encoding", async () => {
    const plain = (await get(SCRIPT_PATH)).headers.etag!
    const br = (await get(SCRIPT_PATH, { "accept-encoding": "br" })).headers.etag!
    expect(plain).toMatch(/^"[\w-]{22}"$/)
    expect(br).not.toBe(plain)
    for (const tag of [plain, `W/${plain}`, `"other", ${plain}`, "*"]) {
      const { body, headers, status } = await get(SCRIPT_PATH, { "if-none-match": tag })
      expect([tag, status, body.length, headers.etag]).toEqual([tag, 304, 0, plain])
    }
    expect((await get(SCRIPT_PATH, { "if-none-match": br })).status).toBe(200)
  })

  it("has a head", async () => {
    const { body, headers, status } = await get(SCRIPT_PATH, {}, "HEAD")
    expect([status, body.length, headers["content-length"]]).toEqual([200, 0, String(SCRIPT.length)])
  })

  it("is one of the build: nothing else is read, and compressed ones have no path of their own", async () => {
    for (const path of ["/console/assets/none.js", "/console/assets/", "/console/assets/../../package.json"]) {
      expect([path, (await get(path)).status]).toEqual([path, 404])
    }
    for (const path of [
      "/console/.built", `${SCRIPT_PATH}.br`, "/console/../package.json", "/console/%2e%2e/package.json",
      "/console//etc/passwd", "/console/%00"
    ]) {
      const { body, headers } = await get(path)
      // The page, or nothing at all.
      expect([INDEX, "there is no such file\n"], path).toContain(
        headers["content-type"]?.startsWith("application/json") === true ? "there is no such file\n" : body.toString()
      )
    }
  })

  it("is for GET and HEAD", async () => {
    for (const method of ["POST", "PUT", "DELETE", "PATCH"]) {
      const { headers, status } = await get("/console/", {}, method)
      expect([method, status, headers.allow]).toEqual([method, 405, "GET, HEAD"])
    }
  })
})

it("a build without the console says how to make it, and serves one that is made meanwhile", async () => {
  const folder = pathToFileURL(`${temporaryDirectory("console")}/none/`)
  expect(await ConsoleFiles.read(folder)).toBe(undefined)
  const without = await start({ mountsOf: ConsoleMount.make(folder) })
  const { body, status } = await get("/console/", {}, "GET", without.port)
  expect([status, body.toString()]).toEqual([404, expect.stringContaining("npm run build")])
  await without.close()
})

it("reports of browsers are taken and logged, a few of many", async () => {
  const report = JSON.stringify({ "csp-report": { "blocked-uri": "inline" } })
  const send = (body: string) =>
    fetch(`${server.url}/console/csp`, { method: "POST", body, headers: { "content-type": "application/csp-report" } })
  const replies = await Promise.all(Array.from({ length: 50 }, () => send(report)))
  expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([204]))
  expect((await send("x".repeat(30_000))).status).toBe(204)
  const lines = server.logs.filter((line) => line.includes("policy has stopped"))
  expect(lines.length).toBeGreaterThan(0)
  expect(lines.length).toBeLessThan(10)
})
