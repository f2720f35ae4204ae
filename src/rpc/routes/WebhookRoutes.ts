import { create } from "@bufbuild/protobuf"
import * as Effect from "effect/Effect"
import {
  CreateWebhookResponseSchema,
  DeleteWebhookResponseSchema,
  GetWebhookResponseSchema,
  ListParkedDeliveriesResponseSchema,
  ListWebhookAttemptsResponseSchema,
  ListWebhooksResponseSchema,
  ParkedDeliverySchema,
  ReplayWebhookResponseSchema,
  RetryParkedDeliveriesResponseSchema,
  RotateWebhookSecretResponseSchema,
  TestWebhookResponseSchema,
  UpdateWebhookResponseSchema,
  WebhookAttempt_Result,
  WebhookAttemptSchema,
  WebhookMode,
  WebhookOnFailure,
  WebhookPositionSchema,
  WebhookSchema,
  WebhookService,
  WebhookStatus
} from "../../contract/gen/coupon/v1/webhook_pb.ts"
import * as Actor from "../../domain/Actor.ts"
import { allows } from "../../domain/Role.ts"
import { formatOptional, formatRfc3339 } from "../../domain/Time.ts"
import type {
  WebhookMode as Mode, WebhookOnFailure as OnFailure, WebhookPosition
} from "../../domain/webhooks/Webhook.ts"
import type { NotedAttempt, ParkedDelivery } from "../../ports/webhooks/WebhookRecords.ts"
import type { WebhookState } from "../../webhooks/delivery/WebhookDelivery.ts"
import type { Page } from "../../webhooks/Webhooks.ts"
import type { CallContext, Route } from "../Route.ts"
import * as Routes from "../Route.ts"

const modes = {
  EACH: WebhookMode.EACH,
  BATCH: WebhookMode.BATCH,
  RANGE: WebhookMode.RANGE
} satisfies Record<Mode, WebhookMode>

const failureModes = {
  RETRY: WebhookOnFailure.RETRY,
  PARK: WebhookOnFailure.PARK
} satisfies Record<OnFailure, WebhookOnFailure>

const webhookOf = ({ backlog, endpoint, lagMillis }: WebhookState) => {
  const { id, reason, scope, secrets, status, version } = endpoint
  const [, former] = secrets
  const isFormerValid = former?.expiresAt !== undefined && former.expiresAt > Date.now()
  return create(WebhookSchema, {
    id,
    url: endpoint.url,
    description: endpoint.description,
    types: [...endpoint.types],
    campaignIds: scope.all === undefined ? scope.some.map(({ campaignId }) => campaignId) : [],
    mode: modes[endpoint.mode],
    onFailure: failureModes[endpoint.onFailure],
    maxAttempts: endpoint.maxAttempts,
    concurrency: endpoint.concurrency,
    status: status === "ENABLED" ? WebhookStatus.ENABLED : WebhookStatus.DISABLED,
    reason,
    disabledAt: formatOptional(endpoint.disabledAt),
    failingSince: formatOptional(endpoint.failingSince),
    createdAt: formatRfc3339(endpoint.createdAt),
    updatedAt: formatRfc3339(endpoint.updatedAt),
    version: BigInt(version),
    formerSecretUntil: isFormerValid ? formatOptional(former.expiresAt) : "",
    backlog: BigInt(backlog),
    lagMillis: BigInt(Math.round(lagMillis))
  })
}

const actorOf = ({ principal, source }: CallContext) => Actor.of(principal, source)

const positionOf = ({ number, sequence }: WebhookPosition) =>
  create(WebhookPositionSchema, { sequence: BigInt(sequence), number })

const results = {
  DELIVERED: WebhookAttempt_Result.DELIVERED,
  FAILED: WebhookAttempt_Result.FAILED,
  PARKED: WebhookAttempt_Result.PARKED
}

const attemptOf = (attempt: NotedAttempt, withAnswer: boolean) =>
  create(WebhookAttemptSchema, {
    id: BigInt(attempt.id),
    campaignId: attempt.campaignId,
    at: formatRfc3339(attempt.at),
    result: results[attempt.result],
    from: positionOf(attempt.from),
    to: positionOf(attempt.to),
    requests: attempt.requests,
    events: attempt.events,
    status: attempt.status ?? 0,
    reason: attempt.reason,
    answer: withAnswer ? attempt.answer : "",
    tookMillis: BigInt(attempt.tookMillis)
  })

const parkedOf = ({ campaignId, from, id, isDue, parkedAt, reason, to }: ParkedDelivery) =>
  create(ParkedDeliverySchema, {
    id: BigInt(id),
    campaignId,
    from: positionOf(from),
    to: positionOf(to),
    reason,
    parkedAt: formatRfc3339(parkedAt),
    due: isDue
  })

const tokenOf = ({ nextId }: Page<unknown>): string => nextId === undefined ? "" : String(nextId)

const { method } = WebhookService

const createWebhook = Routes.make({
  method: method.createWebhook,
  bound: "write",
  access: "OPERATOR",
  touches: "all",
  call: ({ webhooks }, input, context) => webhooks.create(input, actorOf(context)),
  respond: ({ secret, state }) => create(CreateWebhookResponseSchema, { webhook: webhookOf(state), secret })
})

const getWebhook = Routes.make({
  method: method.getWebhook,
  bound: "read",
  access: "VIEWER",
  touches: "all",
  call: ({ webhooks }, { id }) => webhooks.get(id),
  respond: (state) => create(GetWebhookResponseSchema, { webhook: webhookOf(state) })
})

const listWebhooks = Routes.make({
  method: method.listWebhooks,
  bound: "read",
  access: "VIEWER",
  touches: "all",
  call: ({ webhooks }) => webhooks.list,
  respond: (states) => create(ListWebhooksResponseSchema, { webhooks: states.map(webhookOf) })
})

const updateWebhook = Routes.make({
  method: method.updateWebhook,
  bound: "write",
  access: "OPERATOR",
  touches: "all",
  call: ({ webhooks }, { campaigns, expectedVersion, id, types, ...fields }, context) =>
    webhooks.update({ id, expected: expectedVersion, actor: actorOf(context) }, {
      url: fields.url,
      description: fields.description,
      types: types?.names,
      campaignIds: campaigns?.ids,
      mode: fields.mode,
      onFailure: fields.onFailure,
      maxAttempts: fields.maxAttempts,
      concurrency: fields.concurrency,
      enabled: fields.enabled
    }),
  respond: (state) => create(UpdateWebhookResponseSchema, { webhook: webhookOf(state) })
})

const deleteWebhook = Routes.make({
  method: method.deleteWebhook,
  bound: "write",
  access: "OPERATOR",
  touches: "all",
  call: ({ webhooks }, { expectedVersion, id }, context) =>
    webhooks.remove({ id, expected: expectedVersion, actor: actorOf(context) }),
  respond: () => create(DeleteWebhookResponseSchema)
})

const testWebhook = Routes.make({
  method: method.testWebhook,
  bound: "write",
  access: "OPERATOR",
  touches: "all",
  call: ({ webhooks }, { id, type }, context) => webhooks.test(id, type, actorOf(context)),
  respond: ({ answer, isDelivered, reason, status, tookMillis }) =>
    create(TestWebhookResponseSchema, {
      delivered: isDelivered,
      status: status ?? 0,
      reason,
      answer,
      tookMillis: BigInt(tookMillis)
    })
})

const rotateWebhookSecret = Routes.make({
  method: method.rotateWebhookSecret,
  bound: "write",
  access: "OPERATOR",
  touches: "all",
  call: ({ webhooks }, { id, overlapSeconds }, context) => webhooks.rotateSecret(id, overlapSeconds, actorOf(context)),
  respond: ({ formerUntil, secret }) =>
    create(RotateWebhookSecretResponseSchema, { secret, formerSecretUntil: formatRfc3339(formerUntil) })
})

const replayWebhook = Routes.make({
  method: method.replayWebhook,
  bound: "write",
  access: "OPERATOR",
  call: ({ webhooks }, { afterSequence, campaignId, id }, context) =>
    webhooks.replay({ id, campaignId, afterSequence, actor: actorOf(context) }),
  respond: () => create(ReplayWebhookResponseSchema)
})

const listWebhookAttempts = Routes.make({
  method: method.listWebhookAttempts,
  bound: "read",
  access: "VIEWER",
  // A receiver's answer may hold what is for operators alone.
  call: ({ webhooks }, { campaignId, id, pageSize, pageToken }, { principal }) =>
    Effect.map(webhooks.attempts({ id, campaignId, pageSize, pageToken }), (page) => ({
      page,
      withAnswer: principal.role !== "NONE" && allows(principal.role, "OPERATOR")
    })),
  respond: ({ page, withAnswer }) =>
    create(ListWebhookAttemptsResponseSchema, {
      attempts: page.rows.map((attempt) => attemptOf(attempt, withAnswer)),
      nextPageToken: tokenOf(page)
    })
})

const listParkedDeliveries = Routes.make({
  method: method.listParkedDeliveries,
  bound: "read",
  access: "VIEWER",
  touches: "all",
  call: ({ webhooks }, { id, pageSize, pageToken }) => webhooks.parked({ id, pageSize, pageToken }),
  respond: (page) =>
    create(ListParkedDeliveriesResponseSchema, { deliveries: page.rows.map(parkedOf), nextPageToken: tokenOf(page) })
})

const retryParkedDeliveries = Routes.make({
  method: method.retryParkedDeliveries,
  bound: "write",
  access: "OPERATOR",
  touches: "all",
  call: ({ webhooks }, { all, deliveryIds, id }, context) =>
    webhooks.retryParked({ id, deliveryIds, all, actor: actorOf(context) }),
  respond: (count: number) => create(RetryParkedDeliveriesResponseSchema, { count })
})

/** Every RPC of `coupon.v1.WebhookService`. */
export const routes: ReadonlyArray<Route> = [
  createWebhook,
  getWebhook,
  listWebhooks,
  updateWebhook,
  deleteWebhook,
  testWebhook,
  rotateWebhookSecret,
  replayWebhook,
  listWebhookAttempts,
  listParkedDeliveries,
  retryParkedDeliveries
]
