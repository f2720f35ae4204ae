import type * as Rpc from "@effect/rpc/Rpc"
import type * as RpcGroup from "@effect/rpc/RpcGroup"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { exitCodes } from "../../src/cli/ExitCode.ts"
import * as OperatorClient from "../../src/client/OperatorClient.ts"
import { table } from "../../src/contract/FailureTable.ts"
import { publicTags } from "../../src/contract/OperatorErrors.ts"
import type { OperatorRpcs } from "../../src/contract/OperatorRpcs.ts"
import { startInstance, type Instance } from "../support/Instance.ts"
import { coupon } from "./Command.ts"

const BOOTSTRAP = "the-first-key-of-all-0123456789abcdef"

type Call = Rpc.Tag<RpcGroup.Rpcs<typeof OperatorRpcs>>

describe("the operator plane, once a key is configured", () => {
  let instance: Instance
  const as = (key: string | undefined) => coupon(instance.url, key === undefined ? {} : { COUPON_API_KEY: key })
  beforeAll(async () => {
    instance = await startInstance({ ADMIN_API_KEY: BOOTSTRAP })
  })
  afterAll(() => (instance as Instance | undefined)?.kill())

  /** Every call of the plane, over the wire. */
  const calls: Record<
    Call,
    (client: OperatorClient.OperatorClient["Type"]) => Effect.Effect<unknown, OperatorClient.OperatorCallFailure>
  > = {
    Info: (client) => client.Info(),
    Overview: (client) => Stream.runHead(client.Overview()),
    Audit: (client) => Stream.runDrain(client.Audit({})),
    RebuildGate: (client) => Stream.runDrain(client.RebuildGate({ campaignId: 1_000_000, discard: false })),
    Backup: (client) => Stream.runDrain(client.Backup()),
    Settings: (client) => client.Settings(),
    CreateKey: (client) => client.CreateKey({ name: "another", role: "VIEWER" }),
    ListKeys: (client) => client.ListKeys(),
    Advice: (client) => client.Advice(),
    RevokeKey: (client) => client.RevokeKey({ id: "unknown" }),
    LimitKey: (client) => client.LimitKey({ id: "unknown", expiresAt: null }),
    RotateKey: (client) => client.RotateKey({ id: "unknown", overlapMillis: 0 }),
    ListSessions: (client) => client.ListSessions(),
    EndSession: (client) => client.EndSession({ id: "unknown" }),
    AuditLog: (client) => client.AuditLog({ limit: 1 }),
    AuditLinks: (client) => client.AuditLinks({ after: 0, limit: 1 }),
    VerifyAuditLog: (client) => Stream.runDrain(client.VerifyAuditLog({})),
    Phases: (client) => client.Phases({ campaignId: 1_000_000, limit: 1 }),
    Timeline: (client) => client.Timeline({ campaignId: 1_000_000, limit: 1 })
  }

  /** Of each call `OK`, or the code of the refusal. */
  const outcomes = (key: string | undefined): Promise<ReadonlyArray<readonly [call: string, outcome: string]>> => {
    const options = {
      url: instance.url,
      key: key === undefined ? undefined : Redacted.make(key),
      timeoutMillis: 20_000
    }
    const all = Effect.flatMap(OperatorClient.make(options), (client) =>
      Effect.forEach(Object.entries(calls), ([name, call]) =>
        Effect.match(call(client), {
          onFailure: ({ _tag }) => [
            name,
            Object.hasOwn(publicTags, _tag) ? table[publicTags[_tag as keyof typeof publicTags]].message : _tag
          ] as const,
          onSuccess: () => [name, "OK"] as const
        })))
    return Effect.runPromise(Effect.scoped(all))
  }

  /** Makes a key as the command prints it: the secret is all of standard output. */
  const keyOf = async (role: string, name = `test ${role}`) => {
    const { code, err, out } = await as(BOOTSTRAP)("keys", "create", "--name", name, "--role", role)
    expect({ code, err }).toEqual({ code: 0, err: expect.stringContaining("shown only once") as string })
    return out.trim()
  }

  it("rejects calls without a key, or with a wrong one, and says what to do", async () => {
    for (const key of [undefined, "cpn_0123456789abcdef_0123456789012345678901234567890123456789012"]) {
      expect(await outcomes(key)).toEqual(Object.keys(calls).map((call) => [call, "UNAUTHENTICATED"]))
    }
    const { code, err, out } = await as(undefined)("verify")
    expect({ code, out }).toEqual({ code: exitCodes.ACCESS.code, out: "" })
    expect(err).toContain("COUPON_API_KEY")
    const doctor = await as(undefined)("doctor")
    expect(doctor).toMatchObject({
      code: exitCodes.UNSOUND.code,
      out: expect.stringContaining("FAIL  operator plane: UNAUTHENTICATED") as string
    })
  })

  const reading: ReadonlyArray<Call> = [
    "Info", "Overview", "Audit", "Settings", "Advice", "AuditLog", "AuditLinks", "VerifyAuditLog", "Phases",
    "Timeline"
  ]
  const allowed: ReadonlyArray<readonly [role: string, may: ReadonlyArray<Call>]> = [
    ["ISSUER", []],
    ["REDEEMER", []],
    ["VIEWER", reading],
    ["OPERATOR", [...reading, "RebuildGate"]],
    [
      "ADMIN",
      [
        ...reading, "RebuildGate", "Backup", "CreateKey", "ListKeys", "RevokeKey", "LimitKey", "RotateKey",
        "ListSessions", "EndSession"
      ]
    ]
  ]
  for (const [role, may] of allowed) {
    it(`lets a key with the role ${role} make the calls of that role, and no other`, async () => {
      const secret = await keyOf(role)
      // Neither the campaign nor the key exists: an admitted call fails with just that.
      const expected = Object.keys(calls).map((call) => [
        call,
        !may.includes(call as Call)
          ? "PERMISSION_DENIED"
          : ["RebuildGate", "RevokeKey", "LimitKey", "RotateKey", "EndSession", "Phases", "Timeline"].includes(call)
          ? "RECORD_NOT_FOUND"
          : "OK"
      ])
      expect(await outcomes(secret)).toEqual(expected)
    })
  }

  it("tells a role that is too low what it takes", async () => {
    const { code, err, out } = await as(await keyOf("VIEWER", "lesser"))("rebuild", "1")
    expect(err).toMatch(/^RebuildGate is for the role OPERATOR: .*\nuse a key with a higher role/)
    expect({ code, out }).toEqual({ code: exitCodes.ACCESS.code, out: "" })
  })

  it("knows who did what, and holds a revoked key off", async () => {
    const admin = as(BOOTSTRAP)
    const made = await admin("keys", "create", "--name", "deploy", "--role", "OPERATOR", "--rate", "100", "--json")
    const { id, secret } = JSON.parse(made.out) as { readonly id: string; readonly secret: string }
    const run = as(secret)
    const campaign = await run("campaign", "create", "--name", "b", "--limit", "1", "--json")
    const { campaignId } = JSON.parse(campaign.out) as { readonly campaignId: number }
    expect(await run("rebuild", String(campaignId))).toMatchObject({ code: 0 })

    const listed = await admin("keys", "list", "--json")
    expect(JSON.parse(listed.out)).toContainEqual(
      expect.objectContaining({ id, name: "deploy", role: "OPERATOR", requestsPerSecond: 100, revokedAt: null })
    )
    expect(listed.out).not.toContain(secret)

    expect(await admin("keys", "revoke", id)).toMatchObject({ code: 0 })
    expect(await run("rebuild", String(campaignId))).toMatchObject({ code: exitCodes.ACCESS.code })
    expect(await admin("keys", "revoke", "unknown")).toMatchObject({
      code: exitCodes.NOT_FOUND.code,
      err: expect.stringContaining("coupon keys list") as string
    })

    // ADMIN_API_KEY is another way in, so the last ADMIN key may go; it alone is asked for.
    const last = JSON.parse((await admin("keys", "create", "--name", "only", "--role", "ADMIN", "--json")).out) as {
      readonly id: string
    }
    const keys = JSON.parse((await admin("keys", "list", "--json")).out) as ReadonlyArray<
      { readonly id: string; readonly role: string; readonly revokedAt: string | null }
    >
    for (const key of keys.filter(({ id, revokedAt, role }) => role === "ADMIN" && id !== last.id && !revokedAt)) {
      expect(await admin("keys", "revoke", key.id)).toMatchObject({ code: 0 })
    }
    const asks = `key ${last.id} only is the last ADMIN key: without it only ADMIN_API_KEY can administer: ` +
      "give --yes if that is meant"
    expect(await admin("keys", "revoke", last.id)).toMatchObject({ code: exitCodes.USAGE.code, err: `${asks}\n` })
    expect(await admin("keys", "revoke", last.id, "--yes")).toMatchObject({ code: 0 })
    expect(await admin("keys", "create", "--name", "bootstrap", "--role", "ADMIN")).toMatchObject({
      code: exitCodes.USAGE.code
    })

    const log = await admin("log", "--json")
    const acts = JSON.parse(log.out) as ReadonlyArray<
      { readonly actor: string; readonly action: string; readonly campaignId: number | null }
    >
    expect(acts).toContainEqual(expect.objectContaining({ actor: "deploy", action: "gate.rebuild", campaignId }))
    expect(acts).toContainEqual(expect.objectContaining({ actor: "bootstrap", action: "key.revoke" }))
    expect(log.out).not.toContain(secret)
  })

  it("shows no secret among the settings", async () => {
    const { out } = await as(BOOTSTRAP)("settings", "--json")
    expect(JSON.parse(out)).toContainEqual(
      expect.objectContaining({ name: "ADMIN_API_KEY", value: "***", isDefault: false })
    )
    expect(out).not.toContain(BOOTSTRAP)
    expect(instance.logs()).not.toContain(BOOTSTRAP)
  })
})
