import { it } from "@effect/vitest"
import { SqlClient } from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import { describe, expect } from "vitest"
import { named } from "../../src/domain/Actor.ts"
import { afterIssueDefaults } from "../../src/domain/Campaign.ts"
import { defaultCodes } from "../../src/domain/codes/CampaignCodes.ts"
import * as AppConfig from "../../src/config/AppConfig.ts"
import { CampaignStore } from "../../src/ports/CampaignStore.ts"
import { Ledger } from "../../src/ports/Ledger.ts"
import * as MySql from "../../src/sql/mysql/connection/MySql.ts"
import * as MySqlCampaignStore from "../../src/sql/mysql/MySqlCampaignStore.ts"
import * as MySqlLedger from "../../src/sql/mysql/MySqlLedger.ts"
import * as RecentBatches from "../../src/sql/mysql/RecentBatches.ts"
import { inLongProfile } from "../support/profile.ts"
import { privateDatabases, query, startDatabase, type DatabaseKind } from "../support/servers.ts"

/** Two servers that are no replicas of one another: what counts here is only which of them is asked. */
const pair = (kind: DatabaseKind) =>
  Effect.all(
    [1, 2].map(() =>
      Effect.acquireRelease(
        Effect.promise(() => startDatabase(kind, { args: ["--performance-schema=ON"] })),
        (server) => Effect.promise(server.stop)
      )),
    { concurrency: 2 }
  )

const until = <A, R>(effect: Effect.Effect<A, never, R>, holds: (a: A) => boolean): Effect.Effect<A, Error, R> => {
  const loop: Effect.Effect<A, never, R> = Effect.flatMap(
    effect,
    (a) => holds(a) ? Effect.succeed(a) : Effect.delay(loop, "10 millis")
  )
  return Effect.timeoutFail(loop, { duration: "60 seconds", onTimeout: () => new Error("it did not come true") })
}

const suite = (kind: DatabaseKind) =>
  describe(`several hosts in MYSQL_URL, on ${kind}`, () => {
    it.scopedLive("are asked who takes writes, and that one is followed", () =>
      Effect.gen(function*() {
        const [a, b] = yield* pair(kind)
        const run = (server: typeof a, ...statements: ReadonlyArray<string>) =>
          Effect.promise(() => query(server!.url, ...statements))
        const writes = (server: typeof a, does: boolean) => run(server, `SET GLOBAL read_only = ${does ? "OFF" : "ON"}`)
        // A user like a service's: without the right to write to a read-only server.
        for (const server of [a, b]) {
          yield* run(
            server,
            "CREATE USER 'service'@'%' IDENTIFIED BY 'service'",
            "GRANT ALL ON coupon.* TO 'service'@'%'"
          )
          yield* writes(server, false)
        }
        const MYSQL_URL = `mysql://service:service@127.0.0.1:${a!.port},127.0.0.1:${b!.port}/coupon`
        const layer = Layer.provideMerge(
          Layer.merge(MySqlCampaignStore.layer, Layer.provide(MySqlLedger.layer, RecentBatches.layer)),
          MySql.layer
        ).pipe(
          Layer.provide(
            AppConfig.layerTest({ MYSQL_URL, REDIS_URL: "redis://unused", MYSQL_REPLY_TIMEOUT: "2 seconds" })
          )
        )
        const attempt = Effect.either(Effect.scoped(Layer.build(Layer.fresh(layer))))

        // No server takes writes: it waits.
        expect(Either.isLeft(yield* attempt)).toBe(true)
        yield* writes(b, true)
        if (kind === "mysql") {
          // A user that cannot see whether there is a group must not guess.
          expect(String(Either.getLeft(yield* attempt))).toContain("LedgerUnavailable")
          for (const server of [a, b]) {
            yield* writes(server, true)
            yield* run(server, "GRANT SELECT ON performance_schema.replication_group_members TO 'service'@'%'")
            if (server === a) yield* writes(a, false)
          }
        }
        const context = yield* Layer.build(layer)
        const sql = Context.get(context, SqlClient)
        const ledger = Context.get(context, Ledger)
        const port = Effect.map(Effect.either(sql<{ readonly port: number }>`SELECT @@port AS port`), (rows) =>
          Either.isRight(rows) ? rows.right[0]!.port : String(rows.left.cause))
        expect(yield* port).toBe(b!.port)
        const campaign = yield* Context.get(context, CampaignStore).create({
          changeId: "c".repeat(32),
          actor: named("test"),
          draft: {
            ...{ name: "one", couponLimit: 5, startTime: 0, endTime: undefined, codes: defaultCodes },
            ...afterIssueDefaults
          },
          request: undefined
        })
        const claim = (user: number) => ({
          batchId: user.toString(16).padStart(32, "0"),
          campaignId: campaign.campaignId,
          claims: [{ userId: BigInt(user), code: `code${user}` }]
        })

        // The server turns read-only under an open connection: nothing was issued, and nothing is in doubt.
        yield* writes(b, false)
        expect((yield* Effect.flip(ledger.issue(claim(1))))._tag).toBe("LedgerUnavailable")
        yield* until(port, (text) => String(text).includes("no server takes writes"))
        yield* writes(b, true)
        yield* until(Effect.either(Effect.suspend(() => ledger.issue(claim(2)))), Either.isRight)
        expect(yield* ledger.tally(campaign.campaignId)).toMatchObject({ issued: 1, unrelayed: 1 })

        // Two that take writes are one too many; then the other one alone is the right one, also when the first is
        // gone.
        yield* writes(a, true)
        yield* until(port, (text) => String(text).includes("several servers take writes"))
        yield* writes(b, false)
        yield* until(port, (found) => found === a!.port)
        yield* Effect.promise(b!.kill)
        yield* until(port, (found) => found === a!.port)
      }))
  })

// The question is the same on each kind; MySQL may be a group besides.
for (const kind of inLongProfile(privateDatabases(), privateDatabases().slice(-1))) suite(kind)
