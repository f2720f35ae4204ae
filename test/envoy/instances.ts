import { webhookSettings } from "../contract/webhooks.ts"
import type { Stores } from "../invariants/Snapshot.ts"
import { startInstance, type Instance } from "../support/Instance.ts"
import { availableDatabases, databaseOn, freePort, startRedis } from "../support/servers.ts"

/** Three instances on fixed ports, so that each can be started again where Envoy looks for it. */
export interface Instances {
  readonly ports: ReadonlyArray<number>
  readonly stores: Stores & { readonly databaseUrl: string }
  readonly at: (k: number) => Instance
  /** Starts the k-th, which must not run; resolves when it is ready. */
  readonly start: (k: number) => Promise<Instance>
  readonly stop: () => Promise<void>
}

/** On a fresh database of the kind that this run has, and a Redis of their own. */
export const startInstances = async (): Promise<Instances> => {
  const redis = await startRedis()
  const database = await databaseOn(availableDatabases().includes("mysql") ? "mysql" : "mariadb")
  const ports: Array<number> = []
  while (ports.length < 3) ports.push(await freePort())
  const running: Array<Instance> = []
  const start = async (k: number) =>
    running[k] = await startInstance({
      MYSQL_URL: database.url,
      REDIS_URL: redis.url,
      PORT: String(ports[k]),
      ...webhookSettings
    })
  const stop = async () => {
    await Promise.all(running.map((instance) => instance.stop()))
    await database.drop()
    await redis.stop()
  }
  const started = await Promise.allSettled(ports.map((_, k) => start(k)))
  const failed = started.find((one) => one.status === "rejected")
  if (failed !== undefined) {
    await stop()
    throw failed.reason
  }
  return { ports, stores: { databaseUrl: database.url, redisUrl: redis.url }, at: (k) => running[k]!, start, stop }
}
