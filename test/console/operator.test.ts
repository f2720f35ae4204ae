import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as OperatorClient from "../../src/client/OperatorClient.ts"
import { ADMIN } from "../security/Secured.ts"
import { type Instance, startInstance } from "../support/Instance.ts"
import { cookieOf, look, own, signIn } from "./Pages.ts"
import { request } from "../transport/Stub.ts"

let instance: Instance
beforeAll(async () => {
  instance = await startInstance({ ADMIN_API_KEY: ADMIN })
})
afterAll(() => instance.stop())

const asked = <A, E>(call: (client: OperatorClient.OperatorClient["Type"]) => Effect.Effect<A, E>) =>
  Effect.runPromise(Effect.scoped(Effect.flatMap(
    OperatorClient.make({ url: instance.url, key: Redacted.make(ADMIN), timeoutMillis: 10_000 }),
    call
  )))

describe("the operator plane", () => {
  it("takes the console's cookie, and says who acts", async () => {
    const cookie = cookieOf(await signIn(instance.port, ADMIN))
    const message = { _tag: "Request", id: "1", tag: "Info", payload: null, headers: [] }
    const call = (headers: Record<string, string>) =>
      request(instance.port, {
        path: "/operator/rpc",
        headers: { "content-type": "application/ndjson", ...headers },
        body: `${JSON.stringify(message)}\n`
      })
    const taken = await call({ ...own(instance.port), "content-type": "application/ndjson", cookie })
    expect([taken.status, taken.body]).toEqual([200, expect.stringContaining("\"name\":\"bootstrap\"")])
    expect((await call({ cookie })).status).toBe(401)
    expect((await call({ ...own(instance.port), "content-type": "application/ndjson" })).status).toBe(401)
  })

  it("lists sessions, ends one, and has both in the audit log", async () => {
    const before = await asked((client) => client.ListSessions())
    const cookie = cookieOf(await signIn(instance.port, ADMIN))
    const sessions = await asked((client) => client.ListSessions())
    const [session] = sessions.filter(({ id }) => before.every((one) => one.id !== id))
    expect(session).toMatchObject({ keyId: null, address: "127.0.0.1" })
    expect(JSON.stringify(sessions)).not.toMatch(/cps_|hash/i)
    await asked((client) => client.EndSession({ id: session!.id }))
    expect((await look(instance.port, cookie)).signedIn).toBe(false)
    const again = await asked((client) => Effect.flip(client.EndSession({ id: session!.id })))
    expect(again).toMatchObject({ message: expect.stringContaining("no such session") })
    const acts = await asked((client) => client.AuditLog({ limit: 2, action: "session" }))
    expect(acts.map(({ action, actor, after, before }) => [actor, action, before ?? after])).toEqual([
      ["bootstrap", "session.end", { id: session!.id, keyId: "bootstrap" }],
      ["bootstrap", "session.start", { id: session!.id, keyId: "bootstrap" }]
    ])
    expect(await asked((client) => client.AuditLog({ limit: 2, action: "session", actor: "another" }))).toEqual([])
  })
})
