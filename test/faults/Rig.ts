import * as Fs from "node:fs"
import * as Path from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import type { Stores } from "../invariants/Snapshot.ts"
import { startProxy, type FaultProxy } from "../support/FaultProxy.ts"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"
import { startInstance, type Instance } from "../support/Instance.ts"
import {
  query,
  startDatabase,
  startRedis,
  type DatabaseKind,
  type DatabaseServer,
  type RedisServer
} from "../support/privateServers.ts"
import { deadlockArgs, type Deadlocks, makeDeadlockCounter } from "./Deadlocks.ts"

/**
 * Deadlines of the service shortened in proportion, so that a run meets more of them in its time. A reply may still
 * take longer than the wait for a row lock (1 s with these), as in production.
 */
export const speedUps = {
  REQUEST_TIMEOUT: "3 seconds",
  MYSQL_REPLY_TIMEOUT: "2500 millis",
  RESERVATION_TIMEOUT: "4 seconds",
  REAPER_INTERVAL: "200 millis",
  HYDRATE_PAGE_SIZE: "1000"
} as const

/** Whom the instances sign in as: who may do all with their database, and nothing that is the server's. */
export const SERVICE_USER = "service"

/** Connections that the database grants: the instances' pools, and few others. */
const MAX_CONNECTIONS = 60

/** One instance of the service and its own way to each store. */
export interface Node {
  readonly index: number
  /** Runs now, or ran last. */
  readonly instance: () => Instance
  readonly sql: FaultProxy
  readonly redis: FaultProxy
  /** Starts another process in its place; resolves when that is ready. */
  readonly start: () => Promise<void>
  /** Everything that this instance and those before it in its place have printed. */
  readonly logs: () => string
}

/** The whole system under test, in processes of its own. */
export interface Rig {
  readonly nodes: ReadonlyArray<Node>
  readonly urls: () => ReadonlyArray<string>
  readonly database: DatabaseServer
  /** Leads to the database past the proxies. */
  readonly databaseUrl: string
  readonly redis: RedisServer
  readonly stores: Stores
  /** SIGKILL; the next `redis.restart` finds nothing to load. */
  readonly killRedisForGood: () => Promise<void>
  readonly stop: () => Promise<void>
}

/** How the instances of a rig are started. */
export interface RigOptions {
  /** The settings of each of them, beside its stores and `speedUps`. */
  readonly nodes: ReadonlyArray<Readonly<Record<string, string>>>
  /** Modules that each instance loads before the program. */
  readonly preload?: ReadonlyArray<string>
}

/** The stores of one rig, or of several one after another. */
export interface Servers {
  readonly database: DatabaseServer
  readonly redis: RedisServer
  readonly redisDir: string
  /** Deadlocks of the database so far. */
  readonly deadlocks: () => Deadlocks
  readonly stop: () => Promise<void>
}

export const startServers = async (kind: DatabaseKind): Promise<Servers> => {
  const redisDir = temporaryDirectory("faults-redis")
  const deadlocks = makeDeadlockCounter()
  const [database, redis] = await Promise.all([
    startDatabase(kind, {
      args: [`--max-connections=${MAX_CONNECTIONS}`, ...deadlockArgs[kind]],
      log: deadlocks.read
    }),
    startRedis({ args: ["--dir", redisDir] })
  ])
  return {
    database,
    redis,
    redisDir,
    deadlocks: deadlocks.found,
    stop: async () => {
      await Promise.all([database.stop(), redis.stop()])
      removeDirectory(redisDir)
    }
  }
}

/**
 * Starts instances whose every connection leads through a proxy of their own, on an empty database and an empty Redis.
 */
export const startRig = async ({ database, redis, redisDir }: Servers, options: RigOptions): Promise<Rig> => {
  const releases: Array<() => unknown> = []
  const stop = async () => {
    for (let release = releases.pop(); release !== undefined; release = releases.pop()) await release()
  }
  try {
    const name = `coupon_${Date.now().toString(36)}`
    await query(
      database.url,
      `CREATE DATABASE ${name}`,
      `CREATE USER IF NOT EXISTS '${SERVICE_USER}'@'%' IDENTIFIED BY '${SERVICE_USER}'`,
      `GRANT ALL ON ${name}.* TO '${SERVICE_USER}'@'%'`
    )
    await redis.flushAll()
    // A snapshot that an earlier rig took would come back with a restart.
    Fs.rmSync(Path.join(redisDir, "dump.rdb"), { force: true })
    const databaseUrl = Object.assign(new URL(database.url), { pathname: `/${name}` }).href
    const serviceUrl = Object.assign(new URL(databaseUrl), { username: SERVICE_USER, password: SERVICE_USER }).href
    const stores = { databaseUrl, redisUrl: redis.url }
    const own = { databaseUrl: serviceUrl, redisUrl: redis.url }
    const started = await Promise.allSettled(
      options.nodes.map((env, index) => startNode(index, env, own, database, redis, options.preload ?? [], releases))
    )
    const nodes = started.map((one) => {
      if (one.status === "rejected") throw one.reason
      return one.value
    })
    return {
      nodes,
      urls: () => nodes.map((node) => node.instance().url),
      database,
      databaseUrl,
      redis,
      stores,
      killRedisForGood: async () => {
        await redis.kill()
        Fs.rmSync(Path.join(redisDir, "dump.rdb"), { force: true })
      },
      stop
    }
  } catch (error) {
    await stop()
    throw error
  }
}

const here = import.meta.dirname

const startNode = async (
  index: number,
  env: Readonly<Record<string, string>>,
  stores: { readonly databaseUrl: string; readonly redisUrl: string },
  database: DatabaseServer,
  redis: RedisServer,
  preload: ReadonlyArray<string>,
  releases: Array<() => unknown>
): Promise<Node> => {
  const [sqlProxy, redisProxy] = await Promise.all([startProxy(database.port), startProxy(redis.port)])
  releases.push(sqlProxy.stop, redisProxy.stop)
  const imports = preload.flatMap((file) => ["--import", Path.join(here, file)])
  const launch = () =>
    startInstance(
      { ...speedUps, MYSQL_URL: sqlProxy.url(stores.databaseUrl), REDIS_URL: redisProxy.url(stores.redisUrl), ...env },
      { program: [...imports, "src/main.ts"] }
    )
  let instance = await launch()
  releases.push(() => instance.kill())
  let earlier = ""
  return {
    index,
    instance: () => instance,
    sql: sqlProxy,
    redis: redisProxy,
    logs: () => earlier + instance.logs(),
    start: async () => {
      earlier += instance.logs()
      instance = await launch()
    }
  }
}

/** A campaign that has handed out `taken` of its coupons already, to the users from `firstUser` on; returns its id. */
export const openWornCampaign = async (
  databaseUrl: string,
  limit: number,
  taken: number,
  firstUser: number
): Promise<number> => {
  const code = (n: number) => n.toString().padStart(10, "0")
  const [row] = await query(
    databaseUrl,
    `INSERT INTO campaigns (name, coupon_limit, current_coupon, start_time, created_at, updated_at)
     VALUES ('worn', ${limit}, ${taken}, '2025-06-25', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))`,
    "SELECT MAX(id) AS id FROM campaigns"
  )
  const campaignId = Number(row!["id"])
  const PAGE = 5_000
  const pages = Array.from({ length: Math.ceil(taken / PAGE) }, (_, page) => {
    const ids = Array.from({ length: Math.min(PAGE, taken - page * PAGE) }, (_, k) => page * PAGE + k + 1)
    return `INSERT INTO coupons (campaign_id, id, user_id, code, issued_at) VALUES ${
      ids.map((id) => `(${campaignId}, ${id}, ${firstUser + id - 1}, '${code(id)}', UTC_TIMESTAMP(6))`).join(",")
    }`
  })
  await query(databaseUrl, ...pages)
  return campaignId
}

/** Waits until the condition holds, or that long; returns whether it held. */
export const until = async (condition: () => boolean | Promise<boolean>, millis: number): Promise<boolean> => {
  const end = performance.now() + millis
  for (;;) {
    if (await condition()) return true
    if (performance.now() > end) return false
    await pause(10)
  }
}
