import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { CampaignId } from "../../domain/CampaignId.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import type { WebhookEndpoint } from "../../domain/webhooks/Webhook.ts"
import type { WebhookAttempt } from "../../ports/webhooks/WebhookCursors.ts"
import type { Body } from "../../contract/webhooks/CloudEvents.ts"
import * as StandardWebhooks from "../../contract/webhooks/StandardWebhooks.ts"
import type { SecretBox } from "../secrets/SecretBox.ts"
import type { WebhookSender } from "../sending/WebhookSender.ts"
import type { Batch } from "./BatchReader.ts"

/** What one request has come to. */
export interface Outcome {
  readonly isDelivered: boolean
  /** The receiver wants nothing any more: 410. */
  readonly isGone: boolean
  readonly status: number | undefined
  readonly reason: string
  readonly answer: string
  readonly retryAfterMillis: number | undefined
  readonly tookMillis: number
}

const GONE = 410

/** The secrets of an endpoint that are valid now, opened. */
const secretsOf = (box: SecretBox, { id, secrets }: WebhookEndpoint, now: EpochMillis) =>
  Either.all(
    secrets.filter(({ expiresAt }) => expiresAt === undefined || expiresAt > now).map(({ sealed }) =>
      box.open(sealed, id))
  )

/** Signs and sends a body to an endpoint. `id` is the same each time that the same body is sent. */
export const send = (
  { box, sender }: { readonly box: SecretBox; readonly sender: WebhookSender["Type"] },
  endpoint: WebhookEndpoint,
  id: string,
  body: Body
): Effect.Effect<Outcome> =>
  Effect.gen(function*() {
    const now = yield* Clock.currentTimeMillis
    const nothing = { isGone: false, status: undefined, answer: "", retryAfterMillis: undefined }
    const secrets = secretsOf(box, endpoint, now)
    if (Either.isLeft(secrets)) {
      return { ...nothing, isDelivered: false, reason: secrets.left.message, tookMillis: 0 }
    }
    const headers = { ...StandardWebhooks.sign(secrets.right, id, now, body.text) }
    const result = yield* sender.send({
      url: endpoint.url,
      contentType: body.contentType,
      headers,
      body: body.text
    })
    const { tookMillis } = result
    if (result._tag === "NotAnswered") return { ...nothing, isDelivered: false, reason: result.reason, tookMillis }
    const { retryAfterMillis, status, text } = result
    const isDelivered = status >= 200 && status < 300
    const reason = isDelivered ? "" : `the receiver answered ${status}`
    return { isDelivered, isGone: status === GONE, status, reason, answer: text, retryAfterMillis, tookMillis }
  })

/** The id of a batch, by which a receiver can tell that it has it already. */
export const idOf = (endpointId: string, campaignId: CampaignId, { from, to }: Batch): string =>
  `msg_${endpointId}_${campaignId}_${from.sequence}.${from.number}_${to.sequence}.${to.number}`

/** An attempt that failed, as it is noted. */
export const failedAttempt = (
  { events, from, to }: Batch,
  { answer, reason, status, tookMillis }: Outcome,
  result: "FAILED" | "PARKED"
): WebhookAttempt => ({ from, to, requests: 1, events, result, status, reason, answer, tookMillis })
