import { spawn } from "node:child_process"
import { once } from "node:events"
import { statSync } from "node:fs"
import * as Path from "node:path"
import { createInterface } from "node:readline"
import { afterEach, describe, expect, it } from "vitest"
import { connect } from "../../src/sql/libsql/Driver.ts"
import * as GuardedDriver from "../../src/sql/libsql/GuardedDriver.ts"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"

/** A shell on the file: another process, since locks of one's own process are none. */
const SHELL = `
const { DatabaseSync } = require("node:sqlite")
const db = new DatabaseSync(process.argv[1])
require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
  console.log(JSON.stringify(/^SELECT/.test(line) ? db.prepare(line).get() : db.exec(line) ?? null))
})`

const releases: Array<() => unknown> = []
afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release()
})

const scene = async () => {
  const directory = temporaryDirectory("locked")
  releases.push(() => removeDirectory(directory))
  const file = Path.join(directory, "coupon.db")
  const client = connect(file)
  releases.push(() => client.close())
  await client.execute("PRAGMA journal_mode = WAL")
  await client.execute("PRAGMA busy_timeout = 0")
  await client.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)")
  const shell = spawn(process.execPath, ["--no-warnings", "-e", SHELL, file], { stdio: ["pipe", "pipe", "inherit"] })
  releases.push(async () => {
    shell.stdin.end()
    await once(shell, "exit")
  })
  const lines = createInterface({ input: shell.stdout })[Symbol.asyncIterator]()
  const driver = GuardedDriver.make(client, {
    now: () => 0,
    trouble: () => undefined,
    lookAtCommit: () => undefined
  })
  return {
    client,
    driver,
    log: () => statSync(`${file}-wal`).size,
    shell: async (line: string): Promise<Record<string, unknown>> => {
      shell.stdin.write(`${line}\n`)
      return JSON.parse((await lines.next()).value as string) as Record<string, unknown>
    }
  }
}

type Scene = Awaited<ReturnType<typeof scene>>

const INSERT = "INSERT INTO t (text) VALUES ('a')"

const writes: ReadonlyArray<readonly [name: string, write: (driver: Scene["driver"]) => Promise<unknown>]> = [
  ["a write by itself", (driver) => driver.execute(INSERT)],
  ["a transaction", (driver) => driver.batch([INSERT], "write")]
]

describe.each(writes)("%s that finds the file locked by another process", (_, write) => {
  it("fails, and what is answered after it is committed", async () => {
    const { client, driver, log, shell } = await scene()
    await shell("BEGIN IMMEDIATE")
    await expect(write(driver)).rejects.toMatchObject({ code: "SQLITE_BUSY" })
    await shell("ROLLBACK")
    expect((await driver.execute(INSERT)).rowsAffected).toBe(1)
    expect(await shell("SELECT COUNT(*) AS n FROM t")).toEqual({ n: 1 })
    await driver.batch([INSERT, INSERT], "write")
    expect(await shell("SELECT COUNT(*) AS n FROM t")).toEqual({ n: 3 })
    // And no reader of our own keeps the log from being emptied.
    await driver.execute("SELECT * FROM t")
    await client.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    expect(log()).toBe(0)
  })
})
