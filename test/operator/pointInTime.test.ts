import { execFile, spawnSync } from "node:child_process"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"
import { newcomers } from "../e2e/load.ts"
import { clock, deferral, loadFor, startFor } from "../e2e/scenario.ts"
import { checkInvariants } from "../invariants/invariants.ts"
import { blocksOf, read } from "../readme/blocks.ts"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"
import { privateDatabases, query, startDatabase, startRedis, type DatabaseKind } from "../support/servers.ts"
import { coupon } from "./Command.ts"

const run = promisify(execFile)

/** The commands of docs/guides/backup.md, "Roll forward to a moment", in their order. */
const commands = blocksOf(read("docs/guides/backup.md")).filter(({ info }) => info.startsWith("sh rehearsed"))

const programs = { mysql: ["mysqldump", "mysqlbinlog"], mariadb: ["mariadb-dump", "mariadb-binlog"] } as const

/** Which program of that server is missing; MariaDB's packages have programs of MySQL's names. */
const missing = (kind: DatabaseKind) =>
  programs[kind].find((program) => {
    const { error, stdout } = spawnSync(program, ["--version"], { encoding: "utf8" })
    return error !== undefined || /mariadb|Ver 3\.\d/i.test(stdout) !== (kind === "mariadb")
  })

describe.each(privateDatabases())("a restore to a moment, of %s", (kind) => {
  const defer = deferral()

  const scene = async () => {
    const [server, target, redis] = await Promise.all([
      startDatabase(kind, { args: ["--log-bin=binlog", "--server-id=1", "--binlog-format=ROW"] }),
      startDatabase(kind, { args: ["--skip-log-bin"] }),
      startRedis()
    ])
    for (const { stop } of [server, target, redis]) defer(stop)
    const directory = temporaryDirectory("binlogs")
    defer(() => removeDirectory(directory))
    const instance = await startFor(defer, { MYSQL_URL: server.url, REDIS_URL: redis.url })
    const load = loadFor(defer)
    const campaignId = await load.openCampaign(instance.url, 100_000)

    const reach = (url: string) =>
      `--host=127.0.0.1 --port=${new URL(url).port} --protocol=tcp --user=coupon --password=coupon`
    const named = (text: string) =>
      text.replaceAll("--host=db --user=root --password", reach(server.url))
        .replaceAll("--host=restored --user=root --password", reach(target.url))
        .replaceAll(/\bmysqlbinlog\b/g, programs[kind][1])
        .replaceAll(/\bmysql (?=--host)/g, `${kind} `)
    const shell = (text: string) => run("bash", ["-euo", "pipefail", "-c", named(text)], { cwd: directory })
    /** The dump that `coupon backup` names. */
    const dump = async () => {
      const advice = (await coupon(instance.url)("backup")).out.trim().split("\n").at(-1)!
      await shell(advice.replace(/--host=\S+ --port=\S+ --user=root --password/, reach(server.url)) + " > coupon.sql")
    }
    /** Claims go on until so many more were answered. */
    const claims = async (count: number, firstUser: number) => {
      const running = load.keepClaiming(() => [instance.url], newcomers([campaignId], firstUser), 20)
      const goal = load.history.length + count
      await expect.poll(() => load.history.length).toBeGreaterThan(goal)
      return running
    }
    return { campaignId, claims, dump, instance, load, redis, server, shell, target }
  }

  const skips = missing(kind)

  it.skipIf(skips !== undefined)("loses nothing of what was answered, up to the last commit", async () => {
    const { claims, dump, instance, load, redis, shell, target } = await scene()
    const running = await claims(300, 1)
    await dump()
    const more = await claims(300, 100_001)
    await Promise.all([running.stop(), more.stop()])
    expect(await instance.stop()).toBe(0)
    await shell(commands.filter(({ info }) => !info.includes("mistake")).map(({ text }) => text).join("\n"))
    await redis.flushAll()
    await startFor(defer, { MYSQL_URL: target.url, REDIS_URL: redis.url })
    await checkInvariants({ databaseUrl: target.url, redisUrl: redis.url }, load.history)
  })

  it.skipIf(skips !== undefined)("stops just before a mistake", async () => {
    const { campaignId, claims, dump, instance, load, redis, server, shell, target } = await scene()
    const running = await claims(300, 1)
    await dump()
    const more = await claims(200, 100_001)
    await query(server.url, "FLUSH BINARY LOGS")
    const last = await claims(200, 200_001)
    await Promise.all([running.stop(), more.stop(), last.stop()])
    const mistakeAt = clock()
    await query(server.url, `DELETE FROM coupons WHERE campaign_id = ${campaignId} AND id > 10`)
    await (await claims(20, 300_001)).stop()
    await instance.kill()
    await shell(commands.map(({ text }) => text).join("\n"))
    await redis.flushAll()
    const again = await startFor(defer, { MYSQL_URL: target.url, REDIS_URL: redis.url })
    const [row] = await query(target.url, "SELECT COUNT(*) AS coupons FROM coupons")
    const answered = load.history.filter(({ answeredAt, outcome }) => outcome === "OK" && answeredAt < mistakeAt)
    expect(Number(row!["coupons"])).toBe(answered.length)
    expect(await load.claim(again.url, { campaignId, userId: 400_001 })).toMatchObject({ outcome: "OK" })
    // What was answered after the mistake is gone.
    const kept = load.history.filter(({ askedAt, userId }) => askedAt < mistakeAt || userId === "400001")
    await checkInvariants({ databaseUrl: target.url, redisUrl: redis.url }, kept)
  })

  if (skips !== undefined) console.warn(`${skips} of ${kind} is not on this machine`)
})
