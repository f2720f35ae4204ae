import type * as Rpc from "@effect/rpc/Rpc"
import type * as RpcGroup from "@effect/rpc/RpcGroup"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { exitCodes } from "../../src/cli/ExitCode.ts"
import * as OperatorClient from "../../src/client/OperatorClient.ts"
import type { OperatorRpcs } from "../../src/contract/OperatorRpcs.ts"
import type { AuditRecord } from "../../src/contract/operator/Audit.ts"
import type { Key } from "../../src/contract/operator/Keys.ts"
import { startInstance, type Instance } from "../support/Instance.ts"
import { coupon } from "./Command.ts"

const BOOTSTRAP = "the-first-key-of-all-0123456789abcdef"

type Call = Rpc.Tag<RpcGroup.Rpcs<typeof OperatorRpcs>>
type Client = OperatorClient.OperatorClient["Type"]

interface Made {
  readonly id: string
  readonly secret: string
}

describe("keys with limits, on the operator plane", () => {
  let instance: Instance
  let own: number
  let other: number
  beforeAll(async () => {
    instance = await startInstance({ ADMIN_API_KEY: BOOTSTRAP })
    for (const name of ["own", "other"]) {
      const made = await admin("campaign", "create", "--name", name, "--limit", "5", "--json")
      const { campaignId } = JSON.parse(made.out) as { readonly campaignId: number }
      if (name === "own") own = campaignId
      else other = campaignId
      expect(await admin("issue", String(campaignId), "7")).toMatchObject({ code: 0 })
    }
  })
  afterAll(() => (instance as Instance | undefined)?.kill())

  const as = (key: string) => coupon(instance.url, { COUPON_API_KEY: key })
  const admin = (...args: ReadonlyArray<string>) => as(BOOTSTRAP)(...args)
  const make = async (...args: ReadonlyArray<string>) => {
    const { code, err, out } = await admin("keys", ...args, "--json")
    expect({ code, err }, args.join(" ")).toEqual({ code: 0, err: "" })
    return JSON.parse(out) as Made
  }
  const list = async () => JSON.parse((await admin("keys", "list", "--json")).out) as ReadonlyArray<typeof Key.Type>

  const call = <A>(secret: string, use: (client: Client) => Effect.Effect<A, OperatorClient.OperatorCallFailure>) =>
    Effect.runPromise(Effect.scoped(Effect.flatMap(
      OperatorClient.make({ url: instance.url, key: Redacted.make(secret), timeoutMillis: 20_000 }),
      (client) => Effect.match(use(client), { onFailure: ({ _tag }) => _tag, onSuccess: (answer) => answer })
    )))

  it("let every call touch the campaigns of the key alone, and lists show no other", async () => {
    const { secret } = await make("create", "--name", "of one", "--role", "OPERATOR", "--campaigns", String(own))
    const all = <A>(stream: Stream.Stream<A, OperatorClient.OperatorCallFailure>) =>
      Effect.map(Stream.runCollect(stream), Chunk.toReadonlyArray)
    const key = { id: "0".repeat(16) }
    /** What each call answers about the other campaign, or without a campaign: in full, so that none is forgotten. */
    const calls: Record<Call, ReadonlyArray<readonly [
      use: (client: Client) => Effect.Effect<unknown, OperatorClient.OperatorCallFailure>,
      expected: unknown
    ]>> = {
      Info: [[(client) => client.Info(), expect.objectContaining({ ready: true, expiringKeys: [] })]],
      Overview: [[
        (client) => Stream.runHead(client.Overview()),
        expect.objectContaining({
          value: expect.objectContaining({ campaigns: [expect.objectContaining({ campaignId: own })] }) as unknown
        })
      ]],
      Audit: [
        [(client) => all(client.Audit({ campaignId: other })), "PermissionDenied"],
        [(client) => all(client.Audit({ campaignId: own })), expect.any(Array)],
        [
          (client) =>
            Effect.map(all(client.Audit({})), (events) =>
              events.flatMap((event) => event._tag === "Campaign" ? [event.row.campaignId] : [])),
          [own]
        ]
      ],
      RebuildGate: [
        [(client) => all(client.RebuildGate({ campaignId: other, discard: false })), "PermissionDenied"],
        [(client) => all(client.RebuildGate({ campaignId: own, discard: false })), expect.any(Array)]
      ],
      Backup: [[(client) => all(client.Backup()), "PermissionDenied"]],
      Settings: [[(client) => client.Settings(), expect.any(Array)]],
      Advice: [[(client) => client.Advice(), expect.any(Array)]],
      CreateKey: [[(client) => client.CreateKey({ name: "x", role: "ADMIN" }), "PermissionDenied"]],
      ListKeys: [[(client) => client.ListKeys(), "PermissionDenied"]],
      RevokeKey: [[(client) => client.RevokeKey(key), "PermissionDenied"]],
      LimitKey: [[(client) => client.LimitKey({ ...key, campaigns: null }), "PermissionDenied"]],
      RotateKey: [[(client) => client.RotateKey({ ...key, overlapMillis: 0 }), "PermissionDenied"]],
      ListSessions: [[(client) => client.ListSessions(), "PermissionDenied"]],
      EndSession: [[(client) => client.EndSession(key), "PermissionDenied"]],
      AuditLog: [
        [(client) => client.AuditLog({ limit: 10, campaignId: other }), "PermissionDenied"],
        [
          (client) =>
            Effect.map(client.AuditLog({ limit: 1_000 }), (acts) => [...new Set(acts.map((act) => act.campaignId))]),
          [own]
        ]
      ],
      AuditLinks: [[(client) => client.AuditLinks({ after: 0, limit: 1 }), "PermissionDenied"]],
      VerifyAuditLog: [[(client) => all(client.VerifyAuditLog({})), "PermissionDenied"]],
      Phases: [
        [(client) => client.Phases({ campaignId: other, limit: 10 }), "PermissionDenied"],
        [(client) => client.Phases({ campaignId: own, limit: 10 }), expect.any(Array)]
      ],
      Timeline: [
        [(client) => client.Timeline({ campaignId: other, limit: 10 }), "PermissionDenied"],
        [
          (client) => client.Timeline({ campaignId: own, limit: 10 }),
          { entries: expect.arrayContaining([expect.objectContaining({ _tag: "Act" })]), before: null }
        ]
      ]
    }
    for (const [name, uses] of Object.entries(calls)) {
      for (const [use, expected] of uses) expect([name, await call(secret, use)]).toEqual([name, expected])
    }
    // The public API, by the same key.
    expect(await as(secret)("campaign", "pause", String(other))).toMatchObject({ code: exitCodes.ACCESS.code })
    const listed = await as(secret)("campaign", "list", "--json")
    expect(listed.out).toContain(`"own"`)
    expect(listed.out).not.toContain("other")
    const acts = JSON.parse((await admin("log", "--json")).out) as ReadonlyArray<typeof AuditRecord.Type>
    expect(acts).toContainEqual(expect.objectContaining({
      action: "act.refuse",
      actor: "of one",
      outcome: "REFUSED",
      after: { call: "RebuildGate", reason: "campaign" }
    }))
  })

  it("are made, changed and replaced by the command, and shown", async () => {
    const made = await make(
      ...["create", "--name", "shown", "--role", "ISSUER", "--expires", "+2d"],
      ...["--networks", "127.0.0.0/8, ::1", "--campaigns", `${own},${other}`]
    )
    const shown = async (id: string) => (await list()).find((key) => key.id === id)!
    expect(await shown(made.id)).toMatchObject({ networks: ["127.0.0.0/8", "::1"], campaigns: [own, other] })
    const taken = await admin("keys", "create", "--name", "shown", "--role", "VIEWER")
    expect(taken).toMatchObject({ code: exitCodes.PRECONDITION.code, err: expect.stringContaining("rotate") as string })

    await make("limit", made.id, "--campaigns", "any")
    expect(await shown(made.id)).toMatchObject({ networks: ["127.0.0.0/8", "::1"], campaigns: null })
    expect(await admin("keys", "limit", made.id)).toMatchObject({ code: exitCodes.USAGE.code })
    expect(await admin("keys", "limit", made.id, "--networks", "here")).toMatchObject({ code: exitCodes.USAGE.code })
    expect(await admin("keys", "limit", made.id, "--campaigns", "1;2")).toMatchObject({ code: exitCodes.USAGE.code })

    // It expires within 14 days: the list says so, and so does the doctor.
    expect((await admin("keys", "list")).err).toMatch(/^WARN {2}the key shown expires in 1 d 23 h: coupon keys rotate/m)
    expect((await admin("doctor")).out).toMatch(/^WARN {2}keys: the key shown expires in /m)

    const next = await make("rotate", made.id, "--overlap", "30m", "--expires", "+90d")
    expect(await as(made.secret)("issue", String(own), "8")).toMatchObject({ code: 0 })
    expect(await as(next.secret)("issue", String(own), "9")).toMatchObject({ code: 0 })
    expect(await shown(next.id)).toMatchObject({ name: "shown", role: "ISSUER", networks: ["127.0.0.0/8", "::1"] })
    expect(await shown(made.id)).toMatchObject({ replacedBy: next.id, endsAt: expect.any(String) as string })
    expect((await admin("keys", "list")).err).toBe("")
    expect(await admin("keys", "rotate", made.id)).toMatchObject({
      code: exitCodes.PRECONDITION.code,
      err: expect.stringContaining(`key ${next.id} has replaced it`) as string
    })
    // Without an overlap, the former is over at once.
    const third = await make("rotate", next.id, "--overlap", "0s")
    expect(await as(next.secret)("issue", String(own), "8")).toMatchObject({ code: exitCodes.ACCESS.code })
    expect(await as(third.secret)("issue", String(own), "10")).toMatchObject({ code: 0 })

    const log = await admin("log", "--json", "--limit", "4")
    const acts = JSON.parse(log.out) as ReadonlyArray<typeof AuditRecord.Type>
    expect(acts.filter(({ outcome }) => outcome === "DONE").map(({ action }) => action)).toContain("key.rotate")
    const limited = JSON.parse((await admin("log", "--json")).out) as ReadonlyArray<typeof AuditRecord.Type>
    expect(limited).toContainEqual(expect.objectContaining({
      action: "key.limit",
      actor: "bootstrap",
      before: expect.objectContaining({ campaigns: [own, other] }) as unknown,
      after: expect.not.objectContaining({ campaigns: [own, other] }) as unknown
    }))
    expect(limited).toContainEqual(expect.objectContaining({
      action: "act.refuse",
      after: { call: "RotateKey", reason: "Conflict" }
    }))
    for (const secret of [made.secret, next.secret]) expect(JSON.stringify(limited)).not.toContain(secret)
  })
})
