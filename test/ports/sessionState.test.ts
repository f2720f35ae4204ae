import { it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as MySqlDriver from "mysql2/promise"
import { afterAll, beforeAll, describe, expect } from "vitest"
import { named } from "../../src/domain/Actor.ts"
import * as AppConfig from "../../src/config/AppConfig.ts"
import { changeBy } from "../../src/domain/ChangeRecord.ts"
import * as CouponCode from "../../src/domain/CouponCode.ts"
import { AuditLog } from "../../src/ports/AuditLog.ts"
import { Ledger, type ClaimVerdict } from "../../src/ports/Ledger.ts"
import { LedgerFacts } from "../../src/ports/LedgerFacts.ts"
import { Outbox, type OutboxEvent } from "../../src/ports/Outbox.ts"
import * as MySql from "../../src/sql/mysql/connection/MySql.ts"
import * as MySqlCampaignStore from "../../src/sql/mysql/MySqlCampaignStore.ts"
import * as MySqlLedger from "../../src/sql/mysql/MySqlLedger.ts"
import * as RecentBatches from "../../src/sql/mysql/RecentBatches.ts"
import * as MySqlAuditLog from "../../src/sql/mysql/admin/MySqlAuditLog.ts"
import * as MySqlLedgerFacts from "../../src/sql/mysql/admin/MySqlLedgerFacts.ts"
import * as MySqlOutbox from "../../src/sql/mysql/MySqlOutbox.ts"
import { isLongProfile } from "../support/profile.ts"
import { privateDatabases, startDatabase, type DatabaseServer } from "../support/servers.ts"
import { batchOf, campaigns, createCampaign, draft, tagsOf, users } from "./ledger.exercise.ts"
import { alone, together } from "./worstSessions.ts"

const layerOn = (url: string, more: Record<string, string> = {}) =>
  Layer.mergeAll(
    MySqlCampaignStore.layer,
    MySqlLedger.layer,
    MySqlAuditLog.layer,
    MySqlOutbox.layer,
    MySqlLedgerFacts.layer
  ).pipe(
    Layer.provide(RecentBatches.layer),
    Layer.provideMerge(MySql.layer),
    Layer.provideMerge(
      AppConfig.layerTest({ MYSQL_URL: url, REDIS_URL: "redis://127.0.0.1:1", MYSQL_POOL_SIZE: "3", ...more })
    )
  )

type Rows = ReadonlyArray<Record<string, unknown>>

const codesOf = (verdicts: ReadonlyArray<ClaimVerdict>) =>
  verdicts.map((verdict) =>
    verdict._tag === "Issued" ? [Number(verdict.coupon.userId), verdict.coupon.code] : [verdict._tag]
  )

for (const kind of privateDatabases()) {
  describe(`sessions on ${kind}`, () => {
    let server: DatabaseServer
    let root: MySqlDriver.Connection
    let url: string

    const ask = async (text: string): Promise<Rows> => (await root.query(text))[0] as Rows
    const initConnect = (text: string) => ask(`SET GLOBAL init_connect = '${text.replaceAll("'", "''")}'`)
    const asked = (text: string) => Effect.promise(() => ask(text))

    beforeAll(async () => {
      server = await startDatabase(kind)
      root = await MySqlDriver.createConnection({ uri: server.url, charset: "utf8mb4_bin" })
      await ask("CREATE USER plain@'%' IDENTIFIED BY 'plain'")
      await ask("GRANT ALL ON coupon.* TO plain@'%'")
      url = server.url.replace("coupon:coupon@", "plain:plain@")
      await Effect.runPromise(MySql.migrate(MySql.parseUrl(Redacted.make(url))))
    }, 240_000)
    afterAll(async () => {
      ;(root as MySqlDriver.Connection | undefined)?.destroy()
      await (server as DatabaseServer | undefined)?.stop()
    })

    /** What the ledger has, asked past everything that is tested. */
    const stored = async (campaignId: number) =>
      (await ask(`SELECT user_id, code FROM coupons WHERE campaign_id = ${campaignId} ORDER BY id`))
        .map((row) => [Number(row["user_id"]), row["code"]])

    /** Contract, change of campaign, doubt: each as the ledger's own reader sees it, and as the tables have it. */
    const exercise = Effect.gen(function*() {
      const ledger = yield* Ledger
      const outbox = yield* Outbox
      const audit = yield* AuditLog
      expect(
        (yield* Effect.flatMap(LedgerFacts, ({ session }) => session)).filter(({ required }) => required !== undefined)
      ).toEqual([])

      const now = Date.now()
      const name = "여름 '할인' \\ 🎁"
      const created = yield* createCampaign(draft({ name, couponLimit: 4, endTime: now + 3_600_000 }))
      const { campaignId } = created
      expect([created.name, created.endTime]).toEqual([name, now + 3_600_000])
      expect(Math.abs(created.createdAt - now)).toBeLessThan(600_000)
      expect(yield* asked(`SELECT name FROM campaigns WHERE id = ${campaignId}`)).toEqual([{ name }])

      // The usual commit, and the one that sorts out a holder.
      const first = yield* ledger.issue(batchOf(campaignId, [1, 2]))
      expect(tagsOf(first)).toEqual(["Issued", "Issued"])
      const second = yield* ledger.issue(batchOf(campaignId, [2, 3]))
      expect(tagsOf(second)).toEqual(["CouponAlreadyClaimed", "Issued"])
      const coupons = [...codesOf(first), codesOf(second)[1]]
      expect(yield* Effect.promise(() => stored(campaignId))).toEqual(coupons)
      expect((yield* ledger.listCoupons(campaignId, 0, 10)).map(({ code, userId }) => [Number(userId), code]))
        .toEqual(coupons)
      expect((yield* ledger.findCoupons(campaignId, users(1, 9))).map(({ code }) => code).toSorted()).toEqual(
        coupons.map((row) => row![1]).toSorted()
      )
      // A code that is taken: which key it violates is in the server's message.
      const taken = batchOf(campaignId, [4])
      const again = yield* ledger.issue({ ...taken, claims: [{ userId: 4n, code: coupons[0]![1] as string }] })
      expect(tagsOf(again)).toEqual(["Issued"])
      expect(tagsOf(yield* ledger.issue(batchOf(campaignId, [5])))).toEqual(["CouponSoldOut"])

      // A change, announced, made once, seen by the next claim.
      yield* campaigns.announceRaise(campaignId, 1, 7)
      expect(yield* asked(`SELECT announced_limit AS n FROM campaign_raises WHERE campaign_id = ${campaignId}`))
        .toEqual([{ n: 7 }])
      const from = (yield* campaigns.find(campaignId))!
      const change = {
        changeId: batchOf(campaignId, []).batchId,
        actor: named("test"),
        action: "campaign.update",
        from,
        to: { ...from, name: `${name}!`, couponLimit: 7 }
      }
      expect(yield* campaigns.change(change)).toMatchObject({
        _tag: "Changed",
        campaign: { name: `${name}!`, couponLimit: 7, version: 2 }
      })
      expect(yield* campaigns.change({ ...change, changeId: batchOf(campaignId, []).batchId })).toEqual({
        _tag: "Stale"
      })
      expect((yield* campaigns.resolveChange(change.changeId))?.name).toBe(`${name}!`)
      const listed = yield* campaigns.list({
        beforeId: undefined,
        limit: 1,
        status: "ACTIVE",
        namePrefix: name,
        phases: []
      })
      expect(listed.campaigns.map((found) => found.name)).toEqual([`${name}!`])

      // In doubt: its connection is gone while it waits for the campaign's row.
      yield* asked("START TRANSACTION")
      yield* asked(`SELECT id FROM campaigns WHERE id = ${campaignId} FOR UPDATE`)
      const batch = batchOf(campaignId, [6])
      const fiber = yield* Effect.fork(ledger.issue(batch))
      const victim = yield* asked(
        "SELECT id FROM information_schema.processlist " +
          "WHERE user = 'plain' AND info LIKE 'SELECT%FROM campaigns%FOR UPDATE%'"
      ).pipe(Effect.delay("10 millis"), Effect.repeat({ until: (rows) => rows.length === 1 }))
      yield* asked(`KILL CONNECTION ${victim[0]!["id"] ?? victim[0]!["ID"]}`)
      expect((yield* Effect.flip(Fiber.join(fiber)))._tag).toBe("CommitInDoubt")
      yield* asked("ROLLBACK")
      expect((yield* ledger.resolve(batch)).map(({ _tag }) => _tag)).toEqual(["NotIssued"])
      expect(yield* asked(`SELECT kind FROM outbox WHERE batch_id = x'${batch.batchId}'`)).toEqual([{ kind: "VOID" }])
      expect(Exit.isFailure(yield* Effect.exit(ledger.issue(batch)))).toBe(true)
      const committed = batchOf(campaignId, [7])
      const verdicts = yield* ledger.issue(committed)
      expect(yield* ledger.resolve(committed)).toEqual(verdicts)

      // Events, as they are published; their codes are read from the tables.
      const events: Array<OutboxEvent> = []
      const polled = yield* outbox.poll(1_000, (polled) => Effect.sync(() => {
        events.push(...polled)
        return polled.map(({ id }) => id)
      }))
      expect(polled.settled).toBe(polled.taken)
      expect(polled.taken).toBeGreaterThanOrEqual(5)
      const issued = yield* Effect.promise(() => stored(campaignId))
      expect(issued.map(([user]) => user)).toEqual([1, 2, 3, 4, 7])
      expect(JSON.stringify(events, (_, value) => typeof value === "bigint" ? Number(value) : value)).toContain(
        issued[4]![1]
      )
      expect(yield* outbox.backlog).toEqual({ events: 0, oldestAgeMillis: 0 })
      expect(yield* ledger.tally(campaignId)).toEqual({ issued: 5, unrelayed: 0, version: 2 })
      expect(yield* outbox.purgeVoid(3_600_000)).toBe(0)

      const act = { action: "key.create", outcome: "DONE" as const, campaignId, before: undefined, after: { name } }
      yield* audit.append({ ...changeBy(named("test")), ...act })
      const [newest] = yield* audit.list({ beforeId: undefined, limit: 1, campaignId })
      expect([newest!.action, newest!.after]).toEqual(["key.create", { name }])
      expect(Math.abs(newest!.at - now)).toBeLessThan(600_000)
    })
    const exerciseOn = (url: string) =>
      Effect.scoped(Effect.flatMap(Layer.build(layerOn(url)), (context) => Effect.provide(exercise, context)))

    const withWorst = <A, E>(text: string, effect: Effect.Effect<A, E>) =>
      Effect.acquireUseRelease(
        Effect.promise(() => initConnect(text)),
        () => effect,
        () => Effect.promise(() => initConnect(""))
      )

    for (const { ask: question, set, shown } of alone(kind)) {
      it.live(`hold what they have to after ${set}`, () =>
        withWorst(set, Effect.gen(function*() {
          if (question !== undefined) {
            const other = yield* Effect.promise(() => MySqlDriver.createConnection({ uri: url }))
            const sql = `SELECT ${question} AS found`
            const [rows] = yield* Effect.promise(() => other.query({ sql, rowsAsArray: false }))
            other.destroy()
            // No row at all: the worst there is.
            const found = (rows as Rows)[0]?.["found"]
            if (found !== undefined) expect(String(found)).toBe(shown)
          }
          yield* exerciseOn(url)
        })), 60_000)
    }

    it.live("hold what they have to after all of it, and migrate so", () =>
      withWorst(together(kind), Effect.gen(function*() {
        yield* asked("DROP DATABASE coupon")
        yield* asked("CREATE DATABASE coupon")
        yield* asked("USE coupon")
        yield* exerciseOn(url)
        const [engines] = yield* asked(
          "SELECT COUNT(DISTINCT engine) AS n FROM information_schema.tables WHERE table_schema = 'coupon'"
        )
        expect(Number(engines!["n"])).toBe(1)
      })), 120_000)

    it.live("give a lock of the whole table up before the connection, having done nothing", () =>
      withWorst("SET SESSION lock_wait_timeout = 31536000", Effect.scoped(Effect.gen(function*() {
        const context = yield* Layer.build(layerOn(url, { MYSQL_REPLY_TIMEOUT: "2 seconds" }))
        const ledger = Context.get(context, Ledger)
        const { campaignId } = yield* Effect.provide(createCampaign(draft()), context)
        yield* asked("LOCK TABLES campaigns WRITE")
        expect((yield* Effect.flip(ledger.issue(batchOf(campaignId, [1]))))._tag).toBe("LedgerUnavailable")
        yield* asked("UNLOCK TABLES")
        expect(tagsOf(yield* ledger.issue(batchOf(campaignId, [1])))).toEqual(["Issued"])
      }))), 60_000)

    const refused = (init: string, message: RegExp) =>
      withWorst(init, Effect.gen(function*() {
        const failure = yield* Effect.flip(Effect.scoped(Layer.build(layerOn(url))))
        expect(failure).toMatchObject({ _tag: "ServerUnfit" })
        expect(failure.message).toMatch(message)
      }))

    it.live(
      "are refused with a number that the next campaign would take",
      () => refused("SET insert_id = 7", /insert_id is 7 and has to be 0/),
      60_000
    )

    if (kind === "mysql") {
      it.live("are refused if their commits are not logged", () =>
        Effect.acquireUseRelease(
          asked("GRANT SESSION_VARIABLES_ADMIN ON *.* TO plain@'%'"),
          () => refused("SET SESSION sql_log_bin = 0", /sql_log_bin is 0 and has to be 1/),
          () => asked("REVOKE SESSION_VARIABLES_ADMIN ON *.* FROM plain@'%'")
        ), 60_000)
      it.live("are refused if a statement would be logged that says nothing of what it saw", () =>
        Effect.acquireUseRelease(
          asked("SET GLOBAL binlog_format = STATEMENT"),
          () => refused("", /binlog_format is STATEMENT and has to be ROW or MIXED/),
          () => asked("SET GLOBAL binlog_format = ROW")
        ), 60_000)
    }

    it.live("are refused if a batch does not fit into a packet", () =>
      Effect.acquireUseRelease(
        asked("SET GLOBAL max_allowed_packet = 65536"),
        () => refused("", /max_allowed_packet is 65536 and has to be at least 1048576/),
        () => asked("SET GLOBAL max_allowed_packet = 67108864")
      ), 60_000)

    it("has codes that need more than one byte a character", () => {
      expect(Buffer.byteLength(CouponCode.ALPHABET)).toBeGreaterThan(CouponCode.ALPHABET.length)
    })
  })

  describe(`a ${kind} server whose options no session can change`, () => {
    const started = (args: ReadonlyArray<string>) =>
      Effect.acquireRelease(
        Effect.promise(() => startDatabase(kind, { args })),
        (server) => Effect.promise(server.stop)
      )

    // The same variable and the same question on each kind.
    if (isLongProfile || kind === privateDatabases()[0]) {
      it.scopedLive("is refused if its clock stands still while a statement waits", () =>
        Effect.gen(function*() {
          const { url } = yield* started(["--sysdate-is-now"])
          const failure = yield* Effect.flip(Effect.scoped(Layer.build(layerOn(url))))
          expect(failure).toMatchObject({ _tag: "ServerUnfit" })
          expect(failure.message).toMatch(/sysdate_is_now is 1 and has to be 0/)
        }), 240_000)
    }

    it.scopedLive("serves and keeps codes as they are whatever character set it insists on", () =>
      Effect.gen(function*() {
        const option = kind === "mysql" ? "--character-set-server=latin1" : "--skip-character-set-client-handshake"
        const { url } = yield* started([option])
        const context = yield* Layer.build(layerOn(url))
        const ledger = Context.get(context, Ledger)
        const { campaignId } = yield* Effect.provide(createCampaign(draft()), context)
        const issued = codesOf(yield* ledger.issue(batchOf(campaignId, users(1, 20))))
        expect((yield* ledger.listCoupons(campaignId, 0, 100)).map(({ code, userId }) => [Number(userId), code]))
          .toEqual(issued)
      }), 240_000)
  })
}
