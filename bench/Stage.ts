import * as Path from "node:path"
import { DatabaseSync } from "node:sqlite"
import { setTimeout as delay } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { Redis } from "ioredis"
import { removeDirectory, spawnGuarded, temporaryDirectory } from "../test/support/guardian.ts"
import { nodeProgram, startInstance, type Instance } from "../test/support/Instance.ts"
import {
  databasePrograms,
  query,
  startDatabase,
  startRedis,
  type DatabaseKind
} from "../test/support/privateServers.ts"
import { listenerOf } from "./Cpu.ts"
import type { EchoKind } from "./echo.ts"

/** What the keys of the gate begin with. */
export const GATE_PREFIX = "bench:"

/** The servers of a run and the service on them, all private unless MYSQL_URL names a MySQL. */
export interface Stage {
  readonly mysqlUrl: string
  readonly mysqlVersion: string
  readonly redis: Redis
  readonly redisUrl: string
  readonly redisVersion: string
  /** Processes whose CPU time a claim costs, besides the service and the load. */
  readonly pids: Readonly<Record<string, number>>
  readonly sql: (...statements: ReadonlyArray<string>) => Promise<ReadonlyArray<Record<string, unknown>>>
  /** Starts the service on these servers. */
  readonly distributed: (env?: Readonly<Record<string, string>>, program?: ReadonlyArray<string>) => Promise<Instance>
  readonly stop: () => Promise<void>
}

/**
 * As a production server has it: the buffer pool and the log hold the working set, and what the tests' servers go
 * without is as it is by default. Durability is the default, or better said.
 */
const serverArguments = (kind: DatabaseKind) => [
  ...["--innodb-buffer-pool-size=2G", "--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1"],
  // MariaDB writes no binary log unless asked, which would flatter it.
  ...kind === "mysql"
    ? ["--innodb-redo-log-capacity=2G", "--performance-schema=ON", "--loose-innodb-log-writer-threads=OFF"]
    : ["--innodb-log-file-size=2G", "--log-bin", "--server-id=1"]
]

export const startStage = async (say: (text: string) => void): Promise<Stage> => {
  const stops: Array<() => Promise<unknown>> = []
  const stop = async () => {
    for (const one of stops.reverse()) await one()
  }
  try {
    const given = process.env["MYSQL_URL"]?.trim()
    let mysqlUrl: string
    let mysqlPid: number | undefined
    if (given !== undefined && given !== "") {
      const name = `coupon_bench_${process.pid}`
      await query(given, `CREATE DATABASE ${name}`)
      stops.push(() => query(given, `DROP DATABASE ${name}`))
      const url = new URL(given)
      mysqlPid = ["127.0.0.1", "localhost"].includes(url.hostname) ? listenerOf(Number(url.port || 3306)) : undefined
      url.pathname = `/${name}`
      mysqlUrl = url.href
      say(`MySQL: MYSQL_URL${mysqlPid === undefined ? " (its CPU time cannot be seen from here)" : ""}`)
    } else {
      const kind = databasePrograms().mysql === undefined ? "mariadb" : "mysql"
      say(`starting a private ${kind}`)
      const database = await startDatabase(kind, { args: serverArguments(kind) })
      stops.push(database.stop)
      mysqlUrl = database.url
      mysqlPid = database.pid
    }
    const server = await startRedis()
    stops.push(server.stop)
    const redis = new Redis(server.url, { maxRetriesPerRequest: 1 })
    stops.push(async () => redis.disconnect())
    const [row] = await query(
      mysqlUrl,
      "SELECT VERSION() AS version, @@sync_binlog AS b, @@innodb_flush_log_at_trx_commit AS f, " +
        "@@log_bin AS l, @@performance_schema AS p"
    )
    if (Number(row!["b"]) !== 1 || Number(row!["f"]) !== 1) {
      throw new Error("the server does not flush every commit: the figures would not be of durable coupons")
    }
    const version = String(row!["version"])
    return {
      mysqlUrl,
      mysqlVersion: `${/mariadb/i.test(version) ? "MariaDB" : "MySQL"} ${version}, ` +
        "sync_binlog=1, innodb_flush_log_at_trx_commit=1, " +
        `log_bin=${String(row!["l"])}, performance_schema=${String(row!["p"])}`,
      redis,
      redisUrl: server.url,
      redisVersion: /redis_version:(\S+)/.exec(await redis.info("server"))?.[1] ?? "?",
      pids: { ...mysqlPid === undefined ? {} : { mysqld: mysqlPid }, redis: server.pid },
      sql: (...statements) => query(mysqlUrl, ...statements),
      distributed: (env = {}, program) =>
        startInstance(
          { MYSQL_URL: mysqlUrl, REDIS_URL: server.url, REDIS_KEY_PREFIX: GATE_PREFIX, EVENT_STREAM: "off", ...env },
          program === undefined ? {} : { program }
        ),
      stop
    }
  } catch (error) {
    await stop()
    throw error
  }
}

/** The service on its embedded stores, and a look into its ledger. */
export const startEmbedded = async (): Promise<{
  readonly instance: Instance
  readonly directory: string
  readonly count: (campaignId: number) => number
  readonly stop: () => Promise<void>
}> => {
  const dir = temporaryDirectory("bench")
  const instance = await startInstance({ DATA_DIR: dir })
  return {
    instance,
    directory: dir,
    count: (campaignId) => {
      const database = new DatabaseSync(Path.join(dir, "coupon.db"), { readOnly: true })
      try {
        return Number(database.prepare("SELECT COUNT(*) AS n FROM coupons WHERE campaign_id = ?").get(campaignId)!["n"])
      } finally {
        database.close()
      }
    },
    stop: async () => {
      await instance.stop()
      removeDirectory(dir)
    }
  }
}

/** A yardstick of `bench/echo.ts`. */
export interface Echo {
  readonly port: number
  readonly pid: number
  readonly stop: () => Promise<void>
}

export const startEcho = async (kind: EchoKind): Promise<Echo> => {
  const child = spawnGuarded(nodeProgram, [Path.join(Path.dirname(fileURLToPath(import.meta.url)), "echo.ts"), kind])
  const port = await new Promise<number>((resolve, reject) => {
    let errors = ""
    child.stderr!.on("data", (chunk: Buffer) => errors += chunk.toString())
    child.stdout!.once("data", (chunk: Buffer) => resolve(Number(chunk.toString())))
    child.once("exit", () => reject(new Error(`the ${kind} echo ended: ${errors}`)))
  })
  return {
    port,
    pid: child.pid!,
    stop: async () => {
      const gone = new Promise((resolve) => child.once("exit", resolve))
      child.kill("SIGTERM")
      await gone
    }
  }
}

const post = async (url: string, path: string, body: unknown) => {
  const response = await fetch(`${url}/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Connection: "close" },
    body: JSON.stringify(body)
  })
  return { status: response.status, body: await response.json() as Record<string, unknown> }
}

const SERVICE = "coupon.v1.CouponService"

/** One call, e.g. of `coupon.v1.CouponService/GetCoupon`; fails unless it succeeds. */
export const call = async (url: string, path: string, request: unknown): Promise<Record<string, unknown>> => {
  const { body, status } = await post(url, path, request)
  if (status !== 200) throw new Error(`${path}: ${status} ${JSON.stringify(body)}`)
  return body
}

export const createCampaign = async (
  url: string,
  couponLimit = 10_000_000,
  more: Readonly<Record<string, unknown>> = {}
): Promise<number> => {
  const made = await call(url, `${SERVICE}/CreateCampaign`, {
    name: "bench",
    couponLimit: String(couponLimit),
    startTime: "2025-01-01T00:00:00Z",
    ...more
  })
  return Number(made["campaignId"])
}

/** One claim; the message it is answered: `OK` or a failure's. */
export const claim = async (url: string, campaignId: number, userId: number): Promise<string> =>
  String((await post(url, `${SERVICE}/IssueCoupon`, { campaignId, userId })).body["message"])

/** Waits until a condition holds, looking often; fails after `seconds`. */
export const until = async (what: string, seconds: number, condition: () => Promise<boolean>): Promise<void> => {
  const end = Date.now() + seconds * 1_000
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`)
    await delay(10)
  }
}
