import { describe, expect, it } from "vitest"
import type { Http, HttpReply } from "./clients.ts"

/** What the suite lends: plain HTTP to the instances in turn. */
export interface Lent {
  readonly http: () => Http
  readonly open: (fields?: Record<string, unknown>) => Promise<number>
  readonly issue: (campaignId: number, userId: number | string) => Promise<HttpReply>
}

const OPEN = "2025-06-25T00:00:00Z"
const LATER = "2099-01-01T00:00:00Z"
const isTime = expect.stringMatching(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?Z$/)

/** Changing campaigns, and listing them. */
export const lifecycle = ({ http, issue, open }: Lent): void => {
  const call = (method: string, body: Record<string, unknown>) => http().post(`${method}Campaign`, body)

  /** A change that must be made; the campaign as it is then. */
  const made = async (method: string, body: Record<string, unknown>) => {
    const reply = await call(method, body)
    expect(reply.status, `${method} ${JSON.stringify(body)}: ${reply.text}`).toBe(200)
    return reply.json()["campaign"] as Record<string, unknown>
  }
  const refused = async (method: string, body: Record<string, unknown>) => {
    const reply = await call(method, body)
    return [reply.status, reply.json()["message"]]
  }
  const answer = async (campaignId: number, userId: number) => (await issue(campaignId, userId)).json()["message"]
  const read = async (campaignId: number) => (await http().post("GetCampaign", { campaignId })).json()

  describe("changing a campaign", () => {
    it("updates what is given, leaves the rest, and counts versions", async () => {
      const campaignId = await open({ name: "봄", couponLimit: 5, endTime: LATER })
      expect(await made("Update", { campaignId, name: "여름" })).toEqual({
        id: campaignId,
        name: "여름",
        couponLimit: "5",
        currentCoupon: "0",
        startTime: OPEN,
        endTime: LATER,
        createdAt: isTime,
        updatedAt: isTime,
        status: "CAMPAIGN_STATUS_ACTIVE",
        version: "2",
        phase: "CAMPAIGN_PHASE_OPEN",
        openedAt: isTime,
        soldOutAt: "",
        codeSource: "CODE_SOURCE_GENERATED",
        codeCount: "0",
        undoWindow: "PT24H",
        returned: "0"
      })
      expect(await made("Update", { campaignId, couponLimit: "7", startTime: "2025-06-26T09:00:00+09:00" }))
        .toMatchObject({
          name: "여름",
          couponLimit: "7",
          startTime: "2025-06-26T00:00:00Z",
          endTime: LATER,
          version: "3"
        })
      expect(await made("Update", { campaignId, endTime: "" })).toMatchObject({
        couponLimit: "7",
        endTime: "",
        version: "4"
      })
      // A change that is made already is none.
      expect(await made("Update", { campaignId, couponLimit: 7, name: "여름" })).toMatchObject({ version: "4" })
      expect(await read(campaignId)).toMatchObject({ name: "여름", couponLimit: "7", endTime: "", version: "4" })
    })

    it("refuses what breaks a rule, and changes nothing", async () => {
      const campaignId = await open({ couponLimit: 5, endTime: LATER })
      for (const user of [1, 2, 3]) expect(await answer(campaignId, user)).toBe("OK")
      const bad: ReadonlyArray<readonly [Record<string, unknown>, string]> = [
        [{ name: "" }, "name"],
        [{ name: "이".repeat(101) }, "name"],
        [{ couponLimit: 0 }, "couponLimit"],
        [{ couponLimit: 10_000_001 }, "couponLimit"],
        [{ couponLimit: 2 }, "couponLimit must not be below the 3 coupons"],
        [{ startTime: "" }, "startTime"],
        [{ startTime: "soon" }, "startTime"],
        [{ startTime: LATER }, "endTime must be later"],
        [{ endTime: OPEN }, "endTime"],
        [{ endTime: "2025-06-26T00:00:00Z" }, "endTime has passed already"],
        [{ expectedVersion: -1 }, "expectedVersion"],
        [{ limit: 500 }, "limit is not a field of this call: did you mean couponLimit?"],
        [
          { status: "CAMPAIGN_STATUS_ENDED" },
          "status is not a field of this call: it takes campaignId, expectedVersion, "
        ],
        [{ limit: null }, "limit is not a field"],
        [{ campaignId: 0 }, "campaignId"]
      ]
      for (const [fields, says] of bad) {
        const [status, message] = await refused("Update", { campaignId, name: "x", ...fields })
        expect([status, message], JSON.stringify(fields)).toEqual([
          400,
          expect.stringMatching(`^INVALID_ARGUMENT: ${says}`)
        ])
      }
      expect(await read(campaignId)).toMatchObject({ name: "campaign", couponLimit: "5", version: "1" })
      expect(await refused("Update", { campaignId, limit: 500 })).toEqual([
        400,
        expect.stringMatching(/^INVALID_ARGUMENT: limit /)
      ])
      for (const fields of [{}, { couponLimit: null }, { expectedVersion: 1 }, { allowPastEnd: true }]) {
        expect(await refused("Update", { campaignId, ...fields }), JSON.stringify(fields))
          .toEqual([
            400,
            expect.stringMatching(/^INVALID_ARGUMENT: body must set one of name, couponLimit, startTime, .*undoWindow$/)
          ])
      }
      for (const method of ["Pause", "Resume", "End"]) {
        expect(await refused(method, { campaignId, expectedVerison: 7 }))
          .toEqual([
            400,
            "INVALID_ARGUMENT: expectedVerison is not a field of this call: did you mean expectedVersion?"
          ])
      }
      expect(await read(campaignId)).toMatchObject({ name: "campaign", couponLimit: "5", version: "1" })
      expect(await refused("Update", { campaignId: 2_147_483_647, name: "x" })).toEqual([404, "RECORD_NOT_FOUND"])
      for (const method of ["Pause", "Resume", "End"]) {
        expect(await refused(method, { campaignId: 2_147_483_647 })).toEqual([404, "RECORD_NOT_FOUND"])
      }
    })

    it("changes only the version that is expected, if one is", async () => {
      const campaignId = await open()
      expect(await made("Update", { campaignId, expectedVersion: "1", name: "a" })).toMatchObject({ version: "2" })
      for (const method of ["Update", "Pause", "Resume", "End"]) {
        for (const expectedVersion of ["1", "3"]) {
          const reply = await call(method, { campaignId, expectedVersion, ...method === "Update" ? { name: "b" } : {} })
          expect([reply.status, reply.json()]).toEqual([409, { code: "aborted", message: "CONFLICT" }])
        }
      }
      expect(await made("Pause", { campaignId, expectedVersion: 2 })).toMatchObject({ name: "a", version: "3" })
      expect(await made("Pause", { campaignId, expectedVersion: 0 })).toMatchObject({ version: "3" })
    })

    it("lets one of many win that expect the same version", async () => {
      const campaignId = await open()
      const replies = await Promise.all(
        Array.from({ length: 8 }, (_, k) => call("Update", { campaignId, expectedVersion: 1, couponLimit: 200 + k }))
      )
      expect(replies.map(({ status }) => status).sort()).toEqual([200, ...Array.from({ length: 7 }, () => 409)])
      const winner = replies.find(({ status }) => status === 200)!.json()["campaign"] as Record<string, unknown>
      expect(await read(campaignId)).toMatchObject({ couponLimit: winner["couponLimit"], version: "2" })
    })

    it("makes every one of many changes that expect no version", async () => {
      const campaignId = await open()
      await Promise.all(Array.from({ length: 6 }, (_, k) => made("Update", { campaignId, name: `name ${k}` })))
      expect(await read(campaignId)).toMatchObject({ version: "7" })
    })

    it("pauses, resumes and ends, through whichever instance it is asked", async () => {
      const campaignId = await open()
      expect(await answer(campaignId, 1)).toBe("OK")
      expect(await made("Resume", { campaignId })).toMatchObject({ version: "1" })
      expect(await made("Pause", { campaignId })).toMatchObject({
        status: "CAMPAIGN_STATUS_PAUSED",
        version: "2",
        currentCoupon: "1"
      })
      for (let k = 0; k < 4; k++) {
        const reply = await issue(campaignId, 10 + k)
        expect([reply.status, reply.json()]).toEqual([400, { code: "failed_precondition", message: "CAMPAIGN_PAUSED" }])
        expect(await answer(campaignId, 1)).toBe("COUPON_ALREADY_CLAIMED")
      }
      expect(await made("Pause", { campaignId })).toMatchObject({ version: "2" })
      expect(await made("Resume", { campaignId })).toMatchObject({ status: "CAMPAIGN_STATUS_ACTIVE", version: "3" })
      for (let k = 0; k < 4; k++) expect(await answer(campaignId, 20 + k)).toBe("OK")
      expect(await made("End", { campaignId })).toMatchObject({ status: "CAMPAIGN_STATUS_ENDED", version: "4" })
      for (let k = 0; k < 4; k++) {
        expect(await answer(campaignId, 30 + k)).toBe("CAMPAIGN_ENDED")
        expect(await answer(campaignId, 1)).toBe("COUPON_ALREADY_CLAIMED")
      }
      expect(await made("End", { campaignId })).toMatchObject({ version: "4" })
      for (const method of ["Update", "Pause", "Resume"]) {
        expect(await refused(method, { campaignId, ...method === "Update" ? { name: "again" } : {} })).toEqual([
          400,
          "CAMPAIGN_ENDED"
        ])
      }
    })

    it.each(["Pause", "End"])("issues nothing more once %s is answered, whatever is under way", async (method) => {
      const campaignId = await open({ couponLimit: 1_000_000 })
      let stop = false
      let user = 0
      let answered = Infinity
      let late = 0
      const worker = async () => {
        while (!stop) {
          const askedAt = performance.now()
          const reply = await issue(campaignId, ++user)
          if (reply.status === 200 && askedAt > answered) late++
        }
      }
      const workers = Array.from({ length: 24 }, worker)
      await expect.poll(async () => Number((await read(campaignId))["currentCoupon"])).toBeGreaterThan(100)
      const changed = await made(method, { campaignId })
      answered = performance.now()
      const then = (await read(campaignId))["currentCoupon"]
      const seen = user
      await expect.poll(() => user).toBeGreaterThan(seen + 100)
      stop = true
      await Promise.all(workers)
      expect([late, (await read(campaignId))["currentCoupon"]]).toEqual([0, then])
      expect(changed["currentCoupon"]).toBe(then)
    })

    it("hands out what a raise adds at once, through every instance, and to no user twice", async () => {
      const campaignId = await open({ couponLimit: 3 })
      for (const user of [1, 2, 3]) expect(await answer(campaignId, user)).toBe("OK")
      // Every instance knows and has answered that it is sold out.
      for (let user = 4; user < 12; user++) expect(await answer(campaignId, user)).toBe("COUPON_SOLD_OUT")
      let next = 12
      for (let round = 1; round <= 4; round++) {
        await made("Update", { campaignId, couponLimit: 3 + round * 3 })
        for (let k = 0; k < 3; k++) expect(await answer(campaignId, next++), `round ${round}`).toBe("OK")
        for (let k = 0; k < 3; k++) expect(await answer(campaignId, next + k)).toBe("COUPON_SOLD_OUT")
        for (const user of [1, 2, 3]) expect(await answer(campaignId, user)).toBe("COUPON_ALREADY_CLAIMED")
      }
      expect(await read(campaignId)).toMatchObject({ couponLimit: "15", currentCoupon: "15", version: "5" })
    })

    it("lowers a limit down to what is issued, and no further, while claims come in", async () => {
      const campaignId = await open({ couponLimit: 100_000 })
      let stop = false
      let user = 0
      const workers = Array.from({ length: 8 }, async () => {
        while (!stop) await issue(campaignId, ++user)
      })
      await expect.poll(() => user).toBeGreaterThan(50)
      let limit = Number((await read(campaignId))["currentCoupon"]) + 20
      const reply = await call("Update", { campaignId, couponLimit: limit })
      // They may have been faster; then the refusal says how many there are.
      if (reply.status !== 200) {
        expect([reply.status, reply.json()["message"]]).toEqual([
          400,
          expect.stringMatching(/^INVALID_ARGUMENT: couponLimit must not be below/)
        ])
        await made("Pause", { campaignId })
        limit = Number((await read(campaignId))["currentCoupon"])
        await made("Update", { campaignId, couponLimit: limit })
        await made("Resume", { campaignId })
      }
      await expect.poll(() => answer(campaignId, 1_000_000 + user)).toBe("COUPON_SOLD_OUT")
      stop = true
      await Promise.all(workers)
      expect(await read(campaignId)).toMatchObject({ couponLimit: String(limit), currentCoupon: String(limit) })
      expect(await refused("Update", { campaignId, couponLimit: limit - 1 })).toEqual([
        400,
        expect.stringMatching(/^INVALID_ARGUMENT: couponLimit /)
      ])
    })

    it("moves the window, also when coupons are issued: not started comes before already claimed", async () => {
      const campaignId = await open({ endTime: LATER })
      expect(await answer(campaignId, 1)).toBe("OK")
      for (let k = 0; k < 4; k++) expect(await answer(campaignId, 1)).toBe("COUPON_ALREADY_CLAIMED")
      await made("Update", { campaignId, startTime: "2098-01-01T00:00:00Z" })
      expect(await answer(campaignId, 2)).toBe("CAMPAIGN_NOT_STARTED")
      // An instance that knows the coupon learns of the later start within a second.
      for (let k = 0; k < 4; k++) {
        await expect.poll(() => answer(campaignId, 1), { interval: 50 }).toBe("CAMPAIGN_NOT_STARTED")
      }
      await made("Update", { campaignId, startTime: OPEN })
      expect(await answer(campaignId, 3)).toBe("OK")
      for (let k = 0; k < 4; k++) {
        await expect.poll(() => answer(campaignId, 1), { interval: 50 }).toBe("COUPON_ALREADY_CLAIMED")
      }
      const over = { campaignId, endTime: "2025-06-26T00:00:00Z" }
      expect(await refused("Update", over)).toEqual([
        400,
        expect.stringMatching(/^INVALID_ARGUMENT: endTime has passed already/)
      ])
      await made("Update", { ...over, allowPastEnd: true })
      // Said again, it is what it is already; another change of a campaign that is over does not move its end.
      await made("Update", over)
      await made("Update", { campaignId, name: "over" })
      expect(await answer(campaignId, 4)).toBe("CAMPAIGN_ENDED")
      expect(await answer(campaignId, 1)).toBe("COUPON_ALREADY_CLAIMED")
      // A campaign that only ran out may go on; one that an operator ended may not.
      await made("Update", { campaignId, endTime: "" })
      expect(await answer(campaignId, 5)).toBe("OK")
    })

    it("opens a campaign early", async () => {
      const campaignId = await open({ startTime: LATER })
      for (let k = 1; k <= 4; k++) expect(await answer(campaignId, k)).toBe("CAMPAIGN_NOT_STARTED")
      await made("Update", { campaignId, startTime: OPEN })
      for (let k = 1; k <= 4; k++) expect(await answer(campaignId, k)).toBe("OK")
    })
  })

  describe("the phase of a campaign", () => {
    const shown = (
      { openedAt, phase, soldOutAt, status }: Record<string, unknown>
    ) => [phase, status, openedAt, soldOutAt]
    const now = async (campaignId: number) => shown(await read(campaignId))
    const [ACTIVE, PAUSED, ENDED] = ["CAMPAIGN_STATUS_ACTIVE", "CAMPAIGN_STATUS_PAUSED", "CAMPAIGN_STATUS_ENDED"]

    it("is what users meet, through every change, and the status what it was set to", async () => {
      const campaignId = await open({ couponLimit: 1, startTime: LATER })
      expect(await now(campaignId)).toEqual(["CAMPAIGN_PHASE_SCHEDULED", ACTIVE, "", ""])
      const opened = await made("Update", { campaignId, startTime: OPEN })
      const { openedAt } = opened
      expect([openedAt, shown(opened)]).toEqual([opened["updatedAt"], ["CAMPAIGN_PHASE_OPEN", ACTIVE, isTime, ""]])
      const soldOutAt = (await issue(campaignId, 1)).json()["issuedAt"]
      expect(await now(campaignId)).toEqual(["CAMPAIGN_PHASE_SOLD_OUT", ACTIVE, openedAt, soldOutAt])
      expect(shown(await made("Update", { campaignId, couponLimit: 2 }))).toEqual([
        "CAMPAIGN_PHASE_OPEN", ACTIVE, openedAt, ""
      ])
      const again = (await issue(campaignId, 2)).json()["issuedAt"]
      expect(shown(await made("Update", { campaignId, name: "renamed" }))).toEqual([
        "CAMPAIGN_PHASE_SOLD_OUT", ACTIVE, openedAt, again
      ])
      expect(shown(await made("Pause", { campaignId }))).toEqual(["CAMPAIGN_PHASE_PAUSED", PAUSED, openedAt, again])
      expect(shown(await made("Resume", { campaignId }))).toEqual(["CAMPAIGN_PHASE_SOLD_OUT", ACTIVE, openedAt, again])
      const over = { campaignId, endTime: "2025-06-26T00:00:00Z", allowPastEnd: true }
      expect(shown(await made("Update", over))).toEqual(["CAMPAIGN_PHASE_ENDED", ACTIVE, openedAt, again])
      expect(shown(await made("Update", { campaignId, endTime: "" }))).toEqual([
        "CAMPAIGN_PHASE_SOLD_OUT", ACTIVE, openedAt, again
      ])
      expect(shown(await made("End", { campaignId }))).toEqual(["CAMPAIGN_PHASE_ENDED", ENDED, openedAt, again])
    })

    it("follows the clock, without a request that would make it", async () => {
      const startTime = new Date(Date.now() + 500).toISOString()
      const campaignId = await open({ startTime })
      await expect.poll(() => now(campaignId)).toEqual([
        "CAMPAIGN_PHASE_OPEN", ACTIVE, startTime.replace(".000Z", "Z"), ""
      ])
      const endTime = new Date(Date.now() + 500).toISOString()
      await made("Update", { campaignId, endTime })
      await expect.poll(async () => (await now(campaignId))[0]).toBe("CAMPAIGN_PHASE_ENDED")
    })

    it("is what lists are filtered by", async () => {
      const prefix = `phases ${Math.random().toString(36)} `
      const ids = {
        over: await open({ name: `${prefix}over`, endTime: "2025-06-26T00:00:00Z", allowPastEnd: true }),
        paused: await open({ name: `${prefix}paused`, startTime: LATER }),
        scheduled: await open({ name: `${prefix}scheduled`, startTime: LATER }),
        soldOut: await open({ name: `${prefix}sold out`, couponLimit: 1 }),
        open: await open({ name: `${prefix}open` })
      }
      await made("Pause", { campaignId: ids.paused })
      expect(await answer(ids.soldOut, 1)).toBe("OK")
      const list = async (phases: ReadonlyArray<string>, more: Record<string, unknown> = {}) => {
        const body = { namePrefix: prefix, phases: phases.map((phase) => `CAMPAIGN_PHASE_${phase}`), ...more }
        const reply = await http().post("ListCampaigns", body)
        expect(reply.status, reply.text).toBe(200)
        return reply.json() as {
          readonly campaigns: ReadonlyArray<{ readonly id: number }>
          readonly nextPageToken: string
        }
      }
      const found = async (...phases: ReadonlyArray<string>) => (await list(phases)).campaigns.map(({ id }) => id)
      expect(await found("ENDED")).toEqual([ids.over])
      expect(await found("PAUSED")).toEqual([ids.paused])
      expect(await found("SCHEDULED")).toEqual([ids.scheduled])
      expect(await found("SOLD_OUT")).toEqual([ids.soldOut])
      expect(await found("OPEN")).toEqual([ids.open])
      expect(await found("OPEN", "SOLD_OUT", "SCHEDULED")).toEqual([ids.open, ids.soldOut, ids.scheduled])
      const { nextPageToken } = await list(["OPEN", "ENDED"], { pageSize: 1 })
      expect((await list(["ENDED", "OPEN"], { pageSize: 1, pageToken: nextPageToken })).campaigns.map(({ id }) => id))
        .toEqual([ids.over])
      const other = await http().post("ListCampaigns", {
        namePrefix: prefix,
        phases: ["CAMPAIGN_PHASE_OPEN"],
        pageToken: nextPageToken
      })
      expect([other.status, other.json()["message"]]).toEqual([
        400,
        expect.stringMatching(/^INVALID_ARGUMENT: pageToken /)
      ])
    })
  })

  describe("listing campaigns", () => {
    const pageOf = async (body: Record<string, unknown>) => {
      const reply = await http().post("ListCampaigns", body)
      expect(reply.status, reply.text).toBe(200)
      return reply.json() as {
        readonly campaigns: ReadonlyArray<Record<string, unknown>>
        readonly nextPageToken: string
      }
    }

    it("lists newest first, filtered by name and status, a page at a time", async () => {
      const prefix = `목록 100%_ ${Math.random().toString(36)} `
      const ids: Array<number> = []
      for (let k = 0; k < 5; k++) ids.push(await open({ name: `${prefix}${k}`, endTime: LATER }))
      await open({ name: prefix.trimEnd() })
      await open({ name: prefix.replace("%", "x") })
      await open({ name: `그 ${prefix}` })
      await made("Pause", { campaignId: ids[1] })
      await made("End", { campaignId: ids[3] })
      expect(await answer(ids[0]!, 1)).toBe("OK")

      const all = await pageOf({ namePrefix: prefix })
      expect(all.campaigns.map(({ id }) => id)).toEqual(ids.toReversed())
      expect(all.nextPageToken).toBe("")
      expect(all.campaigns.at(-1)).toEqual({
        id: ids[0],
        name: `${prefix}0`,
        couponLimit: "100",
        currentCoupon: "1",
        startTime: OPEN,
        endTime: LATER,
        createdAt: isTime,
        updatedAt: isTime,
        status: "CAMPAIGN_STATUS_ACTIVE",
        version: "1",
        phase: "CAMPAIGN_PHASE_OPEN",
        openedAt: isTime,
        soldOutAt: "",
        codeSource: "CODE_SOURCE_GENERATED",
        codeCount: "0",
        undoWindow: "PT24H",
        returned: "0"
      })
      const idsOf = async (status: string) =>
        (await pageOf({ namePrefix: prefix, status })).campaigns.map(({ id }) => id)
      expect(await idsOf("CAMPAIGN_STATUS_ACTIVE")).toEqual([ids[4], ids[2], ids[0]])
      expect(await idsOf("CAMPAIGN_STATUS_PAUSED")).toEqual([ids[1]])
      expect(await idsOf("CAMPAIGN_STATUS_ENDED")).toEqual([ids[3]])
      expect((await pageOf({ namePrefix: prefix.toUpperCase() })).campaigns).toEqual([])

      const pages: Array<ReadonlyArray<unknown>> = []
      let pageToken = ""
      do {
        const page = await pageOf({ namePrefix: prefix, pageSize: 2, pageToken })
        pages.push(page.campaigns.map(({ id }) => id))
        pageToken = page.nextPageToken
      } while (pageToken !== "")
      expect(pages).toEqual([[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]])
    })

    it("bounds its pages, by GET too, and refuses what is no page of it", async () => {
      const { nextPageToken } = await pageOf({ pageSize: 1 })
      expect(nextPageToken).not.toBe("")
      expect((await http().get("ListCampaigns", { pageSize: 1 })).json()["campaigns"]).toHaveLength(1)
      expect((await pageOf({ pageSize: 2_000_000_000 })).campaigns.length).toBeLessThanOrEqual(1_000)
      const bad: ReadonlyArray<readonly [Record<string, unknown>, string]> = [
        [{ pageSize: -1 }, "pageSize"],
        [{ pageToken: "nonsense" }, "pageToken"],
        [{ pageToken: nextPageToken, namePrefix: "other" }, "pageToken"],
        [{ pageToken: nextPageToken, status: "CAMPAIGN_STATUS_PAUSED" }, "pageToken"],
        [{ status: 9 }, "status"],
        [{ status: "ACTIVE" }, "status"]
      ]
      for (const [body, field] of bad) {
        const reply = await http().post("ListCampaigns", body)
        expect([reply.status, reply.json()["message"]], JSON.stringify(body)).toEqual([
          400,
          expect.stringMatching(`^INVALID_ARGUMENT: .*${field}`)
        ])
      }
    })
  })
}
