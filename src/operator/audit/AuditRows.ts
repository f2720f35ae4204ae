import type { AuditRecord } from "../../contract/operator/Audit.ts"
import type { AuditRecord as Stored } from "../../ports/AuditLog.ts"

/** An act as the operator receives it. */
export const toContract = (stored: Stored): typeof AuditRecord.Type => {
  const { action, actor, after, at, before, campaignId, id, outcome } = stored
  return {
    id,
    at,
    actor: actor.name,
    action,
    campaignId: campaignId ?? null,
    before: before ?? null,
    after: after ?? null,
    keyId: actor.keyId ?? null,
    role: actor.role ?? null,
    address: actor.address ?? null,
    requestId: actor.requestId ?? null,
    reason: actor.reason ?? null,
    outcome: outcome ?? null
  }
}
