import { startCluster } from "../e2e/cluster.ts"
import { isLongProfile } from "../support/profile.ts"
import { availableDatabases, databaseOn } from "../support/servers.ts"
import { contract } from "../contract/contract.ts"
import { webhookSettings } from "../contract/webhooks.ts"
import { startRedisCluster } from "./topologies.ts"

const kind = availableDatabases().at(-1)!

contract(`the contract, one instance on ${kind} and a Redis cluster`, async () => {
  const redis = await startRedisCluster()
  const database = await databaseOn(kind)
  const release = async () => {
    await database.drop()
    await redis.stop()
  }
  const stores = { databaseUrl: database.url, redisUrl: redis.servingUrl }
  const cluster = await startCluster(stores, 1, webhookSettings).catch(
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
}, true, isLongProfile)
