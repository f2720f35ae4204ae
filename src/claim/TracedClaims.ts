import type * as Tracer from "effect/Tracer"
import { randomUUID } from "node:crypto"
import type { CampaignId } from "../domain/Campaign.ts"
import type { UserId } from "../domain/Coupon.ts"

/**
 * The claims under way whose requests are traced: nearly always none or one. By it a batch, which runs apart from its claims, finds
 * their spans, and a claim that is not traced carries nothing.
 */
const claims = new Map<CampaignId, Map<UserId, Tracer.Span>>()

/** The claim is under way until the result is called. A user's second claim at the same time rides on the first, untraced. */
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
export const spansOf = (campaignId: CampaignId, items: ReadonlyArray<{ readonly userId: UserId }>): ReadonlyArray<Tracer.Span> => {
  const users = claims.get(campaignId)
  if (users === undefined) return NONE
  const spans: Array<Tracer.Span> = []
  for (const { userId } of items) {
    const span = users.get(userId)
    if (span !== undefined) spans.push(span)
  }
  return spans
}

/** How the id of a batch ends that has a traced claim. */
const MARK = "ffff"

/**
 * A fresh id for a batch: 122 random bits in 16 bytes, as hex. Of a batch with a traced claim the last two say so, and the id is the
 * trace of the batch: so the context crosses the outbox, whose key it is, to the relay of any instance, without a byte more in any
 * row. (One in 65,536 of the others looks traced too; a lone span of the relay then means nothing.)
 */
export const batchId = (campaignId: CampaignId, items: ReadonlyArray<{ readonly userId: UserId }>): string => {
  // Node draws for 128 of them at a time; `randomBytes` asks the system for each, 4 % of its time where a batch is one claim.
  const random = randomUUID().replaceAll("-", "")
  return spansOf(campaignId, items).length === 0 ? random : random.slice(0, -MARK.length) + MARK
}

/** The trace that a batch of that id begins, and the span that it begins with; `undefined`: it is not traced. */
export const traceOf = (batchId: string): { readonly traceId: string; readonly spanId: string } | undefined =>
  batchId.endsWith(MARK) ? { traceId: batchId, spanId: batchId.slice(0, 16) } : undefined
