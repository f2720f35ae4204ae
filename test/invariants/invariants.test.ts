import * as Fs from "node:fs"
import * as Path from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"
import { changeViolations, type Change } from "./Changes.ts"
import { expiryViolations } from "./Expiries.ts"
import type { Attempt } from "./History.ts"
import {
  checkInvariants,
  historyViolations,
  lagViolations,
  ledgerViolations,
  logRestViolations,
  logViolations,
  restViolations,
  subsetViolations
} from "./invariants.ts"
import type { GateView, LedgerView, LogView } from "./Snapshot.ts"

const coupon = (id: number, userId: number, code = `code${userId}`) => ({ id, userId: String(userId), code })

const event = (sequence: number, type: string, more: Partial<LogView["events"][number]> = {}) =>
  ({ sequence, type, firstId: 0, lastId: 0, version: undefined, isChange: false, ...more })

const log = (over: Partial<LogView> = {}): LogView => ({
  events: [
    event(1, "campaign.created", { version: 1, isChange: true }),
    event(2, "coupon.issued", { firstId: 1, lastId: 1 }),
    event(3, "campaign.updated", { version: 2, isChange: true }),
    event(4, "coupon.issued", { firstId: 2, lastId: 2 })
  ],
  sequence: 4,
  version: 2,
  disordered: 0,
  ...over
})

const ledger = (over: Partial<LedgerView> = {}): LedgerView => ({
  campaignId: 1,
  limit: 2,
  counter: 2,
  coupons: [coupon(1, 10), coupon(2, 20)],
  log: log(),
  unsettled: 0,
  unsettledUsers: new Set(),
  ...over
})

const gate = (over: Partial<GateView> = {}): GateView => ({
  hydrated: true,
  issued: new Set(["10", "20"]),
  pending: [],
  events: [{ userId: "10", code: "code10" }, { userId: "20", code: "code20" }],
  ...over
})

const received = (userId: number, outcome: string, askedAt: number, code?: string): Attempt => ({
  askedAt,
  answeredAt: askedAt + 5,
  campaignId: 1,
  userId: String(userId),
  instance: "http://one",
  outcome,
  ...code === undefined ? {} : { code }
})

const right = [
  received(10, "OK", 0, "code10"),
  received(20, "NO_ANSWER", 0),
  received(20, "COUPON_ALREADY_CLAIMED", 10, "code20"),
  received(30, "UNAVAILABLE", 0),
  received(30, "COUPON_SOLD_OUT", 20)
]

type Entry = LogView["events"][number]

/** The names of the invariants that a list of violations is about. */
const names = (violations: ReadonlyArray<string>) => violations.map((text) => text.split(" ")[0])

describe("invariants", () => {
  it("see a log of events that lacks something, has it twice, or in another order", () => {
    const without = (sequence: number) => log().events.filter((event) => event.sequence !== sequence)
    const [created, first, updated, second] = log().events as [Entry, Entry, Entry, Entry]
    const of = (events: ReadonlyArray<Entry>, more: Partial<LogView> = {}) =>
      names(logViolations(ledger({ log: log({ events, ...more }) })))
    expect(of(log().events)).toEqual([])
    expect(logViolations(ledger({ log: undefined }))).toEqual([])
    expect(of(without(3))).toEqual(["E2", "E2"])
    expect(of([created, { ...first, lastId: 2 }, updated, second])).toEqual(["E1"])
    expect(of([created, first, updated, { ...second, firstId: 3, lastId: 3 }])).toEqual(["E1", "E1"])
    expect(of([created, first, { ...updated, version: 3 }, second])).toEqual(["E2"])
    expect(of(log().events, { sequence: 5 })).toEqual(["E2"])
    expect(of(log().events, { disordered: 1 })).toEqual(["E2"])
    const rest = (more: Partial<LogView>) => names(logRestViolations(ledger({ log: log(more) })))
    expect(rest({})).toEqual([])
    expect(rest({ events: without(4), sequence: 3 })).toEqual(["E1"])
    expect(rest({ version: 3 })).toEqual(["E2"])
  })

  it("say nothing about a run in which all is well", () => {
    expect(ledgerViolations(ledger())).toEqual([])
    expect(historyViolations(ledger(), right)).toEqual([])
    expect(subsetViolations(gate(), ledger())).toEqual([])
    expect(lagViolations(gate(), ledger())).toEqual([])
    expect(restViolations(gate(), ledger())).toEqual([])
    expect(restViolations(undefined, ledger())).toEqual([])
  })

  it.each<[string, Partial<LedgerView>, ReadonlyArray<string>]>([
    ["one coupon too many", { limit: 1 }, ["I1"]],
    ["a counter that drifted", { counter: 3 }, ["I2"]],
    ["a number left out", { coupons: [coupon(1, 10), coupon(3, 20)] }, ["I2"]],
    ["two coupons of a user", { coupons: [coupon(1, 10), coupon(2, 10, "other")] }, ["I3"]],
    ["a code given twice", { coupons: [coupon(1, 10, "same"), coupon(2, 20, "same")] }, ["I3"]]
  ])("find %s in the ledger", (_, broken, expected) => {
    expect(names(ledgerViolations(ledger(broken)))).toEqual(expected)
  })

  it.each<[string, ReadonlyArray<Attempt>, ReadonlyArray<string>]>([
    ["an OK without a coupon", [...right.slice(0, 4), received(40, "OK", 0, "code40")], ["I4"]],
    ["an OK with another code", [...right.slice(1), received(10, "OK", 0, "wrong")], ["I4"]],
    ["an OK without a code", [...right.slice(1), received(10, "OK", 0)], ["I4"]],
    ["a second OK", [...right, received(10, "OK", 2, "code10")], ["I5"]],
    ["a claimed coupon that is not there", [...right, received(30, "COUPON_ALREADY_CLAIMED", 30, "code30")], ["I5"]],
    ["a claimed coupon without its code", [...right, received(10, "COUPON_ALREADY_CLAIMED", 30)], ["I5"]],
    ["a coupon after a failure", [right[0]!, received(20, "UNAVAILABLE", 0), received(20, "OVERLOADED", 1)], ["I6"]],
    ["a coupon that no client claimed", [right[0]!], ["I6"]],
    ["an OK after sold out", [received(10, "OK", 100, "code10"), ...right.slice(1)], ["I8"]],
    ["a holder who received sold out", [...right, received(10, "COUPON_SOLD_OUT", 30)], ["I8b"]],
    ["an answer that no contract knows", [...right, received(50, "INTERNAL_SERVER_ERROR", 30)], ["contract"]]
  ])("find %s in the history", (_, history, expected) => {
    expect(names(historyViolations(ledger(), history))).toEqual(expected)
  })

  it("find a sold out that was not true", () => {
    expect(names(historyViolations(ledger({ limit: 3 }), right))).toEqual(["I8"])
  })

  it("tell campaigns apart", () => {
    expect(historyViolations(ledger(), [...right, { ...received(10, "COUPON_SOLD_OUT", 30), campaignId: 2 }])).toEqual(
      []
    )
  })

  it("find what is wrong with a gate", () => {
    expect(names(subsetViolations(gate({ issued: new Set(["10", "20", "30"]) }), ledger()))).toEqual(["G1"])
    const behind = gate({ issued: new Set(["10"]) })
    expect(names(lagViolations(behind, ledger()))).toEqual(["G2"])
    expect(lagViolations(behind, ledger({ unsettledUsers: new Set(["20"]) }))).toEqual([])
    expect(lagViolations({ ...behind, hydrated: false }, ledger())).toEqual([])
  })

  it("find what does not come to rest", () => {
    expect(names(restViolations(undefined, ledger({ unsettled: 1 })))).toEqual(["I9"])
    expect(names(restViolations(gate({ issued: new Set(["10"]) }), ledger()))).toEqual(["I9"])
    expect(names(restViolations(gate({ pending: ["30"] }), ledger()))).toEqual(["I9"])
    const one = gate({ events: [{ userId: "10", code: "code10" }] })
    expect(names(restViolations(one, ledger()))).toEqual(["I10"])
    expect(restViolations(one, ledger(), "off")).toEqual([])
    expect(names(restViolations(gate(), ledger(), "off"))).toEqual(["I10"])
    expect(names(restViolations(gate({ events: [...gate().events, { userId: "10", code: "wrong" }] }), ledger())))
      .toEqual(["I10"])
  })
})

describe("a campaign that is changed", () => {
  const change = (kind: Change["kind"], askedAt: number, answeredAt: number, more: Partial<Change> = {}): Change => ({
    campaignId: 1,
    kind,
    askedAt,
    answeredAt,
    outcome: "OK",
    expectedVersion: askedAt,
    ...more
  })
  const asked = (userId: number, outcome: string, askedAt: number, answeredAt = askedAt + 1): Attempt => ({
    ...received(userId, outcome, 0, `code${userId}`),
    campaignId: 1,
    askedAt,
    answeredAt
  })
  const found = (
    attempts: ReadonlyArray<Attempt>,
    changes: ReadonlyArray<Change>,
    holders: ReadonlyArray<number> = []
  ) => names(changeViolations(1, new Set(holders.map(String)), attempts, changes))

  it("issues nothing between a pause's acknowledgement and the first attempt to resume it", () => {
    const changes = [
      change("pause", 10, 20),
      change("resume", 40, 50, { outcome: "NO_ANSWER" }),
      change("resume", 60, 70)
    ]
    expect(found([asked(1, "OK", 15, 25), asked(2, "OK", 25, 45), asked(3, "CAMPAIGN_PAUSED", 25)], changes)).toEqual(
      []
    )
    expect(found([asked(1, "OK", 21, 30)], changes)).toEqual(["pause"])
    expect(found([asked(1, "OK", 21, 30)], [change("pause", 10, 20, { outcome: "OUTCOME_UNKNOWN" })])).toEqual([])
  })

  it("issues after sold out only what a raise adds, which may be one whose reply was lost", () => {
    const attempts = [asked(1, "COUPON_SOLD_OUT", 10), asked(2, "OK", 50)]
    const pause = change("pause", 70, 71)
    expect(found(attempts, [pause])).toEqual(["I8"])
    expect(found(attempts, [change("raise", 5, 9, { couponLimit: 0 }), pause])).toEqual(["I8"])
    expect(found(attempts, [change("raise", 60, 61, { couponLimit: 2 })])).toEqual(["I8"])
    expect(found(attempts, [change("raise", 20, 30, { couponLimit: 2 })])).toEqual([])
    const lost = change("raise", 2, 3, { couponLimit: 2, outcome: "NO_ANSWER" })
    expect(found(attempts, [lost, pause])).toEqual([])
    expect(found(attempts, [lost, change("resume", 7, 8)])).toEqual(["I8"])
  })

  it("is not sold out while what a raise added is left, and never to a holder", () => {
    const raise = change("raise", 2, 5, { couponLimit: 2 })
    expect(found([asked(1, "OK", 0), asked(2, "OK", 1), asked(3, "COUPON_SOLD_OUT", 10)], [raise], [1, 2])).toEqual([])
    expect(found([asked(1, "OK", 0), asked(3, "COUPON_SOLD_OUT", 10)], [raise], [1])).toEqual(["I8"])
    expect(found([asked(1, "OK", 0), asked(3, "COUPON_SOLD_OUT", 4)], [raise], [1])).toEqual([])
    expect(found([asked(1, "OK", 0), asked(1, "COUPON_SOLD_OUT", 10)], [change("pause", 1, 2)], [1])).toEqual(["I8b"])
  })
})

describe("checkInvariants", () => {
  let dir: string
  beforeEach(() => {
    dir = temporaryDirectory("invariants")
    const database = new DatabaseSync(Path.join(dir, "coupon.db"))
    database.exec(Fs.readFileSync(new URL("../../migrations/libsql/0001_core.sql", import.meta.url), "utf8"))
    database.exec("INSERT INTO campaigns VALUES (1, 'c', 2, 2, 'ACTIVE', 0, NULL, 1, 0, 0)")
    database.exec("INSERT INTO coupons VALUES (1, 1, 10, 'code10', 0), (1, 2, 9223372036854775807, 'code20', 0)")
    database.close()
  })
  afterEach(() => removeDirectory(dir))

  const largest = "9223372036854775807"
  const history = [received(10, "OK", 0, "code10"), { ...received(20, "OK", 0, "code20"), userId: largest }]

  it("reads the stores, exactly", async () => {
    await checkInvariants({ dataDir: dir }, history)
  })

  it("throws a list of everything that is wrong", async () => {
    await expect(checkInvariants({ dataDir: dir }, [history[1]!, received(30, "OK", 0, "code30")])).rejects.toThrow(
      "invariants are violated:\n  I4 campaign 1: user 30 received OK with code code30, the ledger has nothing\n" +
        "  I6 campaign 1: users hold coupons that they never asked for: 10"
    )
  })

  it("refuses to be content with nothing", async () => {
    const database = new DatabaseSync(Path.join(dir, "coupon.db"))
    database.exec("DELETE FROM coupons; DELETE FROM campaigns")
    database.close()
    await expect(checkInvariants({ dataDir: dir }, [])).rejects.toThrow("no campaign")
  })
})

describe("expiries", () => {
  const issuedAt = Date.parse("2026-03-01T16:30:00Z")
  // In Seoul it is 01:30 of 2 March.
  it.each([
    ["{\"after\":\"PT2S\"}", issuedAt + 2_000],
    ["{\"after\":\"P30D\"}", Date.parse("2026-03-31T16:30:00Z")],
    ["{\"after\":\"P1D\",\"zone\":{\"name\":\"Asia/Seoul\"}}", Date.parse("2026-03-03T15:00:00Z")],
    ["{\"until\":1790000000000}", 1_790_000_000_000]
  ])("of %s are at their millisecond", (policy, expiry) => {
    const redeemed = (at: number, outcome: string) =>
      expiryViolations({
        ...ledger(),
        expiry: {
          validities: [{ firstId: 1, policy }],
          issuedAt: new Map([[1, issuedAt]]),
          requests: [{ requestId: "r", couponId: 1, outcome, at }]
        }
      })
    expect([...redeemed(expiry - 1, "DONE"), ...redeemed(expiry, "EXPIRED")]).toEqual([])
    expect(names([...redeemed(expiry, "DONE"), ...redeemed(expiry - 1, "EXPIRED")])).toEqual(["R6", "R6"])
  })
})
