import * as http from "node:http"
import * as http2 from "node:http2"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { startInstance, type Instance } from "../support/Instance.ts"

const KEY = "the-first-key-of-all-0123456789abcdef"
const PATH = "/operator/rpc"
const NDJSON = { "content-type": "application/ndjson", authorization: `Bearer ${KEY}` }

const call = (tag: string, payload?: unknown, headers: ReadonlyArray<readonly [string, string]> = []) =>
  JSON.stringify({ _tag: "Request", id: "1", tag, payload, headers })

const post = async ({ url }: Instance, body: string, headers: Record<string, string> = NDJSON, method = "POST") => {
  const reply = await fetch(`${url}${PATH}`, { method, headers, ...method === "POST" ? { body } : {} })
  return { status: reply.status, headers: reply.headers, text: await reply.text() }
}

/** Makes keys with the role VIEWER. */
const makeKeys = async (instance: Instance, names: ReadonlyArray<string>) => {
  const keys: Array<{ readonly id: string; readonly secret: string }> = []
  for (const name of names) {
    const { text } = await post(instance, call("CreateKey", { name, role: "VIEWER" }))
    const { exit } = JSON.parse(text) as { readonly exit: { readonly value: (typeof keys)[number] } }
    keys.push(exit.value)
  }
  return keys
}

const withKey = (secret: string) => ({ ...NDJSON, authorization: `Bearer ${secret}` })

/** Calls whose caller reads no answer, beyond its head. */
const callsUnread = (instance: Instance, secret: string, count: number) => {
  const session = http2.connect(instance.url, { settings: { initialWindowSize: 0 } })
  session.on("error", () => {})
  const streams = Array.from({ length: count }, () => {
    const stream = session.request({ ":method": "POST", ":path": PATH, ...withKey(secret) })
    const one = { stream, status: 0 }
    stream.on("response", (headers) => (one.status = Number(headers[":status"])))
    stream.on("error", () => {}).end(call("Settings"))
    return one
  })
  return { session, streams }
}

describe("the operator plane on the wire", () => {
  let instance: Instance
  let unread: ReturnType<typeof callsUnread> & { readonly secret: string }
  beforeAll(async () => {
    instance = await startInstance({ ADMIN_API_KEY: KEY })
    // The plane waits for their reader for ten seconds, in which the tests before the last one run.
    const { secret } = (await makeKeys(instance, ["unread"]))[0]!
    unread = { ...callsUnread(instance, secret, 90), secret }
  })
  afterAll(async () => {
    unread?.session.destroy()
    await (instance as Instance | undefined)?.kill()
  })

  it("answers a call with lines of JSON", async () => {
    const { headers, status, text } = await post(instance, call("Info"))
    expect(status).toBe(200)
    expect(headers.get("content-type")).toBe("application/ndjson")
    expect(headers.get("cache-control")).toBe("no-store")
    expect(JSON.parse(text)).toMatchObject({
      _tag: "Exit",
      requestId: "1",
      exit: { _tag: "Success", value: { service: "coupon-issuance" } }
    })
  })

  it("takes several calls in one request", async () => {
    const two = `${call("Info")}\n${call("Settings").replace(`"1"`, `"2"`)}\n`
    const lines = (await post(instance, two)).text.trim().split("\n").map((line) =>
      (JSON.parse(line) as { readonly requestId: string }).requestId
    )
    expect(lines.sort()).toEqual(["1", "2"])
  })

  const refused: ReadonlyArray<
    readonly [what: string, body: string, headers: Record<string, string>, method: string, status: number]
  > = [
    ["a GET", "", NDJSON, "GET", 405],
    [
      "the type that a form of a foreign page can send", call("Info"), { ...NDJSON, "content-type": "text/plain" },
      "POST", 415
    ],
    ["what is not JSON", "{", NDJSON, "POST", 400],
    ["what is not a call", JSON.stringify({ _tag: "Ping" }), NDJSON, "POST", 400],
    ["an empty body", "", NDJSON, "POST", 400],
    ["more calls than anybody needs", Array(17).fill(call("Info")).join("\n"), NDJSON, "POST", 400],
    ["a body that is too large", call("Info", "x".repeat(100_000)), NDJSON, "POST", 413]
  ]
  for (const [what, body, headers, method, status] of refused) {
    it(`refuses ${what}`, async () => {
      expect((await post(instance, body, headers, method)).status).toBe(status)
    })
  }

  it("believes the header of the request, and not what the body says it were", async () => {
    const { headers, status, text } = await post(
      instance,
      call("Info", undefined, [["authorization", `Bearer ${KEY}`]]),
      { "content-type": "application/ndjson" }
    )
    expect({ status, type: headers.get("content-type") }).toEqual({ status: 401, type: "application/json" })
    expect(JSON.parse(text)).toMatchObject({ _tag: "Unauthenticated" })
  })

  it("names what is wrong with a call, and no inside of its own", async () => {
    expect((await post(instance, call("Nonsense"))).text).toContain("Unknown request tag")
    const { text } = await post(
      instance,
      call("RebuildGate", { campaignId: "1; DROP TABLE campaigns", discard: false })
    )
    expect(text).toContain("campaignId")
    expect(text).not.toMatch(/\.ts:|node_modules/)
  })

  it("refuses a field that it does not know where something would be changed", async () => {
    const changes = [["CreateKey", { name: "k", role: "VIEWER", requestPerSecond: 5 }], ["RevokeKey", {
      id: "x",
      key: "x"
    }], ["RebuildGate", { campaignId: 1, discard: false, discrad: true }]] as const
    for (const [tag, payload] of changes) {
      const { text } = await post(instance, call(tag, payload))
      expect(text, tag).toContain(`\\"${Object.keys(payload).at(-1)}\\"`)
      expect(text, tag).toMatch(/is unexpected/)
    }
    expect((await post(instance, call("ListKeys"))).text).not.toContain(`"name":"k"`)
    expect((await post(instance, call("AuditLog", { limit: 1, colour: "red" }))).text).toContain(`"Success"`)
  })

  it("streams over HTTP/2", async () => {
    const session = http2.connect(instance.url)
    try {
      const stream = session.request({ ":method": "POST", ":path": PATH, ...NDJSON })
      stream.end(call("Overview"))
      let text = ""
      stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk))
      await expect.poll(() => text.split("\n").length).toBeGreaterThan(2)
      expect(JSON.parse(text.split("\n", 1)[0]!)).toMatchObject({ _tag: "Chunk", values: [{ ready: true }] })
      stream.close()
    } finally {
      session.destroy()
    }
  })

  it("does not keep a slot for a caller that reads no answer", async () => {
    const { secret, streams } = unread
    await expect.poll(() => streams.every(({ status }) => status !== 0)).toBe(true)
    // As many as a key may have at once, and more once the first ones were answered.
    const answered = streams.filter(({ status }) => status === 200)
    expect(answered.length).toBeGreaterThanOrEqual(24)
    await expect.poll(async () => (await post(instance, call("Info"), withKey(secret))).status).toBe(200)
    await expect.poll(() => answered.every(({ stream }) => stream.closed)).toBe(true)
  })
})

describe("the operator plane's bound", () => {
  // An instance of its own: a call of another test whose end the server has not heard of yet would take a slot.
  let instance: Instance
  let keys: Awaited<ReturnType<typeof makeKeys>>
  beforeAll(async () => {
    instance = await startInstance({ ADMIN_API_KEY: KEY })
    keys = await makeKeys(instance, ["one", "two", "three"])
  })
  afterAll(() => (instance as Instance | undefined)?.kill())

  const watch = (secret: string) =>
    new Promise<{ readonly leave: () => void; readonly status: number }>((resolve, reject) => {
      const options = { method: "POST", headers: withKey(secret), agent: false }
      const request = http.request(`${instance.url}${PATH}`, options, (response) => {
        response.once("data", () => resolve({ leave: () => request.destroy(), status: response.statusCode! }))
        // The caller that leaves receives this itself.
        response.once("error", () => {})
      })
      request.once("error", reject)
      request.end(call("Overview"))
    })

  it("serves some of each key, keeps room for ADMIN, which revokes them, and forgets those who have left", async () => {
    const [one, two, three] = keys
    const secrets = [one!, two!].flatMap(({ secret }) => Array<string>(24).fill(secret))
    const watchers = await Promise.all(secrets.map(watch))
    expect(watchers.map(({ status }) => status)).toEqual(Array(48).fill(200))
    // A third key finds no room; the first has all that a key may have.
    for (const { secret } of [one!, three!]) {
      const { headers, status } = await post(instance, call("Info"), withKey(secret))
      expect({ status, retryAfter: headers.get("retry-after") }).toEqual({ status: 429, retryAfter: "1" })
    }
    const revoked = await post(instance, call("RevokeKey", { id: one!.id }))
    expect(revoked.text).toContain("\"Success\"")
    expect((await post(instance, call("Info"), withKey(one!.secret))).status).toBe(401)
    for (const { leave } of watchers) leave()
    await expect.poll(async () => (await post(instance, call("Info"), withKey(three!.secret))).status).toBe(200)
  })

  it("is not loaded for strangers, whatever they send and read", async () => {
    const stranger = await startInstance({ ADMIN_API_KEY: KEY })
    try {
      const session = http2.connect(stranger.url, { settings: { initialWindowSize: 0 } })
      session.on("error", () => {})
      for (const authorization of ["", "Bearer cpn_0123456789abcdef_0123456789012345678901234567890123456789012"]) {
        for (let n = 0; n < 40; n++) {
          const headers = { "content-type": "application/ndjson", ...authorization === "" ? {} : { authorization } }
          session.request({ ":method": "POST", ":path": PATH, ...headers }).on("error", () => {}).write("{")
        }
      }
      const { status } = await post(stranger, call("Info"))
      expect(status).toBe(200)
      session.destroy()
    } finally {
      await stranger.kill()
    }
  })
})

describe("the operator plane of an instance without its stores", () => {
  it("says which ones it waits for, and what it says itself", async () => {
    const instance = await startInstance(
      { MYSQL_URL: "mysql://u:p@127.0.0.1:1/coupon", REDIS_URL: "redis://127.0.0.1:1" },
      { ready: false }
    )
    try {
      const reply = await fetch(`${instance.url}${PATH}`, {
        method: "POST",
        headers: { "content-type": "application/ndjson" },
        body: call("Audit", {})
      })
      const text = await reply.text()
      expect(reply.status).toBe(503)
      expect(JSON.parse(text)).toMatchObject({ _tag: "Unavailable", retryAfterSeconds: 1 })
      expect(text).toContain("127.0.0.1:1")
      expect(text).not.toContain("u:p")
    } finally {
      await instance.kill()
    }
  })
})
