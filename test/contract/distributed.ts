import { startCluster } from "../e2e/cluster.ts"
import { isLongProfile } from "../support/profile.ts"
import { databaseOn, startRedis, type DatabaseKind } from "../support/servers.ts"
import { contract, type Subject } from "./contract.ts"
import { webhookSettings } from "./webhooks.ts"

/** Instances on a fresh database and a Redis of their own: campaign ids begin at 1, so its keys cannot be shared. */
const start = async (kind: DatabaseKind, size: number, eventStream: "off" | "redis"): Promise<Subject> => {
  const redis = await startRedis()
  const database = await databaseOn(kind)
  const release = async () => {
    await database.drop()
    await redis.stop()
  }
  const cluster = await startCluster(
    { databaseUrl: database.url, redisUrl: redis.url },
    size,
    { EVENT_STREAM: eventStream, ...webhookSettings }
  ).catch(
    async (error: unknown) => {
      await release()
      throw error
    }
  )
  return {
    ...cluster,
    hasWebhooks: true,
    stop: async () => {
      await cluster.stop()
      await release()
    }
  }
}

/** The contract on a database of that kind and Redis. */
export const distributedContract = (kind: DatabaseKind, size: number, eventStream: "off" | "redis"): void => {
  const instances = size === 1 ? "one instance" : `${size} instances`
  const name = `the contract, ${instances} on ${kind} and Redis, event stream ${eventStream}`
  contract(name, () => start(kind, size, eventStream), true, isLongProfile)
}
