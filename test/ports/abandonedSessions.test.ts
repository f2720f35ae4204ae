import { MysqlClient } from "@effect/sql-mysql2/MysqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as MySqlDriver from "mysql2/promise"
import { afterAll, beforeAll, describe, expect } from "vitest"
import * as AppConfig from "../../src/config/AppConfig.ts"
import * as MySql from "../../src/sql/mysql/connection/MySql.ts"
import { ReplyTimeout } from "../../src/sql/mysql/connection/MySqlSockets.ts"
import { startProxy, type FaultProxy } from "../support/FaultProxy.ts"
import { isLongProfile } from "../support/profile.ts"
import { privateDatabases, startDatabase, type DatabaseKind, type DatabaseServer } from "../support/servers.ts"

const POOL = 2

/**
 * What `MYSQL_POOL_SIZE` does not count: one connection that ends abandoned sessions, and one that looks whether the
 * server is there.
 */
const BESIDES = 2

/**
 * Waits of a server: how they begin, what waits, and how they end. `session` makes the session wait for as long as it
 * takes.
 */
interface Wait {
  readonly name: string
  readonly begin: ReadonlyArray<string>
  readonly session?: string
  readonly text: string
  readonly end: ReadonlyArray<string>
  /** Where there is such a wait. */
  readonly only?: DatabaseKind
  /** Where `npm test` has it; on both kinds unless set. */
  readonly oftenOn?: DatabaseKind
}

const waits: ReadonlyArray<Wait> = [
  { name: "nothing but time", begin: [], text: "DO SLEEP(1000)", end: [], oftenOn: "mysql" },
  {
    name: "a lock by name",
    begin: ["DO GET_LOCK('mine', 1)"],
    text: "DO GET_LOCK('mine', 1000)",
    end: ["DO RELEASE_LOCK('mine')"],
    oftenOn: "mariadb"
  },
  {
    name: "a row",
    begin: ["START TRANSACTION", "SELECT id FROM waited WHERE id = 1 FOR UPDATE"],
    session: "SET SESSION innodb_lock_wait_timeout = 1000",
    text: "UPDATE waited SET n = n + 1 WHERE id = 1",
    end: ["ROLLBACK"]
  },
  {
    name: "a table",
    begin: ["LOCK TABLES waited WRITE"],
    session: "SET SESSION lock_wait_timeout = 1000",
    text: "UPDATE waited SET n = n + 1 WHERE id = 1",
    end: ["UNLOCK TABLES"],
    oftenOn: "mariadb"
  },
  {
    name: "everything that is read-only for a backup",
    begin: ["FLUSH TABLES WITH READ LOCK"],
    session: "SET SESSION lock_wait_timeout = 1000",
    text: "UPDATE waited SET n = n + 1 WHERE id = 1",
    end: ["UNLOCK TABLES"],
    oftenOn: "mysql"
  },
  {
    name: "a replica that should confirm a commit",
    begin: [
      "SET GLOBAL rpl_semi_sync_master_timeout = 1000000",
      "SET GLOBAL rpl_semi_sync_master_wait_no_slave = ON",
      "SET GLOBAL rpl_semi_sync_master_enabled = ON"
    ],
    text: "UPDATE waited SET n = n + 1 WHERE id = 1",
    end: ["SET GLOBAL rpl_semi_sync_master_enabled = OFF"],
    only: "mariadb"
  }
]

const isOnlyKind = privateDatabases().length === 1

const isGivenUp = (error: SqlError): boolean => error.cause instanceof ReplyTimeout

for (const kind of privateDatabases()) {
  describe(`sessions that are given up, on ${kind}`, () => {
    let server: DatabaseServer
    let root: MySqlDriver.Connection
    beforeAll(async () => {
      server = await startDatabase(kind, { args: ["--log-bin=binlog", "--server-id=1"] })
      root = await MySqlDriver.createConnection({ uri: server.url })
      await root.query("CREATE USER plain@'%' IDENTIFIED BY 'plain'")
      await root.query("GRANT ALL ON coupon.* TO plain@'%'")
      await root.query("CREATE TABLE waited (id INT PRIMARY KEY, n INT NOT NULL)")
      await root.query("INSERT INTO waited VALUES (1, 0)")
    }, 240_000)
    afterAll(async () => {
      ;(root as MySqlDriver.Connection | undefined)?.destroy()
      await (server as DatabaseServer | undefined)?.stop()
    })

    const asked = (text: string) =>
      Effect.promise(async () => (await root.query(text))[0] as ReadonlyArray<Record<string, unknown>>)
    const sessions = Effect.map(
      asked("SELECT COUNT(*) AS n FROM information_schema.processlist WHERE user = 'plain'"),
      ([row]) => Number(row!["n"])
    )
    const clientOn = (url: string) =>
      Effect.map(
        Layer.build(MySql.layer.pipe(Layer.provide(AppConfig.layerTest({
          MYSQL_URL: url.replace("coupon:coupon@", "plain:plain@"),
          REDIS_URL: "redis://127.0.0.1:1",
          MYSQL_POOL_SIZE: String(POOL),
          MYSQL_REPLY_TIMEOUT: "500 millis"
        })))),
        (context) => Context.get(context, MysqlClient)
      )

    for (const { begin, end, name, oftenOn, only, session, text } of waits) {
      const isRunHere = isLongProfile || isOnlyKind || (oftenOn ?? kind) === kind
      if ((only ?? kind) !== kind || !isRunHere) continue
      it.scopedLive(`are bounded, however many statements wait for ${name}, and are ended`, () =>
        Effect.gen(function*() {
          const client = yield* clientOn(server.url)
          yield* Effect.forEach(begin, asked)
          const attempt = client.unsafe(session === undefined ? text : `${session}; ${text}`).unprepared
          let most = 0
          const count = Effect.tap(sessions, (n) => Effect.sync(() => void (most = Math.max(most, n))))
          // Each is refused at once until it finds room; then it waits until it is given up.
          const one = Effect.repeat(Effect.delay(Effect.zipLeft(Effect.flip(attempt), count), "20 millis"), {
            until: isGivenUp
          })
          yield* Effect.forEach(Array.from({ length: 3 * POOL }), () => one, { concurrency: "unbounded" })
          expect(most).toBeGreaterThan(0)
          expect(most).toBeLessThanOrEqual(POOL + BESIDES)
          yield* Effect.forEach(end, asked)
          // None is left at work, and the pool serves.
          yield* Effect.repeat(Effect.delay(Effect.exit(client.unsafe("SELECT 1 AS one").unprepared), "20 millis"), {
            until: ({ _tag }) => _tag === "Success"
          })
          const working = "FROM information_schema.processlist WHERE user = 'plain' AND command <> 'Sleep'"
          yield* Effect.repeat(
            Effect.delay(asked(`SELECT COUNT(*) AS n ${working}`), "20 millis"),
            { until: ([row]) => Number(row!["n"]) === 0 }
          )
        }), 120_000)
    }

    it.scopedLive("are bounded while a server that hangs accepts no login, and serve when it goes on", () =>
      Effect.gen(function*() {
        const client = yield* clientOn(server.url)
        yield* Effect.acquireRelease(Effect.sync(server.pause), () => Effect.sync(server.resume))
        const one = Effect.exit(client.unsafe("SELECT 1").unprepared)
        for (let round = 0; round < 2; round++) {
          yield* Effect.forEach(Array.from({ length: 4 * POOL }), () => one, { concurrency: "unbounded" })
        }
        server.resume()
        let most = 0
        const count = Effect.tap(sessions, (n) => Effect.sync(() => void (most = Math.max(most, n))))
        yield* Effect.repeat(
          Effect.zipRight(count, Effect.delay(one, "20 millis")),
          { until: ({ _tag }) => _tag === "Success" }
        )
        expect(most).toBeLessThanOrEqual(POOL + BESIDES)
      }), 120_000)

    it.scopedLive("count no more once a partition is over", () =>
      Effect.gen(function*() {
        const proxy: FaultProxy = yield* Effect.acquireRelease(
          Effect.promise(() => startProxy(server.port)),
          (proxy) => Effect.promise(proxy.stop)
        )
        const client = yield* clientOn(proxy.url(server.url))
        proxy.delay(3_600_000)
        const one = Effect.exit(client.unsafe("SELECT 1").unprepared)
        yield* Effect.forEach(Array.from({ length: 4 * POOL }), () => one, { concurrency: "unbounded" })
        expect((yield* one)._tag).toBe("Failure")
        proxy.delay(0)
        yield* Effect.repeat(Effect.delay(one, "20 millis"), { until: ({ _tag }) => _tag === "Success" })
      }), 120_000)
  })
}
