import type * as Tracer from "effect/Tracer"
import { randomUUID } from "node:crypto"
import type { CampaignId } from "../domain/Campaign.ts"
import type { UserId } from "../domain/Coupon.ts"

/**
 * The claims under way whose requests are traced: nearly always none or one. A batch, which runs apart from its claims,
 * finds their spans here, and a claim that is not traced carries nothing.
 */
const claims = new Map<CampaignId, Map<UserId, Tracer.Span>>()

/** The claim is under way until the result is called. A user's second claim follows the first and is not traced. */
export const enter = (campaignId: CampaignId, userId: UserId, span: Tracer.Span): () => void => {
  let users = claims.get(campaignId)
  if (users === undefined) claims.set(campaignId, users = new Map())
  if (users.has(userId)) return () => {}
  users.set(userId, span)
  return () => {
    users.delete(userId)
    if (users.size === 0 && claims.get(campaignId) === users) claims.delete(campaignId)
  }
}

const NONE: ReadonlyArray<Tracer.Span> = []

/** The spans of those claims that are traced. */
export const spansOf = (
  campaignId: CampaignId,
  items: ReadonlyArray<{ readonly userId: UserId }>
): ReadonlyArray<Tracer.Span> => {
  const users = claims.get(campaignId)
  if (users === undefined) return NONE
  const spans: Array<Tracer.Span> = []
  for (const { userId } of items) {
    const span = users.get(userId)
    if (span !== undefined) spans.push(span)
  }
  return spans
}

/** The last four digits of the id of a batch that has a traced claim. */
const MARK = "ffff"

/**
 * A fresh id for a batch: 122 random bits in 16 bytes, as hex. The last four digits mark a batch with a traced claim,
 * whose id is its trace id. The outbox is keyed by this id, so the trace reaches the relay of any instance without a
 * further column. One in 65,536 other ids looks traced too; the relay then emits one span without a parent.
 */
export const batchId = (campaignId: CampaignId, items: ReadonlyArray<{ readonly userId: UserId }>): string => {
  // Node draws for 128 at a time. `randomBytes` asks the system each time: 4 % of CPU with batches of one claim.
  const random = randomUUID().replaceAll("-", "")
  return spansOf(campaignId, items).length === 0 ? random : random.slice(0, -MARK.length) + MARK
}

/** The trace id that the id of a batch stands for, and the id of its first span; `undefined`: it is not traced. */
export const traceOf = (batchId: string): { readonly traceId: string; readonly spanId: string } | undefined =>
  batchId.endsWith(MARK) ? { traceId: batchId, spanId: batchId.slice(0, 16) } : undefined
