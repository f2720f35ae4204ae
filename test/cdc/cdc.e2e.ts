import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { deferral, loadFor, startFor } from "../e2e/scenario.ts"
import { removeDirectory, spawnGuarded, temporaryDirectory } from "../support/guardian.ts"
import { type DatabaseServer, query, startDatabase, startRedis } from "../support/privateServers.ts"

const here = import.meta.dirname
const page = Fs.readFileSync(new URL("../../docs/guides/cdc.md", import.meta.url), "utf8")
const PASSWORD = "secret-of-cdc"

/** The recipe of the page, as it stands there. */
const recipe = /^```properties\n([\s\S]*?)^```$/m.exec(page)![1]!

/** What the page says of each column: its name, and the type and the name of its schema in Debezium. */
const mappings = Array.from(
  page.matchAll(/^\| `(\w+)` \| `(\w+)`(?: \(`([\w.]+)`\))? \|/gm),
  ([, column, type, name]) => [column!, type!, name] as const
)

const statements = Fs.readFileSync(new URL("../../deploy/mysql-cdc.sql", import.meta.url), "utf8")
  .replace(/^--.*$/gm, "").replace("@CDC_PASSWORD@", PASSWORD).split(";").map((text) => text.trim()).filter(Boolean)

/** A DATETIME, which the driver takes for local time, as milliseconds since 1970 in UTC. */
const millis = (stored: unknown): number => {
  const at = stored as Date
  return at.getTime() - at.getTimezoneOffset() * 60_000
}

interface Change {
  readonly table: string
  readonly op: string
  readonly after: Readonly<Record<string, unknown>>
  /** The fields of `after`, as the schema of the message declares them. */
  readonly fields: ReadonlyArray<{ readonly field: string; readonly type: string; readonly name?: string }>
  readonly key: Readonly<Record<string, unknown>>
}

interface Message {
  readonly schema: { readonly fields: ReadonlyArray<{ readonly field: string; readonly fields: Change["fields"] }> }
  readonly payload: {
    readonly op: string
    readonly source: { readonly table: string }
    readonly after: Change["after"]
  }
}

const changeOf = (line: string): Change => {
  const [key, value] = line.split("\t") as [string, string]
  const { payload, schema } = JSON.parse(value) as Message
  return {
    table: payload.source.table,
    op: payload.op,
    after: payload.after,
    fields: schema.fields.find(({ field }) => field === "after")!.fields,
    key: (JSON.parse(key) as { readonly payload: Change["key"] }).payload
  }
}

describe("Debezium by the recipe of the page", () => {
  const defer = deferral()
  let dir: string
  let classpath: string
  let database: DatabaseServer
  beforeAll(async () => {
    dir = temporaryDirectory("cdc")
    const lib = Path.join(dir, "lib")
    const maven = ["-q", "-B", "-f", Path.join(here, "pom.xml"), "dependency:copy-dependencies"]
    execFileSync("mvn", [...maven, `-DoutputDirectory=${lib}`], { stdio: ["ignore", "inherit", "inherit"] })
    classpath = Path.join(lib, "*")
    // As production runs: with a binary log of rows, which is a server's default.
    database = await startDatabase("mysql")
  })
  afterAll(async () => {
    await (database as DatabaseServer | undefined)?.stop()
    removeDirectory(dir)
  })

  /** Starts the engine; what it has printed so far, and its end in good order. */
  const startEngine = () => {
    const file = Path.join(dir, "engine.properties")
    const here = recipe
      .replace(/^(database\.hostname=).*$/m, "$1127.0.0.1")
      .replace(/^(database\.port=).*$/m, `$1${database.port}`)
      .replace(/^(database\.password=).*$/m, `$1${PASSWORD}`)
      .replace(/\/var\/lib\/debezium/g, dir)
    Fs.writeFileSync(file, here)
    const child = spawnGuarded("java", ["-cp", classpath, Path.join(import.meta.dirname, "Engine.java"), file], {
      cwd: dir
    })
    let [out, err] = ["", ""]
    child.stdout?.setEncoding("utf8").on("data", (chunk: string) => (out += chunk))
    child.stderr?.setEncoding("utf8").on("data", (chunk: string) => (err += chunk))
    const ended = new Promise<void>((resolve) => child.once("close", () => resolve()))
    defer(() => {
      child.kill("SIGKILL")
      return ended
    })
    return {
      changes: (): ReadonlyArray<Change> => {
        if (child.exitCode !== null && child.exitCode !== 0) throw new Error(err.slice(-4_000))
        // The last line may be on its way.
        return out.split("\n").slice(0, -1).filter((line) => line !== "").map(changeOf)
      },
      kill: () => {
        child.kill("SIGKILL")
        return ended
      }
    }
  }

  it("reads each event and each coupon at least once, in order, over a restart", async () => {
    const redis = await startRedis()
    defer(redis.stop)
    const instance = await startFor(defer, { MYSQL_URL: database.url, REDIS_URL: redis.url })
    await query(database.url, ...statements)
    const load = loadFor(defer)
    const campaignId = await load.openCampaign(instance.url, 1_000)
    const claim = (from: number, count: number) =>
      load.claimAll([instance.url], Array.from({ length: count }, (_, k) => ({ campaignId, userId: from + k })), 10)
    const ledger = (table: string, order: string) =>
      query(database.url, `SELECT * FROM ${table} WHERE campaign_id = ${campaignId} ORDER BY ${order}`)
    const caughtUp = (count: number) =>
      expect.poll(async () => (await query(database.url, "SELECT last_id FROM campaign_event_heads"))[0]!["last_id"])
        .toBe(count)
    const seen: Array<Change> = []
    const numbers = (table: string, column: string) => [
      ...new Set(seen.filter((change) => change.table === table).map(({ after }) => Number(after[column])))
    ]
    await claim(1, 20)
    await caughtUp(20)
    const before = (await ledger("campaign_events", "sequence")).length

    const first = startEngine()
    // It begins where the log is when it is ready: what a consumer has then, it gets from the API.
    let last = 100
    while (first.changes().length === 0) {
      await claim(last, 1)
      last++
      await new Promise((resolve) => setTimeout(resolve, 500))
    }
    await claim(1_000, 50)
    await caughtUp(20 + last - 100 + 50)
    const head = async () => Number((await ledger("campaign_events", "sequence")).at(-1)!["sequence"])
    const reached = (changes: ReadonlyArray<Change>, sequence: number) =>
      changes.some(({ after, table }) => table === "campaign_events" && Number(after["sequence"]) === sequence)
    const until = await head()
    await expect.poll(() => reached(first.changes(), until)).toBe(true)
    seen.push(...first.changes())
    await first.kill()

    await claim(2_000, 50)
    await caughtUp(20 + last - 100 + 100)
    const second = startEngine()
    const end = await head()
    await expect.poll(() => reached(second.changes(), end)).toBe(true)
    seen.push(...second.changes())

    expect(new Set(seen.map(({ table }) => table))).toEqual(new Set(["campaign_events", "coupons"]))
    expect(new Set(seen.map(({ op }) => op))).toEqual(new Set(["c"]))
    for (const [table, column] of [["campaign_events", "sequence"], ["coupons", "id"]] as const) {
      const found = numbers(table, column)
      const rows = await ledger(table, column)
      // No gap from the first one on, up to the last.
      expect(found).toEqual(rows.map((row) => Number(row[column])).filter((number) => number >= found[0]!))
      if (table === "campaign_events") expect(found[0]).toBeGreaterThan(before)
      for (const { after, fields, key } of seen.filter((change) => change.table === table)) {
        const row = rows.find((one) => Number(one[column]) === Number(after[column]))!
        for (const { field, name } of fields) {
          if (name !== "io.debezium.time.MicroTimestamp") expect(after[field], field).toEqual(row[field])
          // The driver cuts off what is below a millisecond.
          else expect(Math.floor(Number(after[field]) / 1_000)).toBe(millis(row[field]))
        }
        expect(key).toEqual({ campaign_id: campaignId })
      }
      const declared = seen.find((change) => change.table === table)!.fields
      expect(mappings).toEqual(expect.arrayContaining(declared.map(({ field, name, type }) => [field, type, name])))
    }
  })

  it("may do no more than that", async () => {
    const url = Object.assign(new URL(database.url), { username: "coupon_cdc", password: PASSWORD }).href
    expect(await query(url, "SELECT COUNT(*) AS n FROM coupons")).toHaveLength(1)
    for (const denied of ["SELECT * FROM api_keys", "DELETE FROM coupons", "FLUSH TABLES WITH READ LOCK"]) {
      await expect(query(url, denied)).rejects.toThrow(/denied/)
    }
  })
})

