import { create, fromBinary, toBinary } from "@bufbuild/protobuf"
import { Code } from "@connectrpc/connect"
import * as Effect from "effect/Effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { ALPHABET } from "../../src/domain/CouponCode.ts"
import {
  type CampaignEvent,
  CampaignStatus,
  type Coupon,
  CouponSchema,
  CouponState,
  GetCampaignRequestSchema,
  type WatchSnapshot
} from "../../src/contract/gen/coupon/v1/coupon_pb.ts"
import type { UniversalClientFn } from "@connectrpc/connect/protocol"
import {
  type Clients, type Http, makeClients, makeClientsInProcess, makeHttp, path, type Protocol, protocols, refusal
} from "./clients.ts"
import { erasure } from "./erasure.ts"
import { expiry } from "./expiry.ts"
import { lifecycle } from "./lifecycle.ts"
import { redemption } from "./redemption.ts"
import { revocation } from "./revocation.ts"
import { watches } from "./watches.ts"
import { webhooks } from "./webhooks.ts"

/** A service to hold against its contract: one instance, or several on the same stores. */
export interface Subject {
  /** Of each instance; after `restart` they may be others. */
  readonly urls: () => ReadonlyArray<string>
  /** Stops every instance and starts them again on the same stores. */
  readonly restart: () => Promise<void>
  /** A service in this process: how its requests are sent. It does not outlive a restart. */
  /** It has `webhookSettings`; otherwise it has no SECRETS_KEY. */
  readonly hasWebhooks?: boolean
  readonly inProcess?: { readonly send: UniversalClientFn; readonly fetch: typeof globalThis.fetch }
  readonly stop: () => Promise<void>
}

const CODE = new RegExp(`^[${ALPHABET}]{10}$`, "u")
const RFC_3339_UTC = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?Z$/
const OPEN = "2025-06-25T00:00:00Z"
const LARGEST = "9223372036854775807"

const isCode = expect.stringMatching(CODE)
const isTime = expect.stringMatching(RFC_3339_UTC)

/** Bad input: the call, its JSON body, and the field that the answer must name. */
const badInput: ReadonlyArray<readonly [method: string, body: unknown, field: string]> = [
  ...([
    [{ name: "" }, "name"],
    [{ name: "   " }, "name"],
    [{ name: undefined }, "name"],
    [{ name: "이".repeat(101) }, "name"],
    [{ name: "a\u0000b" }, "name"],
    [{ name: "a\u202egnp.exe" }, "name"],
    [{ name: "\u2066a\u2069" }, "name"],
    [{ name: "\u200b\u200d\ufeff\u00ad" }, "name"],
    [{ name: "\u3164\u2800" }, "name"],
    [{ name: "a\u2028b" }, "name"],
    [{ name: 5 }, "name"],
    [{ name: ["x"] }, "name"],
    [{ couponLimit: undefined }, "couponLimit"],
    [{ couponLimit: 0 }, "couponLimit"],
    [{ couponLimit: -5 }, "couponLimit"],
    [{ couponLimit: "-5" }, "couponLimit"],
    [{ couponLimit: 10_000_001 }, "couponLimit"],
    [{ couponLimit: 1.5 }, "couponLimit"],
    [{ couponLimit: "many" }, "couponLimit"],
    [{ couponLimit: "0x10" }, "couponLimit"],
    [{ couponLimit: "9223372036854775808" }, "couponLimit"],
    [{ couponLimit: true }, "couponLimit"],
    [{ startTime: undefined }, "startTime"],
    [{ startTime: "" }, "startTime"],
    [{ startTime: "tomorrow" }, "startTime"],
    [{ startTime: "2025-06-25" }, "startTime"],
    [{ startTime: "2025-06-25T00:00:00" }, "startTime"],
    [{ startTime: "2025-02-30T00:00:00Z" }, "startTime"],
    [{ startTime: "2025-06-25T25:00:00Z" }, "startTime"],
    [{ startTime: "2025-06-25T00:00:00+99:00" }, "startTime"],
    [{ startTime: "1025-06-25T00:00:00Z" }, "startTime"],
    [{ startTime: "9999-06-25T00:00:00Z" }, "startTime"],
    [{ startTime: 1750809600 }, "startTime"],
    [{ endTime: "soon" }, "endTime"],
    [{ endTime: OPEN }, "endTime"],
    [{ endTime: "2025-06-24T23:59:59Z" }, "endTime"],
    [{ endTime: "2025-06-26T00:00:00Z" }, "endTime"],
    [{ startTime: "2025-06-25T00:00:61Z" }, "startTime"],
    [{ colour: "red" }, "colour"],
    [{ limit: 5 }, "limit"],
    [{ requestId: "r".repeat(65) }, "requestId"],
    [{ requestId: "🎟️".repeat(33) }, "requestId"],
    [{ requestId: 5 }, "requestId"],
    [{ codeFormat: "####" }, "codeFormat"],
    [{ codeFormat: { pattern: "SUMMER" } }, "codeFormat.pattern"],
    [{ codeFormat: { pattern: "####" } }, "codeFormat.pattern"],
    [{ codeFormat: { pattern: "#".repeat(64) } }, "codeFormat.pattern"],
    [{ codeFormat: { pattern: "COUPON-##########" } }, "codeFormat.pattern"],
    [{ codeFormat: { alphabet: "CODE_ALPHABET_LATIN" } }, "codeFormat.alphabet"],
    [{ codeFormat: { patern: "##########" } }, "codeFormat.patern"],
    [{ codeFormat: { pattern: 5 } }, "pattern"],
    [{ codeFormat: { alphabet: 99 } }, "codeFormat.alphabet"],
    [{ codeFormat: { characters: "AA" } }, "codeFormat.characters"],
    [{ codeFormat: { characters: "e\u0301x" } }, "codeFormat.characters"],
    [{ codeFormat: { pattern: "##########C", check: "CODE_CHECK_DAMM" } }, "codeFormat.check"],
    [{ codeFormat: {}, codeSource: "CODE_SOURCE_POOL" }, "codeFormat"],
    [{ codeSource: 99 }, "codeSource"],
    [{ coupon_limits: 5 }, "coupon_limits"]
  ] as const).map(([fields, field]) =>
    ["CreateCampaign", { name: "bad", couponLimit: 5, startTime: OPEN, ...fields }, field] as const
  ),
  ...["IssueCoupon", "GetCoupon"].flatMap((method) => [
    ...([undefined, null, 0, -1, 1.5, "abc", true, 2_147_483_648, "2147483648", [], {}] as const)
      .map((campaignId) => [method, { campaignId, userId: 1 }, "campaignId"] as const),
    ...([undefined, null, 0, -1, "0", "-1", 1.5, "abc", "1.5", false, "9223372036854775808", [], {}] as const)
      .map((userId) => [method, { campaignId: 1, userId }, "userId"] as const)
  ]),
  ["IssueCoupon", `{"campaignId":1,"userId":9223372036854775808}`, "userId"],
  ["IssueCoupon", `{"campaignId":1,"userId":1e400}`, "userId"],
  ["GetCampaign", {}, "campaignId"],
  ["GetCampaign", { campaignId: 0 }, "campaignId"],
  ["GetCampaign", { campaignId: "x" }, "campaignId"],
  ["GetCampaign", { campaignId: 1, pageSize: -1 }, "pageSize"],
  ["GetCampaign", { campaignId: 1, pageToken: "nonsense" }, "pageToken"],
  ["ListCoupons", {}, "campaignId"],
  ["ListCoupons", { campaignId: -1 }, "campaignId"],
  ["ListCoupons", { userId: "-1" }, "userId"],
  ["ListCoupons", { campaignId: 1, pageSize: -1 }, "pageSize"],
  ["ListCoupons", { campaignId: 1, pageToken: "nonsense" }, "pageToken"],
  ["ListCoupons", { campaignId: 1, issuedFrom: "yesterday" }, "issuedFrom"],
  ["ListCoupons", { campaignId: 1, states: [9] }, "states"],
  ["ListCoupons", { campaignId: 1, issuedFrom: OPEN, issuedBefore: OPEN }, "issuedBefore"],
  ["FindCoupon", { code: "x" }, "campaignId"],
  ["FindCoupon", { campaignId: 1 }, "code"],
  ["FindCoupon", { campaignId: 1, code: " \n " }, "code"],
  ["FindCoupon", { campaignId: 1, code: "x".repeat(257) }, "code"],
  ["IssueCoupon", `{"campaignId":1,`, "body"],
  ["IssueCoupon", "", "body"],
  ["IssueCoupon", "null", "body"],
  ["IssueCoupon", "[]", "body"],
  ["IssueCoupon", `"text"`, "body"],
  ["IssueCoupon", `{"campaignId":1,"campaignId":2,"userId":1}`, "body"]
]

/** Of each call, the first input that is bad. */
const someBadInput = badInput.filter(([method], k) => badInput.findIndex(([first]) => first === method) === k)

/**
 * The whole public contract, over the wire, on real sockets. Requests go to the instances in turn. A service that is
 * not `durable` is not restarted. What is refused before any store is asked, and in which protocol, is the same on all
 * stores: those that leave it to another subject are not `onEveryPath`.
 */
export const contract = (name: string, start: () => Promise<Subject>, durable = true, onEveryPath = true): void => {
  const [refusedInput, spoken] = onEveryPath ? [badInput, protocols] : [someBadInput, ["gRPC"] as const]
  describe(name, () => {
    let subject: Subject
    let http: Http

    const connect = () => {
      http = makeHttp(subject.urls(), subject.inProcess?.fetch)
    }
    beforeAll(async () => {
      subject = await start()
      connect()
    })
    // A start that failed has said so already.
    afterAll(() => (subject as Subject | undefined)?.stop())

    const clientsOf = (protocol: Protocol, urls: ReadonlyArray<string>): Clients =>
      subject.inProcess === undefined
        ? makeClients(protocol, urls)
        : makeClientsInProcess(protocol, urls[0]!, subject.inProcess.send)

    const open = async (fields: Record<string, unknown> = {}): Promise<number> => {
      const reply = await http.post("CreateCampaign", {
        name: "campaign",
        couponLimit: 100,
        startTime: OPEN,
        ...fields
      })
      expect(reply.status, reply.text).toBe(200)
      return reply.json()["campaignId"] as number
    }
    const issue = (campaignId: number, userId: number | string) => http.post("IssueCoupon", { campaignId, userId })

    describe("JSON, as curl speaks it", () => {
      it("creates, issues, and reads back, in exactly the documented shapes", async () => {
        const created = await http.post("CreateCampaign", { name: "여름 이벤트", couponLimit: 1000, startTime: OPEN })
        expect(created.status).toBe(200)
        expect(created.headers.get("content-type")).toBe("application/json")
        const { campaignId } = created.json()
        expect(created.json()).toEqual({ campaignId: expect.any(Number) })

        const fresh = await http.post("GetCampaign", { campaignId })
        expect(fresh.status).toBe(200)
        expect(fresh.json()).toMatchObject({ couponLimit: "1000", currentCoupon: "0", issuedCoupons: [] })

        const issued = await http.post("IssueCoupon", { campaignId, userId: 1001 })
        expect(issued.status).toBe(200)
        expect(issued.json()).toEqual({ message: "OK", code: isCode, issuedAt: isTime, number: 1 })
        const { code, issuedAt } = issued.json()

        const read = await http.post("GetCampaign", { campaignId })
        expect(read.json()).toEqual({
          id: campaignId,
          name: "여름 이벤트",
          couponLimit: "1000",
          currentCoupon: "1",
          startTime: OPEN,
          createdAt: isTime,
          updatedAt: isTime,
          issuedCoupons: [code],
          issuedCouponsTruncated: false,
          nextPageToken: "",
          status: "CAMPAIGN_STATUS_ACTIVE",
          endTime: "",
          version: "1",
          phase: "CAMPAIGN_PHASE_OPEN",
          openedAt: read.json()["createdAt"],
          soldOutAt: "",
          issuedCouponsWithheld: false,
          serverTime: isTime,
          remaining: "999",
          codeSource: "CODE_SOURCE_GENERATED",
          codeCount: "0",
          undoWindow: "PT24H",
          returned: "0"
        })
        const coupon = await http.post("GetCoupon", { campaignId, userId: 1001 })
        expect(coupon.json()).toEqual({
          coupon: {
            campaignId, userId: "1001", code, issuedAt, number: 1, state: "COUPON_STATE_ISSUED"
          }
        })
      })

      it("says what failed by message, code and HTTP status", async () => {
        const failure = (code: string, message: string) => ({ code, message })
        const none = await issue(2_147_483_647, 1)
        expect([none.status, none.json()]).toEqual([404, failure("not_found", "RECORD_NOT_FOUND")])
        expect(none.headers.get("content-type")).toBe("application/json")
        for (const method of ["GetCampaign", "GetCoupon"]) {
          const unknown = await http.post(method, { campaignId: 2_147_483_647, userId: 1 })
          expect([unknown.status, unknown.json()]).toEqual([404, failure("not_found", "RECORD_NOT_FOUND")])
        }
        const early = await issue(await open({ startTime: "2099-01-01T00:00:00Z" }), 1)
        expect([early.status, early.json()]).toEqual([400, failure("failed_precondition", "CAMPAIGN_NOT_STARTED")])

        const campaignId = await open({ couponLimit: 1 })
        const first = await issue(campaignId, 1)
        expect(first.status).toBe(200)
        const soldOut = await issue(campaignId, 2)
        expect([soldOut.status, soldOut.json()]).toEqual([400, failure("failed_precondition", "COUPON_SOLD_OUT")])
        const nothing = await http.post("GetCoupon", { campaignId, userId: 2 })
        expect([nothing.status, nothing.json()]).toEqual([404, failure("not_found", "RECORD_NOT_FOUND")])

        const again = await issue(campaignId, 1)
        expect(again.status).toBe(409)
        expect(again.json()).toMatchObject({
          code: "already_exists",
          message: "COUPON_ALREADY_CLAIMED",
          details: [{ type: "coupon.v1.Coupon" }]
        })
        const [detail] = again.json()["details"] as Array<{ readonly value: string }>
        expect(fromBinary(CouponSchema, Buffer.from(detail?.value ?? "", "base64"))).toEqual(
          create(CouponSchema, {
            campaignId,
            userId: 1n,
            ...first.json() as { code: string; issuedAt: string; number: number }
          })
        )
      })

      it.each(refusedInput)("refuses %s %j, naming %s", async (method, body, field) => {
        const reply = await http.post(method, body)
        expect(reply.json()).toEqual({
          code: "invalid_argument",
          message: expect.stringMatching(`^INVALID_ARGUMENT: .*${field}.* `)
        })
        expect(reply.status).toBe(400)
      })

      it("refuses JSON that is not UTF-8", async () => {
        const reply = await http.post("IssueCoupon", Buffer.from(`{"campaignId":1,"userId":1,"x":"\xff"}`, "latin1"))
        expect([reply.status, reply.json()["message"]]).toEqual([
          400,
          expect.stringMatching(/^INVALID_ARGUMENT: body /)
        ])
      })

      it("stores nothing of what it refused", async () => {
        const before = await open()
        for (const [method, body] of refusedInput) if (method === "CreateCampaign") await http.post(method, body)
        expect(await open()).toBe(before + 1)
      })

      it("takes names of up to 100 characters, whatever their script", async () => {
        const name = "여름🎉".repeat(33) + "!"
        const campaignId = await open({ name })
        expect((await http.post("GetCampaign", { campaignId })).json()["name"]).toBe(name)
      })

      it("takes every limit from 1 to 10,000,000, times with an offset, and an end", async () => {
        const startTime = "2025-06-25T09:00:00+09:00"
        const campaignId = await open({ couponLimit: "10000000", startTime, endTime: "2098-12-31T23:59:59.5Z" })
        expect((await http.post("GetCampaign", { campaignId })).json()).toMatchObject({
          couponLimit: "10000000",
          startTime: OPEN,
          endTime: "2098-12-31T23:59:59.500Z"
        })
      })

      it("issues codes of the campaign's format, which is fixed from then on", async () => {
        const codeFormat = { alphabet: "CODE_ALPHABET_CROCKFORD32", pattern: "SUMMER-####-####-C" }
        const campaignId = await open({ codeFormat })
        const code = expect.stringMatching(/^SUMMER-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]$/)
        const first = await issue(campaignId, 1)
        expect(first.json()).toMatchObject({ message: "OK", code })
        const { json } = await http.post("GetCampaign", { campaignId })
        expect(json()).toMatchObject({
          issuedCoupons: [code],
          codeFormat: { ...codeFormat, check: "CODE_CHECK_DAMM" },
          codeSource: "CODE_SOURCE_GENERATED"
        })
        const again = await http.post("UpdateCampaign", { campaignId, codeFormat })
        expect([again.status, again.json()["campaign"]]).toEqual([200, expect.objectContaining({ version: "1" })])
        for (const change of [{ codeFormat: {} }, { codeSource: "CODE_SOURCE_POOL" }]) {
          const changed = await http.post("UpdateCampaign", { campaignId, ...change })
          const field = Object.keys(change)[0]!
          expect([changed.status, changed.json()["message"]])
            .toEqual([400, `INVALID_ARGUMENT: ${field} is fixed: 1 coupons are issued`])
        }
        const raised = await http.post("UpdateCampaign", { campaignId, couponLimit: 10_000_000 })
        expect([raised.status, raised.json()["message"]])
          .toEqual([400, expect.stringMatching(/^INVALID_ARGUMENT: codeFormat.pattern makes 1,099,511,627,776 codes/)])
      })

      it("changes the format of a campaign that has issued nothing", async () => {
        const campaignId = await open()
        const codeFormat = { alphabet: "CODE_ALPHABET_DIGITS", pattern: "7-############" }
        const changed = await http.post("UpdateCampaign", { campaignId, codeFormat })
        expect(changed.json()).toMatchObject({ campaign: { codeFormat, version: "2" } })
        for (const userId of [1, 2, 3]) {
          const { json } = await issue(campaignId, userId)
          expect(json()["code"]).toMatch(/^7-\d{12}$/)
          expect((await issue(campaignId, userId)).status).toBe(409)
          const held = await http.post("GetCoupon", { campaignId, userId })
          expect(held.json()).toMatchObject({ coupon: { code: json()["code"] } })
        }
      })

      it("imports own codes, all or none, and hands them out by their numbers", async () => {
        const campaignId = await open({ codeSource: "CODE_SOURCE_POOL", couponLimit: 10 })
        const key = { campaignId, importId: 1 }
        const started = await http.post("StartImport", { campaignId, requestId: "r-1" })
        expect(started.json()).toEqual({
          codeImport: {
            ...key,
            requestId: "r-1",
            state: "CODE_IMPORT_STATE_OPEN",
            chunks: 0,
            ...{ received: "0", accepted: "0", duplicateInFile: "0", duplicateInCampaign: "0", invalid: "0" },
            startedAt: isTime,
            updatedAt: isTime
          }
        })
        expect((await http.post("StartImport", { campaignId, requestId: "r-1" })).json()).toEqual(started.json())
        const other = await http.post("StartImport", { campaignId, requestId: "r-2" })
        expect([other.status, other.json()["message"]]).toEqual([409, "CONFLICT"])
        const chunk = { ...key, chunkIndex: 0, codes: ["A-1", "A-2", "A 3", "A-1"] }
        const appended = await http.post("AppendCodes", chunk)
        expect(appended.json()).toMatchObject({
          accepted: 2,
          rejected: [
            { index: 2, rejection: "CODE_REJECTION_INVALID", reason: expect.stringMatching(/^must not hold U\+0020/) },
            { index: 3, rejection: "CODE_REJECTION_DUPLICATE_IN_FILE", reason: "" }
          ],
          codeImport: { chunks: 1, received: "4", accepted: "2" }
        })
        expect((await http.post("AppendCodes", chunk)).json()).toEqual(appended.json())
        const exhausted = await issue(campaignId, 1)
        expect([exhausted.status, exhausted.json()]).toEqual([
          400,
          { code: "failed_precondition", message: "CODES_EXHAUSTED" }
        ])
        const refusals: ReadonlyArray<readonly [method: string, body: Record<string, unknown>, message: RegExp]> = [
          ["AppendCodes", { ...chunk, codes: ["A-1"] }, /^INVALID_ARGUMENT: codes must be those that chunk 0/],
          ["AppendCodes", { ...chunk, chunkIndex: 2 }, /^INVALID_ARGUMENT: chunkIndex must be 1, the next one/],
          ["AppendCodes", { ...chunk, chunkIndex: -1 }, /^INVALID_ARGUMENT: chunkIndex must not be negative/],
          ["AppendCodes", { ...chunk, chunkIndex: 1, codes: [] }, /^INVALID_ARGUMENT: codes must be 1 to 10000, not 0/],
          ["AppendCodes", { ...chunk, importId: 0 }, /^INVALID_ARGUMENT: importId must be positive|positive 32-bit/],
          ["AppendCodes", { ...chunk, importId: 2 }, /^RECORD_NOT_FOUND$/],
          ["FinishImport", key, /^INVALID_ARGUMENT: allowRejected must be set to go without 2 of 4 codes/],
          ["StartImport", { campaignId, requestId: "" }, /^INVALID_ARGUMENT: requestId must be 1 to 64 characters/],
          // A database may end a text at a NUL: this must not be the import "r-1".
          ["StartImport", { campaignId, requestId: "r-1\0a" }, /^INVALID_ARGUMENT: requestId must be text without/],
          ["StartImport", { campaignId: 2_147_483_647, requestId: "r" }, /^RECORD_NOT_FOUND$/],
          ["ListImports", { campaignId: 2_147_483_647 }, /^RECORD_NOT_FOUND$/],
          ["ListImports", { campaignId, pageToken: "x" }, /^INVALID_ARGUMENT: pageToken /]
        ]
        for (const [method, body, message] of refusals) {
          expect((await http.post(method, body)).json()["message"], JSON.stringify(body)).toMatch(message)
        }
        const dry = await http.post("FinishImport", { ...key, dryRun: true, allowRejected: true })
        expect(dry.json()).toMatchObject({ codeImport: { state: "CODE_IMPORT_STATE_OPEN" } })
        const finished = await http.post("FinishImport", { ...key, allowRejected: true })
        expect(finished.json()).toMatchObject({ codeImport: { state: "CODE_IMPORT_STATE_FINISHED", accepted: "2" } })
        expect((await http.post("FinishImport", { ...key, allowRejected: true })).json()).toEqual(finished.json())
        expect((await http.post("GetCampaign", { campaignId })).json()).toMatchObject({
          codeSource: "CODE_SOURCE_POOL",
          codeCount: "2"
        })
        const issued = await Promise.all([1, 2, 3].map((userId) => issue(campaignId, userId)))
        expect(issued.map(({ json }) => json()["message"]).toSorted()).toEqual(["CODES_EXHAUSTED", "OK", "OK"])
        const { issuedCoupons } = (await http.post("GetCampaign", { campaignId })).json()
        expect((issuedCoupons as Array<string>).toSorted()).toEqual(["A-1", "A-2"])
        const raised = await http.post("UpdateCampaign", { campaignId, couponLimit: 11 })
        expect(raised.json()["message"]).toMatch(/^INVALID_ARGUMENT: couponLimit must not be above the 2 codes/)
        const second = { campaignId, importId: 2 }
        await http.post("StartImport", { campaignId, requestId: "r-2" })
        await http.post("AppendCodes", { ...second, chunkIndex: 0, codes: ["A-2", "B-1"] })
        expect((await http.post("GetImport", second)).json()).toMatchObject({
          codeImport: { accepted: "1", duplicateInCampaign: "1" }
        })
        const aborted = await http.post("AbortImport", second)
        expect(aborted.json()).toMatchObject({ codeImport: { state: "CODE_IMPORT_STATE_ABORTED" } })
        expect((await http.post("AbortImport", key)).json()["message"]).toBe("CONFLICT")
        const page = (await http.post("ListImports", { campaignId, pageSize: 1 })).json()
        expect(page).toMatchObject({ codeImports: [{ importId: 2 }], nextPageToken: expect.stringMatching(/./) })
        const rest = await http.post("ListImports", { campaignId, pageToken: page["nextPageToken"] })
        expect(rest.json()).toMatchObject({ codeImports: [{ importId: 1 }], nextPageToken: "" })
        const drawn = await open()
        const refused = await http.post("StartImport", { campaignId: drawn, requestId: "r" })
        expect(refused.json()["message"]).toMatch(/^INVALID_ARGUMENT: campaignId .* codeSource is POOL$/)
      })

      it("takes any positive 64-bit user id, as string or number, without losing a digit", async () => {
        const campaignId = await open()
        expect((await issue(campaignId, LARGEST)).status).toBe(200)
        expect((await http.post("GetCoupon", `{"campaignId":${campaignId},"userId":${LARGEST}}`)).json())
          .toMatchObject({ coupon: { userId: LARGEST } })
        expect((await http.post("IssueCoupon", `{"campaignId":${campaignId},"userId":9007199254740993}`)).status)
          .toBe(200)
        expect((await issue(campaignId, "9007199254740992")).status).toBe(200)
        expect((await http.post("GetCoupon", { campaignId, userId: "9007199254740993" })).json())
          .toMatchObject({ coupon: { userId: "9007199254740993" } })
      })

      it("ignores fields it does not know in claims and reads", async () => {
        const campaignId = await open()
        const more = { campaignId, userId: 7, colour: "red", nested: { deep: [1, { x: null }] } }
        expect((await http.post("IssueCoupon", more)).json()).toMatchObject({ message: "OK" })
        for (const method of ["GetCampaign", "GetCoupon", "ListCampaigns", "ListCoupons"]) {
          expect([(await http.post(method, more)).status, (await http.get(method, more)).status]).toEqual([200, 200])
        }
      })

      it("opens one campaign for a request, also when many ask at once and after a restart", async () => {
        const requestId = `r ${Math.random()} 여름 🎟️`
        const fields = { name: "once", couponLimit: 7, startTime: "2025-06-25T09:00:00+09:00", requestId }
        const all = await Promise.all(Array.from({ length: 12 }, () => open(fields)))
        expect(new Set(all).size).toBe(1)
        // The same instant, written in another way.
        expect(await open({ ...fields, startTime: OPEN })).toBe(all[0])
        for (const other of [{ name: "twice" }, { couponLimit: 8 }, { endTime: "2098-01-01T00:00:00Z" }]) {
          const reply = await http.post("CreateCampaign", { ...fields, ...other })
          expect([reply.status, reply.json()]).toEqual([409, { code: "aborted", message: "CONFLICT" }])
        }
        if (durable) await subject.restart()
        connect()
        expect(await open(fields)).toBe(all[0])
        expect(await open({ ...fields, requestId: `${requestId}.` })).not.toBe(all[0])
        expect(await open({ ...fields, requestId: "" })).not.toBe(await open({ ...fields, requestId: "" }))
        expect(await open({ requestId: `${requestId}${"x".repeat(64 - Array.from(requestId).length)}` }))
          .toBeGreaterThan(all[0]!)
      })

      it("lists the events of a campaign by their sequences", async () => {
        const campaignId = await open({ couponLimit: 3 })
        for (const userId of [1, 2]) expect((await issue(campaignId, userId)).status).toBe(200)
        expect((await http.post("PauseCampaign", { campaignId })).status).toBe(200)
        expect((await http.post("ResumeCampaign", { campaignId })).status).toBe(200)
        expect((await issue(campaignId, 3)).status).toBe(200)
        interface Event {
          readonly sequence: string
          readonly type: string
          readonly firstNumber?: number
          readonly lastNumber?: number
        }
        const list = async (more: Record<string, unknown> = {}) =>
          (await http.post("ListEvents", { campaignId, ...more })).json() as unknown as {
            readonly events: ReadonlyArray<Event>
            readonly lastSequence: string
          }
        await expect.poll(async () => (await list()).events.at(-1)?.type, { timeout: 10_000 }).toBe("campaign.sold_out")
        const { events, lastSequence } = await list()
        expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, k) => String(k + 1)))
        expect(lastSequence).toBe(String(events.length))
        const others = events.filter(({ type }) => type !== "coupon.issued").map(({ type }) => type)
        expect(others).toEqual(["campaign.created", "campaign.paused", "campaign.resumed", "campaign.sold_out"])
        const numbers = events.filter(({ type }) => type === "coupon.issued").flatMap((event) =>
          Array.from({ length: event.lastNumber! - event.firstNumber! + 1 }, (_, k) => event.firstNumber! + k)
        )
        expect(numbers).toEqual([1, 2, 3])
        expect(events[0]).toMatchObject({
          campaignId,
          firstSequence: "1",
          payload: { version: 1, couponLimit: 3, status: "ACTIVE", startTime: OPEN, endTime: null }
        })
        // The same pages by sequence, and by GET.
        expect((await list({ afterSequence: "2", pageSize: 2 })).events).toEqual(events.slice(2, 4))
        expect((await http.get("ListEvents", { campaignId, afterSequence: "1" })).json()["events"])
          .toEqual(events.slice(1))
        expect((await list({ afterSequence: lastSequence })).events).toEqual([])
        for (const [more, message] of [
          [{ pageSize: -1 }, "INVALID_ARGUMENT: pageSize must be 0 to 1000"],
          [{ afterSequence: "-1" }, "INVALID_ARGUMENT: afterSequence must be a sequence, or 0 for all events"],
          [{ campaignId: 2_147_483_647 }, "RECORD_NOT_FOUND"]
        ] as const) {
          expect((await http.post("ListEvents", { campaignId, ...more })).json()["message"]).toBe(message)
        }
      })

      it("takes a leap second, and a window that is over where that is asked for", async () => {
        const fields = { startTime: "2016-12-31T23:59:60.5Z", endTime: "2017-01-01T08:59:60+09:00" }
        expect((await http.post("CreateCampaign", { name: "over", couponLimit: 1, ...fields })).json()["message"])
          .toMatch(/^INVALID_ARGUMENT: endTime must be later/)
        const over = { ...fields, endTime: "2017-01-01T09:00:60+09:00" }
        expect((await http.post("CreateCampaign", { name: "over", couponLimit: 1, ...over })).json()["message"])
          .toMatch(/^INVALID_ARGUMENT: endTime has passed already/)
        const campaignId = await open({ ...over, allowPastEnd: true })
        expect((await http.post("GetCampaign", { campaignId })).json())
          .toMatchObject({ startTime: "2017-01-01T00:00:00.500Z", endTime: "2017-01-01T00:01:00Z" })
        expect((await issue(campaignId, 1)).json()["message"]).toBe("CAMPAIGN_ENDED")
      })

      it("takes fields by their proto names too", async () => {
        const created = await http.post("CreateCampaign", { name: "c", coupon_limit: "3", start_time: OPEN })
        expect((await http.post("IssueCoupon", { campaign_id: created.json()["campaignId"], user_id: "1" })).json())
          .toMatchObject({ message: "OK" })
      })

      it("refuses a body beyond its bound, announced or not, and goes on", async () => {
        const campaignId = await open()
        const large = JSON.stringify({ campaignId, userId: 1, padding: "x".repeat(70_000) })
        const chunked = new ReadableStream({
          start: (controller) => {
            for (let k = 0; k < large.length; k += 10_000) controller.enqueue(Buffer.from(large.slice(k, k + 10_000)))
            controller.close()
          }
        })
        const headers = { "content-type": "application/json" }
        const replies = [
          await http.request(path("IssueCoupon"), { method: "POST", headers, body: large }),
          await http.request(
            path("IssueCoupon"),
            { method: "POST", headers, body: chunked, duplex: "half" } as RequestInit
          )
        ]
        for (const reply of replies) {
          expect(reply.status).toBe(429)
          const message = expect.stringMatching(/^INVALID_ARGUMENT: body .*65536/)
          expect(reply.json()).toEqual({ code: "resource_exhausted", message })
        }
        expect((await http.post("GetCoupon", { campaignId, userId: 1 })).status).toBe(404)
        expect((await http.post("IssueCoupon", { campaignId, userId: 1, padding: "x".repeat(60_000) })).status)
          .toBe(200)
      })

      it("answers reads by GET, and nothing else", async () => {
        const campaignId = await open()
        const { code } = (await issue(campaignId, 5)).json()
        const campaign = await http.get("GetCampaign", { campaignId })
        expect([campaign.status, campaign.json()["issuedCoupons"]]).toEqual([200, [code]])
        expect(campaign.headers.get("cache-control")).toBe("no-store")
        const coupon = await http.get("GetCoupon", { campaignId, userId: "5" })
        expect(coupon.json()).toMatchObject({ coupon: { code } })
        expect((await http.get("GetCoupon", { campaignId, userId: "6" })).json())
          .toEqual({ code: "not_found", message: "RECORD_NOT_FOUND" })
        expect((await http.get("GetCampaign", { campaignId: 0 })).json())
          .toEqual({ code: "invalid_argument", message: expect.stringMatching(/^INVALID_ARGUMENT: campaignId /) })
        for (
          const method of [
            "IssueCoupon", "CreateCampaign", "UpdateCampaign", "PauseCampaign", "ResumeCampaign", "EndCampaign"
          ]
        ) {
          const refused = await http.get(method, {
            campaignId,
            userId: "6",
            name: "n",
            couponLimit: 1,
            startTime: OPEN
          })
          expect(refused.status).toBe(405)
          expect(refused.headers.get("allow")).toContain("POST")
        }
        expect((await http.get("GetCoupon", { campaignId, userId: "6" })).status).toBe(404)
      })

      it("answers 404, 405 and 415 to what is no call", async () => {
        const headers = { "content-type": "application/json" }
        for (
          const target of [
            "/nowhere", path("Nothing"), "/coupon.v2.CouponService/IssueCoupon", `${path("IssueCoupon")}/`
          ]
        ) {
          expect((await http.request(target, { method: "POST", headers, body: "{}" })).status, target).toBe(404)
        }
        for (const method of ["PUT", "DELETE", "PATCH"]) {
          expect((await http.request(path("IssueCoupon"), { method, headers, body: "{}" })).status, method).toBe(405)
        }
        for (const type of ["text/plain", "application/xml", "application/x-www-form-urlencoded"]) {
          expect((await http.post("IssueCoupon", "{}", { "content-type": type })).status, type).toBe(415)
        }
      })

      it("takes a content type with a charset, and Connect's own headers", async () => {
        const campaignId = await open()
        const body = { campaignId, userId: 1 }
        const headers = {
          "content-type": "application/json; charset=utf-8",
          "connect-protocol-version": "1",
          "connect-timeout-ms": "5000"
        }
        expect((await http.post("IssueCoupon", body, headers)).json()).toMatchObject({ message: "OK" })
        expect((await http.post("IssueCoupon", body, { "connect-protocol-version": "2" })).status).toBe(400)
        expect((await http.post("IssueCoupon", body, { "connect-timeout-ms": "soon" })).status).toBe(400)
      })
    })

    describe("rules", () => {
      it("issues as many coupons as the limit, one a user, with codes that differ", async () => {
        const campaignId = await open({ couponLimit: 20 })
        const replies = await Promise.all(Array.from({ length: 30 }, (_, k) => issue(campaignId, k + 1)))
        const messages = replies.map((reply) => reply.json()["message"])
        expect(messages.filter((message) => message === "OK")).toHaveLength(20)
        expect(messages.filter((message) => message === "COUPON_SOLD_OUT")).toHaveLength(10)
        const codes = replies.filter(({ status }) => status === 200).map((reply) => reply.json()["code"])
        expect(new Set(codes).size).toBe(20)
        const campaign = (await http.post("GetCampaign", { campaignId })).json()
        expect(campaign["currentCoupon"]).toBe("20")
        expect(new Set(campaign["issuedCoupons"] as Array<string>)).toEqual(new Set(codes))
      })

      it("answers COUPON_ALREADY_CLAIMED with the coupon at every instance, also after sold out", async () => {
        const campaignId = await open({ couponLimit: 2 })
        const { code, issuedAt } = (await issue(campaignId, 1)).json()
        const claimed = async () => {
          for (let k = 0; k < 4; k++) {
            const again = await issue(campaignId, 1)
            expect([again.status, again.json()["message"]]).toEqual([409, "COUPON_ALREADY_CLAIMED"])
            const [detail] = again.json()["details"] as Array<{ readonly value: string }>
            expect(fromBinary(CouponSchema, Buffer.from(detail?.value ?? "", "base64")))
              .toMatchObject({ code, issuedAt, userId: 1n })
          }
        }
        await claimed()
        expect((await issue(campaignId, 2)).status).toBe(200)
        for (let user = 3; user < 9; user++) {
          expect((await issue(campaignId, user)).json()["message"]).toBe("COUPON_SOLD_OUT")
        }
        await claimed()
        for (let user = 3; user < 9; user++) {
          expect((await issue(campaignId, user)).json()["message"]).toBe("COUPON_SOLD_OUT")
        }
      })

      it("gives one coupon to a user who presses the button many times at once", async () => {
        const campaignId = await open()
        const replies = await Promise.all(Array.from({ length: 20 }, () => issue(campaignId, 1)))
        expect(replies.map(({ status }) => status).sort()).toEqual([200, ...Array.from({ length: 19 }, () => 409)])
        expect((await http.post("GetCampaign", { campaignId })).json()["currentCoupon"]).toBe("1")
      })

      /**
       * A campaign that ends soon, and what these users received before its end: a busy machine gets twice as long the
       * next time.
       */
      const untilEnd = async (couponLimit: number, users: ReadonlyArray<number>) => {
        for (let millis = 1_000;; millis *= 2) {
          const end = Date.now() + millis
          const campaignId = await open({ couponLimit, endTime: new Date(end).toISOString() })
          const replies: Array<Record<string, unknown>> = []
          for (const user of users) replies.push((await issue(campaignId, user)).json())
          if (Date.now() < end) return { campaignId, replies }
        }
      }

      it("ends at its end time: new users are rejected, holders still receive their coupon", async () => {
        const { campaignId, replies: [first] } = await untilEnd(1000, [1])
        const code = first!["code"]
        expect(code).toEqual(isCode)
        let user = 2
        let last = ""
        await expect.poll(async () => {
          last = (await issue(campaignId, user++)).json()["message"] as string
          return last
        }, { interval: 50 }).not.toBe("OK")
        expect(last).toBe("CAMPAIGN_ENDED")
        const ended = await issue(campaignId, user++)
        expect([ended.status, ended.json()]).toEqual([400, { code: "failed_precondition", message: "CAMPAIGN_ENDED" }])
        const holder = await issue(campaignId, 1)
        expect([holder.status, holder.json()["message"]]).toEqual([409, "COUPON_ALREADY_CLAIMED"])
        expect((await http.post("GetCoupon", { campaignId, userId: 1 })).json()).toMatchObject({ coupon: { code } })
      })

      it("says ended rather than sold out when it is both", async () => {
        const { campaignId, replies } = await untilEnd(1, [1, 2])
        expect(replies.map((reply) => reply["message"])).toEqual(["OK", "COUPON_SOLD_OUT"])
        await expect.poll(async () => (await issue(campaignId, 2)).json()["message"], { interval: 50 })
          .toBe("CAMPAIGN_ENDED")
        expect((await issue(campaignId, 1)).json()["message"]).toBe("COUPON_ALREADY_CLAIMED")
      })

      it("checks the input first, the campaign second, its window third", async () => {
        expect((await issue(2_147_483_647, 0)).json()["message"]).toMatch(/^INVALID_ARGUMENT: userId/)
        const early = await open({ startTime: "2099-01-01T00:00:00Z" })
        expect((await issue(early, 0)).json()["message"]).toMatch(/^INVALID_ARGUMENT: userId/)
      })

      it("pages the codes in the order of issue", async () => {
        const campaignId = await open()
        const codes: Array<unknown> = []
        for (let user = 1; user <= 7; user++) codes.push((await issue(campaignId, user)).json()["code"])
        const pages: Array<unknown> = []
        let pageToken = ""
        for (;;) {
          const page = (await http.post("GetCampaign", { campaignId, pageSize: 3, pageToken })).json()
          expect(page["currentCoupon"]).toBe("7")
          pages.push(page["issuedCoupons"])
          if (page["issuedCouponsTruncated"] !== true) {
            expect(page["nextPageToken"]).toBe("")
            break
          }
          pageToken = page["nextPageToken"] as string
          expect(pageToken).not.toBe("")
        }
        expect(pages).toEqual([codes.slice(0, 3), codes.slice(3, 6), codes.slice(6)])
        const whole = (await http.post("GetCampaign", { campaignId, pageSize: 7 })).json()
        expect([whole["issuedCoupons"], whole["issuedCouponsTruncated"]]).toEqual([codes, false])
        // A page's token is of its campaign alone.
        const other = await http.post("GetCampaign", { campaignId: await open(), pageToken })
        expect([other.status, other.json()["message"]]).toEqual([
          400,
          expect.stringMatching(/^INVALID_ARGUMENT: pageToken /)
        ])
      })
    })

    lifecycle({ http: () => http, open, issue })
    redemption({ http: () => http, open, issue })
    expiry({ http: () => http, open, issue })
    revocation({ http: () => http, open, issue })
    erasure({ http: () => http, open, issue })
    webhooks({
      http: () => http,
      open,
      issue,
      spoken,
      isOn: () => subject.hasWebhooks === true,
      connect: (protocol) => clientsOf(protocol, subject.urls())
    })
    // The watches of one instance share what it reads from its stores.
    if (onEveryPath) {
      watches({ http: () => http, open, issue, connect: () => clientsOf("gRPC", subject.urls().slice(0, 1)) })
    }

    /** More coupons than one message of an export holds, of as many users, made by the first protocol that asks. */
    const LARGE = 1_234
    const largeCampaign = Effect.runSync(Effect.cached(Effect.promise(async () => {
      const campaignId = await open({ couponLimit: 3_000 })
      for (let user = 1; user <= LARGE; user += 50) {
        const users = Array.from({ length: Math.min(50, LARGE + 1 - user) }, (_, k) => user + k)
        const replies = await Promise.all(users.map((userId) => issue(campaignId, userId)))
        expect(replies.map(({ status }) => status)).toEqual(users.map(() => 200))
      }
      return campaignId
    })))

    describe.each(spoken)("%s", (protocol) => {
      let clients: Clients
      beforeAll(() => {
        clients = clientsOf(protocol, subject.urls())
      })
      afterAll(() => clients.close())

      it("carries every call", async () => {
        const draft = { name: "겨울", couponLimit: 3n, startTime: OPEN, endTime: "2098-01-01T00:00:00Z" }
        const { campaignId } = await clients.next().createCampaign(draft)
        expect(campaignId).toBeGreaterThan(0)
        const issued = await clients.next().issueCoupon({ campaignId, userId: BigInt(LARGEST) })
        expect(issued).toMatchObject({ message: "OK", code: isCode, issuedAt: isTime, number: 1 })
        expect((await clients.next().getCoupon({ campaignId, userId: BigInt(LARGEST) })).coupon).toEqual(
          create(CouponSchema, {
            campaignId,
            userId: BigInt(LARGEST),
            code: issued.code,
            issuedAt: issued.issuedAt,
            number: 1,
            state: CouponState.ISSUED
          })
        )
        const campaign = await clients.next().getCampaign({ campaignId })
        expect(campaign).toMatchObject({
          ...draft,
          id: campaignId,
          currentCoupon: 1n,
          createdAt: isTime,
          updatedAt: isTime,
          issuedCoupons: [issued.code],
          issuedCouponsTruncated: false,
          nextPageToken: "",
          status: CampaignStatus.ACTIVE,
          version: 1n,
          serverTime: isTime,
          remaining: 2n
        })
        const { campaign: updated } = await clients.next().updateCampaign({
          campaignId,
          expectedVersion: 1n,
          name: "봄",
          couponLimit: 4n,
          endTime: ""
        })
        expect(updated).toMatchObject({
          id: campaignId,
          name: "봄",
          couponLimit: 4n,
          startTime: OPEN,
          endTime: "",
          version: 2n
        })
        expect((await clients.next().pauseCampaign({ campaignId })).campaign?.status).toBe(CampaignStatus.PAUSED)
        expect(await refusal(clients.next().issueCoupon({ campaignId, userId: 2n })))
          .toEqual({ code: Code.FailedPrecondition, message: "CAMPAIGN_PAUSED" })
        expect(await refusal(clients.next().resumeCampaign({ campaignId, expectedVersion: 2n }))).toEqual({
          code: Code.Aborted,
          message: "CONFLICT"
        })
        expect((await clients.next().resumeCampaign({ campaignId, expectedVersion: 3n })).campaign?.status)
          .toBe(CampaignStatus.ACTIVE)
        const ended = (await clients.next().endCampaign({ campaignId })).campaign
        expect(ended).toMatchObject({ status: CampaignStatus.ENDED, version: 5n, currentCoupon: 1n })
        expect((await clients.next().listCampaigns({ pageSize: 1, status: CampaignStatus.ENDED })).campaigns).toEqual([
          ended
        ])
      })

      it("exports every coupon, and from any number on", async () => {
        const campaignId = await Effect.runPromise(largeCampaign)
        const exported = async (afterNumber: number, of = campaignId) => {
          const coupons: Array<Coupon> = []
          let lastNumber = 0
          for await (const message of clients.next().exportCoupons({ campaignId: of, afterNumber })) {
            coupons.push(...message.coupons)
            lastNumber = message.lastNumber
          }
          return { coupons, lastNumber }
        }
        expect(await exported(0, await open())).toEqual({ coupons: [], lastNumber: 0 })
        const users = Array.from({ length: LARGE }, (_, k) => BigInt(k + 1))
        const { coupons, lastNumber } = await exported(0)
        expect(coupons.map(({ number }) => number)).toEqual(users.map(Number))
        expect(lastNumber).toBe(users.length)
        expect(new Set(coupons.map(({ userId }) => userId))).toEqual(new Set(users))
        const of = coupons[41]!
        expect((await clients.next().getCoupon({ campaignId, userId: of.userId })).coupon)
          .toEqual({ ...of, state: CouponState.ISSUED })
        for (const after of [1, 999, 1_000, LARGE - 1]) {
          expect((await exported(after)).coupons).toEqual(coupons.slice(after))
        }
        expect(await exported(LARGE)).toEqual({ coupons: [], lastNumber: 0 })
        expect(await exported(2_147_483_647)).toEqual({ coupons: [], lastNumber: 0 })
        expect((await clients.next().findCoupon({ campaignId, code: of.code.normalize("NFD") })).coupon)
          .toEqual({ ...of, state: CouponState.ISSUED })
        expect((await clients.next().listCoupons({ campaignId, pageSize: 1_000 })).coupons)
          .toEqual(coupons.slice(0, 1_000).map((of) => ({ ...of, state: CouponState.ISSUED })))
        const none = clients.next().exportCoupons({ campaignId: 2_147_483_647 })
        expect(await refusal(none[Symbol.asyncIterator]().next()))
          .toEqual({ code: Code.NotFound, message: "RECORD_NOT_FOUND" })
        const afterNothing = { campaignId, afterNumber: -1 }
        for (const [wrong, field] of [[{ campaignId: 0 }, "campaignId"], [afterNothing, "afterNumber"]] as const) {
          expect(await refusal(clients.next().exportCoupons(wrong)[Symbol.asyncIterator]().next()))
            .toEqual({ code: Code.InvalidArgument, message: expect.stringMatching(`^INVALID_ARGUMENT: ${field} `) })
        }
      })

      it("watches a campaign, and goes on after a sequence", async () => {
        const draft = { name: "c", couponLimit: 12n, startTime: OPEN }
        const { campaignId } = await clients.next().createCampaign(draft)
        for (const userId of [1n, 2n]) await clients.next().issueCoupon({ campaignId, userId })
        /** Events of a watch, one for each sequence, until this holds; and its first message. */
        const watched = async (
          how: { readonly afterSequence?: bigint; readonly issuedIntervalSeconds?: number },
          until: (event: CampaignEvent) => boolean
        ) => {
          const leaving = new AbortController()
          const request = { campaignId, ...how }
          const events: Array<CampaignEvent> = []
          let snapshot: WatchSnapshot | undefined
          try {
            for await (const { message } of clients.next().watchCampaign(request, { signal: leaving.signal })) {
              if (message.case === "snapshot") {
                expect([snapshot, events]).toEqual([undefined, []])
                snapshot = message.value
              }
              if (message.case !== "event") continue
              events.push(message.value)
              if (until(message.value)) break
            }
          } finally {
            leaving.abort()
          }
          return { events, snapshot: snapshot! }
        }
        const all = watched({ afterSequence: 0n }, ({ type }) => type === "campaign.sold_out")
        // It gets the event at once, however long coupons are gathered.
        const later = watched({ issuedIntervalSeconds: 60 }, ({ type }) => type === "campaign.sold_out")
        for (let userId = 3n; userId <= 12n; userId++) await clients.next().issueCoupon({ campaignId, userId })
        for (const { events, snapshot } of [await all, await later]) {
          expect(snapshot.campaign).toMatchObject({ id: campaignId, name: "c", couponLimit: 12n })
          let last = events[0]!.firstSequence - 1n
          for (const { firstSequence, sequence } of events) {
            expect(firstSequence).toBe(last + 1n)
            last = sequence
          }
        }
        const { events } = await all
        expect(events[0]).toMatchObject({ firstSequence: 1n, sequence: 1n, type: "campaign.created" })
        const numbers = events.filter(({ type }) => type === "coupon.issued").flatMap((event) =>
          Array.from({ length: event.lastNumber - event.firstNumber + 1 }, (_, k) => event.firstNumber + k)
        )
        expect(numbers).toEqual(Array.from({ length: 12 }, (_, k) => k + 1))
        const end = events.at(-1)!
        expect((await watched({ afterSequence: end.sequence - 1n }, () => true)).events).toEqual([end])
        const none = clients.next().watchCampaign({ campaignId: 2_147_483_647 })
        expect(await refusal(none[Symbol.asyncIterator]().next()))
          .toEqual({ code: Code.NotFound, message: "RECORD_NOT_FOUND" })
        for (const wrong of [{ afterSequence: -1n }, { issuedIntervalSeconds: 61 }]) {
          const refused = clients.next().watchCampaign({ campaignId, ...wrong })
          expect(await refusal(refused[Symbol.asyncIterator]().next())).toEqual({
            code: Code.InvalidArgument,
            message: expect.stringMatching(`^INVALID_ARGUMENT: ${Object.keys(wrong)[0]} `)
          })
        }
      })

      it("carries every failure", async () => {
        const client = () => clients.next()
        expect(await refusal(client().issueCoupon({ campaignId: 2_147_483_647, userId: 1n })))
          .toEqual({ code: Code.NotFound, message: "RECORD_NOT_FOUND" })
        expect(await refusal(client().getCampaign({ campaignId: 2_147_483_647 })))
          .toEqual({ code: Code.NotFound, message: "RECORD_NOT_FOUND" })
        const draft = { name: "c", couponLimit: 1n, startTime: OPEN }
        const { campaignId: early } = await client().createCampaign({ ...draft, startTime: "2099-01-01T00:00:00Z" })
        expect(await refusal(client().issueCoupon({ campaignId: early, userId: 1n })))
          .toEqual({ code: Code.FailedPrecondition, message: "CAMPAIGN_NOT_STARTED" })
        const { campaignId } = await client().createCampaign(draft)
        const { code, issuedAt, number } = await client().issueCoupon({ campaignId, userId: 1n })
        expect(await refusal(client().issueCoupon({ campaignId, userId: 2n })))
          .toEqual({ code: Code.FailedPrecondition, message: "COUPON_SOLD_OUT" })
        expect(await refusal(client().issueCoupon({ campaignId, userId: 1n }))).toEqual({
          code: Code.AlreadyExists,
          message: "COUPON_ALREADY_CLAIMED",
          coupon: create(CouponSchema, { campaignId, userId: 1n, code, issuedAt, number })
        })
        expect(await refusal(client().getCoupon({ campaignId, userId: 2n })))
          .toEqual({ code: Code.NotFound, message: "RECORD_NOT_FOUND" })
        expect(await refusal(client().issueCoupon({ campaignId, userId: 0n })))
          .toEqual({ code: Code.InvalidArgument, message: expect.stringMatching(/^INVALID_ARGUMENT: userId /) })
        expect(await refusal(client().createCampaign({ name: "", couponLimit: -5n, startTime: OPEN })))
          .toEqual({ code: Code.InvalidArgument, message: expect.stringMatching(/^INVALID_ARGUMENT: name /) })
        expect(await refusal(client().getCampaign({ campaignId, pageToken: "x".repeat(70_000) })))
          .toEqual({ code: Code.ResourceExhausted, message: expect.stringMatching(/^INVALID_ARGUMENT: body .*65536/) })
      })
    })

    it("takes a read by GET in binary too", async () => {
      const campaignId = await open()
      const request = create(GetCampaignRequestSchema, { campaignId })
      const message = Buffer.from(toBinary(GetCampaignRequestSchema, request)).toString("base64url")
      const reply = await http.request(`${path("GetCampaign")}?connect=v1&encoding=proto&base64=1&message=${message}`)
      expect([reply.status, reply.headers.get("content-type")]).toEqual([200, "application/proto"])
    })

    describe("coupons, read by those who operate", () => {
      const listOf = async (of: Record<string, unknown>) => {
        const numbers: Array<number> = []
        let pages = 0
        let pageToken = ""
        do {
          const reply = await http.post("ListCoupons", { ...of, pageToken })
          expect(reply.status, reply.text).toBe(200)
          const page = reply.json() as { readonly coupons: ReadonlyArray<{ number: number }>; nextPageToken: string }
          numbers.push(...page.coupons.map(({ number }) => number))
          pageToken = page.nextPageToken
          pages++
        } while (pageToken !== "")
        return { numbers, pages }
      }
      const upTo = (count: number) => Array.from({ length: count }, (_, k) => k + 1)

      it("lists those of a campaign, in both directions and of any time", async () => {
        const campaignId = await open()
        expect(await listOf({ campaignId })).toEqual({ numbers: [], pages: 1 })
        const issued: Array<Record<string, unknown>> = []
        for (const user of upTo(7)) issued.push((await issue(campaignId, user)).json())
        expect((await http.post("ListCoupons", { campaignId, pageSize: 2, descending: true })).json()).toEqual({
          coupons: [7, 6].map((number) => ({
            campaignId,
            userId: String(number),
            code: issued[number - 1]!["code"],
            issuedAt: issued[number - 1]!["issuedAt"],
            number,
            state: "COUPON_STATE_ISSUED"
          })),
          nextPageToken: expect.stringMatching(/./)
        })
        expect(await listOf({ campaignId })).toEqual({ numbers: upTo(7), pages: 1 })
        expect(await listOf({ campaignId, pageSize: 3 })).toEqual({ numbers: upTo(7), pages: 3 })
        expect(await listOf({ campaignId, pageSize: 7, descending: true }))
          .toEqual({ numbers: upTo(7).toReversed(), pages: 1 })
        expect(await listOf({ campaignId, pageSize: 2, descending: true }))
          .toEqual({ numbers: upTo(7).toReversed(), pages: 4 })
        expect(await listOf({ campaignId, userId: 3 })).toEqual({ numbers: [3], pages: 1 })
        expect(await listOf({ campaignId, userId: 99 })).toEqual({ numbers: [], pages: 1 })
        const times = issued.map(({ issuedAt }) => String(issuedAt))
        const [from, before] = [times[2]!, times[5]!]
        const within = times.flatMap((time, k) =>
          Date.parse(time) >= Date.parse(from) && Date.parse(time) < Date.parse(before) ? [k + 1] : [])
        const window = { campaignId, issuedFrom: from, issuedBefore: before, pageSize: 1 }
        if (Date.parse(from) < Date.parse(before)) {
          expect((await listOf(window)).numbers).toEqual(within)
          expect((await listOf({ ...window, descending: true })).numbers).toEqual(within.toReversed())
        }
        expect((await listOf({ campaignId, issuedFrom: "2099-01-01T00:00:00Z" })).numbers).toEqual([])
        const unknown = await http.post("ListCoupons", { campaignId: 2_147_483_647 })
        expect(unknown.json()["message"]).toBe("RECORD_NOT_FOUND")
        const { nextPageToken } = (await http.post("ListCoupons", { campaignId, pageSize: 1 })).json()
        const others = [{ campaignId: campaignId - 1 }, { descending: true }, { userId: 1 }, { issuedFrom: OPEN }, {
          states: ["COUPON_STATE_ISSUED"]
        }]
        for (const other of others) {
          const reply = await http.post("ListCoupons", { campaignId, ...other, pageToken: nextPageToken })
          expect(reply.json()["message"]).toMatch(/^INVALID_ARGUMENT: pageToken /)
        }
        expect((await http.get("ListCoupons", { campaignId, pageSize: 3 })).status).toBe(200)
      })

      it("lists those of a user, in all campaigns", async () => {
        const userId = String(10n ** 12n + BigInt(Math.floor(Math.random() * 1e12)))
        const made = [await open(), await open(), await open(), await open()]
        for (const k of [0, 1, 3]) await issue(made[k]!, userId)
        const campaignsOf = async (of: Record<string, unknown>) => {
          const found: Array<number> = []
          let pageToken = ""
          do {
            const page = (await http.post("ListCoupons", { userId, ...of, pageToken })).json()
            found.push(...(page["coupons"] as ReadonlyArray<{ campaignId: number }>).map((one) => one.campaignId))
            pageToken = page["nextPageToken"] as string
          } while (pageToken !== "")
          return found.map((id) => made.indexOf(id))
        }
        expect(await campaignsOf({})).toEqual([0, 1, 3])
        expect(await campaignsOf({ descending: true })).toEqual([3, 1, 0])
        expect(await campaignsOf({ pageSize: 1 })).toEqual([0, 1, 3])
        expect(await campaignsOf({ pageSize: 2, descending: true })).toEqual([3, 1, 0])
        expect(await campaignsOf({ issuedBefore: "2020-01-01T00:00:00Z" })).toEqual([])
      })

      it("finds one by its code, however that is composed", async () => {
        const campaignId = await open()
        const { code } = (await issue(campaignId, 5)).json() as { readonly code: string }
        const found = (await http.post("GetCoupon", { campaignId, userId: 5 })).json()
        for (const form of [code, code.normalize("NFD"), ` ${code}\n`]) {
          expect((await http.post("FindCoupon", { campaignId, code: form })).json()).toEqual(found)
        }
        // Separators and white space are no part of a code.
        const spaced = Array.from(code).join(" - ")
        expect((await http.post("FindCoupon", { campaignId, code: spaced })).json()).toEqual(found)
        const others = [{ campaignId, code: "0" }, { campaignId: campaignId - 1, code }, {
          campaignId: 2_147_483_647,
          code
        }]
        for (const other of others) {
          const reply = await http.post("FindCoupon", other)
          expect([reply.status, reply.json()["message"]]).toEqual([404, "RECORD_NOT_FOUND"])
        }
      })
    })

    if (durable) it("keeps everything across a restart", async () => {
      const campaignId = await open({ name: "다시", couponLimit: 3 })
      const coupons = await Promise.all([1, 2, 3].map((user) => issue(campaignId, user)))
      const codes = coupons.map((reply) => reply.json()["code"])
      const before = (await http.post("GetCampaign", { campaignId })).json()
      await subject.restart()
      connect()
      const after = (await http.post("GetCampaign", { campaignId })).json()
      expect(after).toEqual({ ...before, serverTime: isTime })
      for (const [k, code] of codes.entries()) {
        expect((await http.post("GetCoupon", { campaignId, userId: k + 1 })).json()).toMatchObject({ coupon: { code } })
        expect((await issue(campaignId, k + 1)).json()["message"]).toBe("COUPON_ALREADY_CLAIMED")
      }
      expect((await issue(campaignId, 4)).json()["message"]).toBe("COUPON_SOLD_OUT")
      expect(await open()).toBeGreaterThan(campaignId)
    })
  })
}
