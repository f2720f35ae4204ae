import { startEmbedded } from "../e2e/cluster.ts"
import { contract } from "./contract.ts"
import { webhookSettings } from "./webhooks.ts"

contract("the contract, embedded", async () => ({ ...await startEmbedded(webhookSettings), hasWebhooks: true }))
