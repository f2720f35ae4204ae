import { execFile, spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import { promisify } from "node:util"
import { createClient } from "@libsql/client"
import { describe, expect, it } from "vitest"
import { exitCodes } from "../../src/cli/ExitCode.ts"
import * as GuardedDriver from "../../src/sql/libsql/GuardedDriver.ts"
import * as MySqlBackup from "../../src/sql/mysql/MySqlBackup.ts"
import { parseUrl } from "../../src/sql/mysql/connection/MySqlUrl.ts"
import * as Redacted from "effect/Redacted"
import { newcomers } from "../e2e/load.ts"
import { clock, deferral, impatient, loadFor, startFor } from "../e2e/scenario.ts"
import type { Attempt } from "../invariants/History.ts"
import { checkInvariants } from "../invariants/invariants.ts"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"
import { bundled, nodeProgram } from "../support/Instance.ts"
import { availableDatabases, databaseOn, startRedis } from "../support/servers.ts"
import { coupon, startCommand } from "./Command.ts"

const run = promisify(execFile)

/** What `npm run verify` does, with these settings alone; rejects unless every invariant holds. */
const verify = async (env: Readonly<Record<string, string>>): Promise<string> =>
  (await run(nodeProgram, [bundled("verify")], {
    env: { PATH: process.env["PATH"], NODE_COMPILE_CACHE: ".cache/compile", ...impatient, ...env }
  })).stdout

/** What was answered before that moment, and so must be in a backup that began then. */
const before = (history: ReadonlyArray<Attempt>, moment: number) =>
  history.filter(({ answeredAt }) => answeredAt < moment)

/** The claims as a restored ledger may know them: whether it has what was answered later is open. */
const asRestored = (history: ReadonlyArray<Attempt>, began: number, restored: number) =>
  history.map((attempt) =>
    attempt.answeredAt < began || attempt.askedAt >= restored ? attempt : { ...attempt, outcome: "NO_ANSWER" }
  )

const sha256 = (file: string) => createHash("sha256").update(Fs.readFileSync(file)).digest("hex")

describe("coupon backup, of an embedded instance", () => {
  const defer = deferral()

  const directory = () => {
    const path = temporaryDirectory("backup")
    defer(() => removeDirectory(path))
    return path
  }

  const scene = async () => {
    const dataDir = directory()
    const load = loadFor(defer)
    const instance = await startFor(defer, { DATA_DIR: dataDir })
    const campaignId = await load.openCampaign(instance.url, 100_000)
    return { dataDir, load, instance, campaignId, out: Path.join(directory(), "copy.db"), cli: coupon(instance.url) }
  }

  it("copies all that was answered, under load, into a file that another instance serves", async () => {
    const { campaignId, cli, dataDir, instance, load, out } = await scene()
    const running = load.keepClaiming(() => [instance.url], newcomers([campaignId], 1), 20)
    defer(running.stop)
    await expect.poll(() => load.history.length).toBeGreaterThan(300)
    const began = clock()
    const { code, err, out: said } = await cli("backup", "--to", out, "--json")
    expect({ code, err }).toEqual({ code: 0, err: "" })
    expect(JSON.parse(said)).toEqual({ file: out, bytes: Fs.statSync(out).size, sha256: sha256(out) })
    expect(Fs.statSync(out).mode & 0o777).toBe(0o600)
    const ended = load.history.length
    await expect.poll(() => load.history.length).toBeGreaterThan(ended + 100)
    await running.stop()

    const acts = JSON.parse((await cli("log", "--json")).out) as ReadonlyArray<object>
    expect(acts[0]).toMatchObject({
      actor: "anonymous",
      action: "backup.create",
      after: { bytes: Fs.statSync(out).size, sha256: sha256(out) }
    })
    expect(Fs.readdirSync(dataDir).filter((name) => name.startsWith("coupon-backup-"))).toEqual([])

    // Restored as in docs/guides/backup.md: an empty directory, and the file under its name there.
    const restored = directory()
    Fs.copyFileSync(out, Path.join(restored, "coupon.db"))
    // A day later: what the service was about to relay is as old.
    const file = createClient({ url: `file:${Path.join(restored, "coupon.db")}` })
    await file.execute(
      "INSERT INTO outbox (batch_id, kind, campaign_id, created_at) VALUES (hex(randomblob(16)), 'CHANGED', 1, 0)"
    )
    await file.execute("UPDATE outbox SET created_at = created_at - 86400000")
    file.close()
    expect(await verify({ DATA_DIR: restored })).toContain("1 campaign, every invariant holds")
    const again = await startFor(defer, { DATA_DIR: restored })
    const restoredAt = clock()
    const [holder] = before(load.history, began)
    expect(await load.claim(again.url, { campaignId, userId: Number(holder!.userId) }))
      .toMatchObject({ outcome: "COUPON_ALREADY_CLAIMED", code: holder!.code })
    expect(await load.claim(again.url, { campaignId, userId: 10_000_000 })).toMatchObject({ outcome: "OK" })
    expect(await again.stop()).toBe(0)
    await checkInvariants({ dataDir: restored }, asRestored(load.history, began, restoredAt))
  })

  it("writes to standard output, and never over a file that is there", async () => {
    const { campaignId, cli, instance, load, out } = await scene()
    expect(await load.claim(instance.url, { campaignId, userId: 1 })).toMatchObject({ outcome: "OK" })
    const piped = spawnSync(nodeProgram, [bundled("cli"), "backup", "--to", "-"], {
      env: { PATH: process.env["PATH"], NODE_COMPILE_CACHE: ".cache/compile", COUPON_URL: instance.url },
      maxBuffer: 2 ** 26
    })
    expect(piped).toMatchObject({ status: 0 })
    expect(piped.stdout.subarray(0, 15).toString()).toBe("SQLite format 3")
    const restored = directory()
    Fs.writeFileSync(Path.join(restored, "coupon.db"), piped.stdout)
    expect(await verify({ DATA_DIR: restored })).toContain("every invariant holds")

    Fs.writeFileSync(out, "mine")
    expect(await cli("backup", "--to", out)).toMatchObject({ code: exitCodes.USAGE.code, out: "" })
    expect(Fs.readFileSync(out, "utf8")).toBe("mine")
  })

  it("leaves nothing behind, here or there, if the connection breaks half way", async () => {
    const { campaignId, dataDir, instance, load, out } = await scene()
    await load.claimAll([instance.url], Array.from({ length: 1_000 }, (_, k) => ({ campaignId, userId: k + 1 })), 200)
    const bytes = { passed: 0 }
    const proxy = Net.createServer((client) => {
      const server = Net.connect(instance.port, "127.0.0.1")
      client.pipe(server)
      server.on("data", (chunk) => {
        bytes.passed += chunk.length
        client.write(chunk)
        // The first event of the file has more than that.
        if (bytes.passed > 50_000) client.destroy()
      })
      for (const socket of [client, server]) {
        socket.on("error", () => {}).on("close", () => (client.destroy(), server.destroy()))
      }
    })
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve))
    defer(() => proxy.close())
    const { code, err } = await coupon(`http://127.0.0.1:${(proxy.address() as Net.AddressInfo).port}`)(
      "backup",
      "--to",
      out
    )
    expect(code).not.toBe(0)
    expect(err).not.toBe("")
    expect(Fs.readdirSync(Path.dirname(out))).toEqual([])
    await expect.poll(() => Fs.readdirSync(dataDir).filter((name) => name.startsWith("coupon-backup-"))).toEqual([])
    expect(await coupon(instance.url)("backup", "--to", out)).toMatchObject({ code: 0 })
  })

  it("does not delay the end of the instance; the next start removes what a killed backup left", async () => {
    const { cli, dataDir, instance, out } = await scene()
    expect(await cli("backup", "--to", out)).toMatchObject({ code: 0 })
    expect(await instance.stop()).toBe(0)
    Fs.writeFileSync(Path.join(dataDir, "coupon-backup-0123.db"), "half")
    const again = await startFor(defer, { DATA_DIR: dataDir })
    expect(Fs.readdirSync(dataDir)).not.toContain("coupon-backup-0123.db")
    expect(await again.stop()).toBe(0)
  })

  it("saves what a process still holds whose directory was deleted", async () => {
    const { campaignId, cli, dataDir, instance, load, out } = await scene()
    await load.claimAll([instance.url], Array.from({ length: 500 }, (_, k) => ({ campaignId, userId: k + 1 })), 50)
    const began = clock()
    Fs.rmSync(dataDir, { recursive: true })
    await expect.poll(async () => (await fetch(`${instance.url}/readyz`, { headers: { connection: "close" } })).status)
      .toBe(503)
    expect(await cli("doctor")).toMatchObject({
      code: exitCodes.UNSOUND.code,
      out: expect.stringContaining("it was deleted or moved away") as string
    })
    expect(await cli("backup", "--to", out)).toMatchObject({ code: 0 })
    const restored = directory()
    Fs.copyFileSync(out, Path.join(restored, "coupon.db"))
    expect(await verify({ DATA_DIR: restored })).toContain("every invariant holds")
    await checkInvariants({ dataDir: restored }, before(load.history, began))
  })

  it("lets an ADMIN in for that, whose key is among what is displaced", async () => {
    const driver = createClient({ url: ":memory:" })
    await driver.execute("CREATE TABLE api_keys (id TEXT)")
    const guarded = GuardedDriver.make(driver, { now: Date.now, trouble: () => "gone", lookAtCommit: () => "gone" })
    await driver.execute("CREATE TABLE deployment (id TEXT)")
    expect((await guarded.execute("SELECT id FROM api_keys ORDER BY id")).rows).toEqual([])
    expect((await guarded.execute("SELECT * FROM deployment")).rows).toEqual([])
    await expect(guarded.execute("SELECT 1")).rejects.toMatchObject({ code: GuardedDriver.NOT_RUN })
    await expect(guarded.execute("INSERT INTO api_keys SELECT id FROM api_keys")).rejects.toMatchObject({
      code: GuardedDriver.NOT_RUN
    })
    await expect(guarded.batch(["INSERT INTO api_keys VALUES ('x')"], "write")).rejects.toMatchObject({
      code: GuardedDriver.NOT_RUN
    })
    driver.close()
  })
})

describe("coupon backup, of MySQL and MariaDB", () => {
  const defer = deferral()

  it("names the server's own command, with what it needs", () => {
    const endpoint = parseUrl(Redacted.make("mysql://coupon:x@db1,db2:3307/my%20shop?ssl-mode=REQUIRED"))
    const mysql = MySqlBackup.adviceFor(endpoint, { version: "8.4.6", logsBinary: true })
    expect(mysql.server).toBe("MySQL 8.4.6 at db1:3306, db2:3307")
    expect(mysql.command).toBe(
      "mysqldump --host=db1 --port=3306 --user=root --password --ssl-mode=REQUIRED " +
        "--default-character-set=utf8mb4 --single-transaction --quick " +
        "--routines --hex-blob --no-tablespaces --set-gtid-purged=OFF --source-data=2 'my shop'"
    )
    expect(mysql.notes.join(" ")).toMatch(/RELOAD and REPLICATION CLIENT.*position of the binary log/)
    expect(MySqlBackup.adviceFor(endpoint, { version: "8.0.25-debug", logsBinary: true }).command)
      .toContain(" --master-data=2 ")
    expect(MySqlBackup.adviceFor(endpoint, { version: "9.0.1", logsBinary: true }).command)
      .toContain(" --source-data=2 ")
    const maria = MySqlBackup.adviceFor(endpoint, { version: "10.11.6-MariaDB-log", logsBinary: false })
    expect(maria.command).toMatch(/^mariadb-dump .*--single-transaction .*--routines (?!.*gtid)(?!.*-data=2)/)
    expect(maria.notes.join(" ")).toContain("loses every coupon since the backup")
  })

  for (const kind of availableDatabases()) {
    it(`on ${kind} prints a command that makes a consistent, restorable copy under load`, async (context) => {
      const [redis, database, empty] = await Promise.all([startRedis(), databaseOn(kind), databaseOn(kind)])
      defer(redis.stop)
      defer(database.drop)
      defer(empty.drop)
      const instance = await startFor(defer, { MYSQL_URL: database.url, REDIS_URL: redis.url })
      const load = loadFor(defer)
      const campaignId = await load.openCampaign(instance.url, 100_000)
      const out = Path.join(temporaryDirectory("dump"), "coupon.sql")
      defer(() => removeDirectory(Path.dirname(out)))

      const refused = await coupon(instance.url)("backup", "--to", out)
      expect(refused).toMatchObject({
        code: exitCodes.PRECONDITION.code,
        err: expect.stringContaining("nothing was copied") as string
      })
      expect(Fs.existsSync(out)).toBe(false)
      const piped = startCommand(["backup", "--to", "-"], { COUPON_URL: instance.url })
      expect(await piped.ended).toMatchObject({ code: exitCodes.PRECONDITION.code, out: "" })

      const { username, password, pathname } = new URL(database.url)
      const command = refused.out.trim().split("\n").at(-1)!.replace("--user=root --password", `--user=${username}`)
      const program = command.split(" ", 1)[0]!
      const version = spawnSync(program, ["--version"], { encoding: "utf8" }).stdout ?? ""
      // MariaDB's package has a program of that name, too, which does not know MySQL's options.
      context.skip(
        version === "" || /mariadb/i.test(version) !== (kind === "mariadb"),
        `there is no ${program} of ${kind} on this machine`
      )

      const running = load.keepClaiming(() => [instance.url], newcomers([campaignId], 1), 20)
      defer(running.stop)
      await expect.poll(() => load.history.length).toBeGreaterThan(300)
      const began = clock()
      const env = { ...process.env, MYSQL_PWD: decodeURIComponent(password) }
      await run("bash", ["-ec", command], { env })
      await running.stop()
      expect(await instance.stop()).toBe(0)

      const into = new URL(empty.url)
      const client = kind === "mariadb" ? "mariadb" : "mysql"
      await run("bash", [
        "-ec",
        `${client} -h${into.hostname} -P${into.port} -u${username} ${into.pathname.slice(1)} < ${out}`
      ], { env })
      expect(pathname).not.toBe(into.pathname)
      await redis.flushAll()
      const restored = { MYSQL_URL: empty.url, REDIS_URL: redis.url }
      const again = await startFor(defer, restored)
      const restoredAt = clock()
    const [holder] = before(load.history, began)
      expect(await load.claim(again.url, { campaignId, userId: Number(holder!.userId) }))
        .toMatchObject({ outcome: "COUPON_ALREADY_CLAIMED", code: holder!.code })
      expect(await load.claim(again.url, { campaignId, userId: 10_000_000 })).toMatchObject({ outcome: "OK" })
      await expect.poll(() => verify(restored), { interval: 500 }).toContain("1 campaign, every invariant holds")
      await checkInvariants(
        { databaseUrl: empty.url, redisUrl: redis.url },
        asRestored(load.history, began, restoredAt)
      )
    })
  }
})
