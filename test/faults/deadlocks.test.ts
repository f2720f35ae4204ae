import { describe, expect, it } from "vitest"
import { privateDatabases, query, startDatabase } from "../support/privateServers.ts"
import { deadlockArgs, makeDeadlockCounter } from "./Deadlocks.ts"
import * as MySql from "mysql2/promise"

describe.each(privateDatabases())("deadlocks on %s", (kind) => {
  it("are counted by the tables whose rows were waited for", async () => {
    const counter = makeDeadlockCounter()
    const server = await startDatabase(kind, { args: deadlockArgs[kind], log: counter.read })
    try {
      await query(
        server.url,
        "CREATE TABLE heads (id INT PRIMARY KEY) ENGINE = InnoDB",
        "CREATE TABLE events (id INT PRIMARY KEY) ENGINE = InnoDB",
        "INSERT INTO heads VALUES (1)",
        "INSERT INTO events VALUES (1)"
      )
      const connect = () => MySql.createConnection({ uri: server.url })
      const [one, other] = await Promise.all([connect(), connect()])
      try {
        for (const connection of [one, other]) await connection.query("START TRANSACTION")
        const lock = (connection: MySql.Connection, table: string) =>
          connection.query(`SELECT id FROM ${table} WHERE id = 1 FOR UPDATE`)
        await lock(one, "heads")
        await lock(other, "events")
        // The second of them closes the circle, whichever that is.
        const ended = await Promise.allSettled([lock(one, "events"), lock(other, "heads")].map((waiting, k) =>
          waiting.finally(() => [one, other][k]!.query("ROLLBACK"))))
        expect(ended.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"])
        await expect.poll(counter.found, { timeout: 30_000 }).toEqual({ "events + heads": 1 })
      } finally {
        one.destroy()
        other.destroy()
      }
    } finally {
      await server.stop()
    }
  }, 120_000)
})
