import { startCluster } from "../e2e/cluster.ts"
import { together } from "../ports/worstSessions.ts"
import { isLongProfile } from "../support/profile.ts"
import { privateDatabases, query, startDatabase, startRedis } from "../support/servers.ts"
import { contract } from "./contract.ts"
import { webhookSettings } from "./webhooks.ts"

/** A real MySQL where there is one: test/ports/sessionState.test.ts has each variable on each server. */
const kind = privateDatabases().at(-1)!

contract(`the contract on ${kind}, whose sessions begin with the worst of every variable`, async () => {
  const [redis, database] = await Promise.all([startRedis(), startDatabase(kind)])
  const release = () => Promise.all([redis.stop(), database.stop()])
  try {
    // A user without privileges of administration: for others init_connect does not hold.
    const text = together(kind).replaceAll("'", "''")
    await query(
      database.url,
      "CREATE USER plain@'%' IDENTIFIED BY 'plain'",
      "GRANT ALL ON coupon.* TO plain@'%'",
      `SET GLOBAL init_connect = '${text}'`
    )
    const databaseUrl = database.url.replace("coupon:coupon@", "plain:plain@")
    const cluster = await startCluster({ databaseUrl, redisUrl: redis.url }, 1, {
      EVENT_STREAM: "off",
      ...webhookSettings
    })
    return {
      ...cluster,
      hasWebhooks: true,
      stop: async () => {
        await cluster.stop()
        await release()
      }
    }
  } catch (error) {
    await release()
    throw error
  }
}, true, isLongProfile)
