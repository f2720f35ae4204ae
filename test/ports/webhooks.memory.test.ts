import * as Effect from "effect/Effect"
import * as MemoryWebhooks from "../webhooks/MemoryWebhooks.ts"
import * as WebhooksExercise from "./webhooks.exercise.ts"

WebhooksExercise.exercise(
  "Webhooks in memory",
  MemoryWebhooks.layer,
  {
    append: (campaignId, times) =>
      Effect.map(MemoryWebhooks.MemoryStore, ({ append }) =>
        times.forEach((at) => void append(campaignId, "campaign.updated", at))),
    forget: (campaignId, upTo) => Effect.map(MemoryWebhooks.MemoryStore, ({ forget }) => forget(campaignId, upTo))
  },
  Effect.map(MemoryWebhooks.MemoryStore, ({ acts }) => [...acts])
)
