import { execFileSync } from "node:child_process"
import * as Path from "node:path"
import { Redis } from "ioredis"
import * as MySql from "mysql2/promise"
import * as Fs from "node:fs"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { coupon } from "../operator/Command.ts"
import { contract } from "../contract/contract.ts"
import { webhookSettings } from "../contract/webhooks.ts"
import { startCluster } from "../e2e/cluster.ts"
import { deferral } from "../e2e/scenario.ts"
import { nodeProgram, startInstance } from "../support/Instance.ts"
import { isLongProfile } from "../support/profile.ts"
import { gateKey, privateDatabases, query } from "../support/servers.ts"
import { hasOpenssl, makeCertificates } from "./certificates.ts"
import { startSecureStores, type SecureStores } from "./leastPrivilege.ts"

const BOOTSTRAP = "the-first-key-of-all-0123456789abcdef"

const root = Path.resolve(import.meta.dirname, "../..")
const kind = privateDatabases().at(-1)

const migrate = (env: Readonly<Record<string, string>>): string =>
  execFileSync(nodeProgram, ["src/migrate.ts"], {
    cwd: root,
    encoding: "utf8",
    env: { PATH: process.env["PATH"], NODE_COMPILE_CACHE: ".cache/compile", ...env },
    stdio: ["ignore", "pipe", "pipe"]
  })

const suite = (on: NonNullable<typeof kind>) => {
  let stores: SecureStores
  beforeAll(async () => {
    stores = await startSecureStores(on)
  })
  afterAll(() => (stores as SecureStores | undefined)?.stop())

  describe("stores with TLS and users who may do little", () => {
    const defer = deferral()

    it("let the serving user migrate nothing, and say what to do", () => {
      // Not even the tables are there, so it has no rights at all.
      expect(() => migrate(stores.env)).toThrow(/denied/)
    })

    it("let the owner migrate by its own URL", () => {
      expect(migrate({ ...stores.env, MYSQL_MIGRATION_URL: stores.ownerUrl })).toContain("applied core")
      expect(migrate({ ...stores.env, MYSQL_MIGRATION_URL: stores.ownerUrl })).toContain("the schema is current")
    })

    it("are not used as long as their certificates are not trusted", async () => {
      const strangers = makeCertificates()
      defer(strangers.remove)
      const wary = await startInstance({ ...stores.env, MYSQL_CA_FILE: strangers.ca, REDIS_CA_FILE: strangers.ca }, {
        ready: false
      })
      defer(wary.kill)
      await expect.poll(wary.logs).toMatch(/waiting for MySQL[^\n]*(certificate|signature)/)
      await expect.poll(wary.logs).toMatch(/cannot reach Redis[^\n]*(certificate|signature)/)
      expect((await fetch(`${wary.url}/readyz`)).status).toBe(503)
    })

    it("need an authority whose file is there", async () => {
      await Promise.all(["MYSQL_CA_FILE", "REDIS_CA_FILE"].map((name) =>
        expect(startInstance({ ...stores.env, [name]: "missing.pem" })).rejects.toThrow(`${name}: ENOENT`)
      ))
    })
  })

  contract(`the contract, one instance with least privileges on ${on} and Redis by TLS`, async () => {
    await stores.grant()
    const { MYSQL_URL, REDIS_URL, ...env } = stores.env
    const cluster = await startCluster({ databaseUrl: MYSQL_URL!, redisUrl: REDIS_URL! }, 1, {
      ...env,
      ...webhookSettings
    })
    return { ...cluster, hasWebhooks: true }
  }, true, isLongProfile)

  describe("the user of the service, after the contract", () => {
    const refusals: ReadonlyArray<readonly [statement: string, errno: number]> = [
      ["DROP TABLE coupons", 1142],
      ["TRUNCATE TABLE outbox", 1142],
      ["ALTER TABLE coupons ADD COLUMN x INT", 1142],
      ["CREATE TABLE x (id INT)", 1142],
      ["DELETE FROM coupons", 1142],
      ["UPDATE coupons SET code = 'A'", 1143],
      ["UPDATE coupons SET id = 1", 1143],
      ["DELETE FROM campaigns", 1142],
      ["UPDATE outbox SET kind = 'VOID'", 1142],
      ["UPDATE admin_audit SET actor = ''", 1142],
      ["DELETE FROM admin_audit", 1142],
      ["UPDATE admin_audit_facts SET address = ''", 1142],
      ["DELETE FROM admin_audit_facts", 1142],
      ["UPDATE admin_audit_chain SET hash = ''", 1142],
      ["DELETE FROM admin_audit_chain", 1142],
      ["DELETE FROM admin_audit_head", 1142],
      ["DELETE FROM api_keys", 1142],
      ["UPDATE api_keys SET role = 'ADMIN'", 1143],
      ["UPDATE api_keys SET secret_hash = ''", 1143],
      ["UPDATE api_keys SET name = ''", 1143],
      ["UPDATE api_key_limits SET campaigns = NULL", 1142],
      ["DELETE FROM api_key_limits", 1142],
      ["UPDATE api_key_ends SET ends_at = NOW()", 1142],
      ["DELETE FROM api_key_ends", 1142],
      ["UPDATE api_key_use SET key_id = ''", 1143],
      ["DELETE FROM api_key_use", 1142],
      ["UPDATE campaigns SET id = id + 1", 1143],
      ["UPDATE campaigns SET created_at = NOW()", 1143],
      ["UPDATE deployment SET identity = ''", 1143],
      ["DELETE FROM deployment", 1142],
      ["INSERT INTO schema_migrations VALUES (99, 'x', NOW())", 1142],
      ["SELECT * FROM mysql.user", 1142],
      ["SET GLOBAL read_only = OFF", 1227],
      ["DROP DATABASE coupon", 1044]
    ]
    it("of MySQL may not do anything else", async () => {
      const connection = await MySql.createConnection({
        uri: stores.env["MYSQL_URL"]!.replace(/\?.*/, ""),
        ssl: { ca: Fs.readFileSync(stores.certificates.ca, "utf8") }
      })
      try {
        // A table that a migration added belongs into deploy/mysql-grants.sql.
        const tables = await query(
          stores.adminUrl,
          "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'coupon'"
        )
        for (const { name } of tables) await connection.query(`SELECT COUNT(*) FROM ${String(name)}`)
        for (const [statement, errno] of refusals) {
          await expect(connection.query(statement), statement).rejects.toMatchObject({ errno })
        }
      } finally {
        connection.destroy()
      }
    })

    it("of MySQL may do what every write of keys needs", async () => {
      const instance = await startInstance({ ...stores.env, ADMIN_API_KEY: BOOTSTRAP })
      try {
        const admin = coupon(instance.url, { COUPON_API_KEY: BOOTSTRAP })
        const made = async (...args: ReadonlyArray<string>) => {
          const { code, err, out } = await admin("keys", ...args, "--json")
          expect({ code, err }, args[0]).toEqual({ code: 0, err: "" })
          return JSON.parse(out) as { readonly id: string; readonly secret: string }
        }
        const { id, secret } = await made("create", "--name", "least", "--role", "VIEWER", "--expires", "+1d")
        await made("limit", id, "--networks", "127.0.0.0/8,::1")
        const next = await made("rotate", id, "--overlap", "1h")
        for (const key of [secret, next.secret]) {
          expect(await coupon(instance.url, { COUPON_API_KEY: key })("settings")).toMatchObject({ code: 0 })
        }
        await made("revoke", id)
        // The agent that records it runs each 10 s.
        await expect.poll(async () => {
          const { out } = await admin("keys", "list", "--json")
          const keys = JSON.parse(out) as ReadonlyArray<{ readonly id: string; readonly lastUsedOn: string | null }>
          return keys.find((key) => key.id === next.id)?.lastUsedOn
        }, { timeout: 60_000 }).toMatch(/^\d{4}-\d\d-\d\d$/)
      } finally {
        await instance.stop()
      }
    })

    it("of MySQL may not come without TLS", async () => {
      await expect(MySql.createConnection({ uri: stores.env["MYSQL_URL"]!.replace(/\?.*/, "") })).rejects.toMatchObject(
        { errno: 1045 }
      )
    })

    it("of Redis may do nothing else, and touch nothing else", async () => {
      const redis = new Redis(stores.env["REDIS_URL"]!, {
        tls: { ca: Fs.readFileSync(stores.certificates.ca, "utf8") },
        retryStrategy: null
      })
      redis.on("error", () => {})
      try {
        const [meta, other, unknown] = await Promise.all(
          ["m", "i", "x"].map((part) => gateKey(stores.reader.databaseUrl, 1, part))
        )
        expect(Number(await redis.hlen(meta!))).toBeGreaterThan(0)
        // Instances of an earlier version, and deployments that were theirs, have keys without a prefix.
        expect(await redis.hlen("{c1}:m")).toBe(0)
        const commands: ReadonlyArray<readonly [string, ...Array<string>]> = [
          ["FLUSHALL"],
          ["FLUSHDB"],
          ["KEYS", "*"],
          ["SCAN", "0"],
          ["CONFIG", "GET", "*"],
          ["DEBUG", "SLEEP", "0"],
          ["SHUTDOWN"],
          ["ACL", "LIST"],
          ["DEL", meta!],
          ["RENAME", meta!, other!],
          ["SCRIPT", "FLUSH"],
          ["FUNCTION", "LIST"],
          ["MONITOR"],
          ["REPLICAOF", "NO", "ONE"],
          ["GET", meta!],
          ["SUBSCRIBE", "x"],
          ["PUBLISH", "x", "y"],
          ["CLUSTER", "RESET"],
          ["CLIENT", "LIST"],
          ["HLEN", "session:1"],
          ["SADD", "{c1}:x", "1"],
          ["SADD", "{cx}:i", "1"],
          ["SADD", unknown!, "1"],
          ["SADD", "session:{c1}:i", "1"],
          ["SADD", "coupon:x:{c1}:i", "1"],
          ["EVAL", "return redis.call('GET', 'secret')", "0"],
          ["EVAL", "return redis.call('DEL', KEYS[1])", "1", meta!]
        ]
        for (const [command, ...args] of commands) {
          await expect(redis.call(command, ...args), [command, ...args].join(" ")).rejects.toThrow(
            /NOPERM|ACL failure|has no permissions|can't run this command/
          )
        }
        expect(Number(await redis.hlen(meta!))).toBeGreaterThan(0)
      } finally {
        redis.disconnect()
      }
      const anonymous = new Redis(stores.reader.redisUrl.replace(/\/\/.*@/, "//"), { retryStrategy: null })
      anonymous.on("error", () => {})
      await expect(anonymous.call("PING")).rejects.toThrow(/NOAUTH/)
      anonymous.disconnect()
    })
  })
}

if (kind === undefined) {
  describe("stores with least privileges", () => it.skip("no database server to start here", () => {}))
} else if (!hasOpenssl()) {
  describe("stores with least privileges", () => it.skip("no openssl here, which makes the certificates", () => {}))
} else suite(kind)
