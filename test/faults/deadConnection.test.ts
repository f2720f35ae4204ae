import * as MySql from "mysql2/promise"
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import { expect, it } from "vitest"
import { groupCommit } from "../../src/sql/mysql/GroupCommitText.ts"
import { sessionSettings } from "../../src/sql/mysql/connection/SessionState.ts"
import { wholeBatchCall } from "../../src/sql/mysql/WholeBatchCall.ts"
import { deferral } from "../e2e/scenario.ts"
import { startProxy } from "../support/FaultProxy.ts"
import { availableDatabases, databaseOn, query } from "../support/servers.ts"

const migration = (file: string) =>
  Fs.readFileSync(new URL(`../../migrations/mysql/${file}.sql`, import.meta.url), "utf8")

const defer = deferral()

/**
 * Found by `npm run faults -- --seed 11 --db mysql`: a server goes on with a text whose client is gone, and ROW_COUNT()
 * is not what the INSERT before it inserted if the connection died meanwhile. A counter that trusted it stayed behind
 * its coupons.
 */
const texts = {
  groupCommit: (...batch: Parameters<typeof wholeBatchCall>) => groupCommit(sessionSettings(3), ...batch).text,
  wholeBatchCall: (...batch: Parameters<typeof wholeBatchCall>) =>
    [...sessionSettings(3), wholeBatchCall(...batch)].join(";\n")
}

const cases = availableDatabases().flatMap((kind) =>
  Object.entries(texts).map(([name, text]) => [name, kind, text] as const)
)

it.each(cases)("%s on %s whose connection dies at any moment does all or nothing", async (_, kind, textOf) => {
  const database = await databaseOn(kind)
  defer(database.drop)
  const name = new URL(database.url).pathname.slice(1)
  const proxy = await startProxy(Number(new URL(database.url).port))
  defer(proxy.stop)
  const foreign = await MySql.createConnection({ uri: database.url, multipleStatements: true })
  defer(() => foreign.destroy())
  await foreign.query(migration("0001_core"))
  await foreign.query(migration("0011_codes"))
  await foreign.query(migration("0018_coupon_validity"))
  await foreign.query(migration("0021_issue_dated_batch.optional"))
  await foreign.query(
    "INSERT INTO campaigns (name, coupon_limit, start_time, created_at, updated_at) " +
      "VALUES ('c', 100000, '2025-01-01', NOW(), NOW())"
  )
  const state = async () => {
    const [row] = await query(
      database.url,
      `SELECT current_coupon AS counter, (SELECT COUNT(*) FROM coupons) AS coupons,
       (SELECT COALESCE(SUM(last_id - first_id + 1), 0) FROM outbox) AS published FROM campaigns`
    )
    return [row!["counter"], row!["coupons"], row!["published"]].map(Number)
  }
  const code = () => randomBytes(5).toString("hex")
  const send = async (user: number) => {
    const client = await MySql.createConnection({
      uri: proxy.url(database.url),
      multipleStatements: true,
      flags: ["-FOUND_ROWS"]
    })
    client.on("error", () => {})
    const text = textOf(randomBytes(16).toString("hex"), 1, [{ userId: BigInt(user), code: code() }])
    return client.query(text).then(() => {}, () => {})
  }
  /** Group commits that the server is executing. The foreign INSERT may still be listed when it has been answered. */
  const underWay = async () =>
    (await query(database.url, "SHOW FULL PROCESSLIST")).filter(({ Id, Info, db }) =>
      db === name && Number(Id) !== foreign.threadId && String(Info).startsWith("INSERT INTO coupons")).length
  /** Other sessions on this database than those that ask. */
  const sessions = async () =>
    (await query(database.url, "SHOW FULL PROCESSLIST")).filter(({ Info, db }) =>
      db === name && Info !== "SHOW FULL PROCESSLIST"
    ).length

  // The INSERT waits for a foreign transaction on its user, its connection dies, and then it may go on.
  for (let user = 1; user <= 10; user++) {
    await foreign.query("START TRANSACTION")
    await foreign.query(`INSERT INTO coupons VALUES (1, ${1_000_000 + user}, ${user}, 'foreign', NOW())`)
    const sent = send(user)
    await expect.poll(underWay).toBe(1)
    proxy.reset()
    await sent
    await foreign.query("ROLLBACK")
    // Connections are few here: the last statement of the text has ended when its session has.
    await expect.poll(sessions).toBe(1)
    const [counter, coupons, published] = await state()
    expect([counter, published]).toEqual([coupons, coupons])
  }
})
