import { startInstance, type Instance } from "../support/Instance.ts"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"
import type { Stores } from "../invariants/Snapshot.ts"

/** Instances of the service on the same stores. */
export interface Cluster {
  readonly instances: () => ReadonlyArray<Instance>
  readonly urls: () => ReadonlyArray<string>
  /** Where the instances keep their state, for `checkInvariants`. */
  readonly stores: Stores
  /** Adds an instance with the same settings. */
  readonly grow: () => Promise<Instance>
  /** Stops every instance in good order and starts as many. */
  readonly restart: () => Promise<void>
  readonly stop: () => Promise<void>
}

/** What such tests ask is to be answered, not shed, however busy the machine. */
const PATIENT = { LATENCY_TARGET: "1s" }

/** Starts instances that share a database and a Redis. `env` adds to the settings of each. */
export const startCluster = async (
  stores: { readonly databaseUrl: string; readonly redisUrl: string },
  size: number,
  env: Readonly<Record<string, string>> = {}
): Promise<Cluster> =>
  cluster({ MYSQL_URL: stores.databaseUrl, REDIS_URL: stores.redisUrl, ...env }, size, stores, async () => {})

/** Starts one instance on the embedded stores in a directory of its own. */
export const startEmbedded = async (
  env: Readonly<Record<string, string>> = {}
): Promise<Cluster & { readonly dataDir: string }> => {
  const dataDir = temporaryDirectory("embedded")
  const one = await cluster({ DATA_DIR: dataDir, ...env }, 1, { dataDir }, async () => removeDirectory(dataDir))
  return { ...one, dataDir }
}

const cluster = async (
  env: Readonly<Record<string, string>>,
  size: number,
  stores: Stores,
  release: () => Promise<void>
): Promise<Cluster> => {
  let instances: Array<Instance> = []
  const start = async (count: number) => {
    const started = await Promise.allSettled(Array.from({ length: count }, () => startInstance({ ...PATIENT, ...env })))
    for (const one of started) if (one.status === "fulfilled") instances.push(one.value)
    for (const one of started) if (one.status === "rejected") throw one.reason
  }
  const stop = async () => {
    const codes = await Promise.all(instances.map((instance) => instance.stop()))
    instances = []
    return codes
  }
  await start(size).catch(async (error: unknown) => {
    await stop()
    await release()
    throw error
  })
  return {
    instances: () => instances,
    urls: () => instances.map(({ url }) => url),
    stores,
    grow: async () => {
      await start(1)
      return instances.at(-1)!
    },
    restart: async () => {
      const count = instances.length
      const codes = await stop()
      if (codes.some((code) => code !== 0)) throw new Error(`instances ended with exit codes ${codes.join(", ")}`)
      await start(count)
    },
    stop: async () => {
      await stop()
      await release()
    }
  }
}
