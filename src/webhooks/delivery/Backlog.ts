import type { CampaignId } from "../../domain/CampaignId.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import type { WebhookId, WebhookPosition } from "../../domain/webhooks/Webhook.ts"

/** A campaign of which an endpoint lacks events. */
export interface Behind {
  readonly endpointId: WebhookId
  readonly campaignId: CampaignId
  /** The last event of the log, as far as it is known. */
  head: number
  /** When to look at the cursor again, by a clock that does not jump. */
  dueAt: number
  /** Where the cursor was when it was last looked at. */
  position: WebhookPosition | undefined
  /** When the first event happened that it lacks; `undefined`: not known. */
  oldestAt: EpochMillis | undefined
}

/** What one endpoint lacks. */
export interface EndpointBacklog {
  readonly endpointId: WebhookId
  readonly events: number
  readonly oldestAt: EpochMillis | undefined
}

/** Beyond so many entries an instance looks for the rest later: its memory is bounded. */
const MAX_ENTRIES = 20_000

const keyOf = (endpointId: WebhookId, campaignId: CampaignId) => `${endpointId}:${campaignId}`

/** Which endpoints lack events of which campaigns, as far as this instance knows. */
export const make = () => {
  const entries = new Map<string, Behind>()
  let overflowed = false

  return {
    /** That the log goes so far. Returns the entry, a new one if need be. */
    note: (endpointId: WebhookId, campaignId: CampaignId, head: number, dueAt: number): Behind | undefined => {
      const key = keyOf(endpointId, campaignId)
      const known = entries.get(key)
      if (known !== undefined) {
        known.head = Math.max(known.head, head)
        return known
      }
      if (entries.size >= MAX_ENTRIES) {
        overflowed = true
        return undefined
      }
      const entry = { endpointId, campaignId, head, dueAt, position: undefined, oldestAt: undefined }
      entries.set(key, entry)
      return entry
    },
    get: (endpointId: WebhookId, campaignId: CampaignId) => entries.get(keyOf(endpointId, campaignId)),
    remove: (endpointId: WebhookId, campaignId: CampaignId) => void entries.delete(keyOf(endpointId, campaignId)),
    removeAllOf: (isGone: (endpointId: WebhookId) => boolean) => {
      for (const [key, { endpointId }] of entries) if (isGone(endpointId)) entries.delete(key)
    },
    of: (endpointId: WebhookId): ReadonlyArray<Behind> =>
      [...entries.values()].filter((entry) => entry.endpointId === endpointId),
    /** Whether entries were left out since the last call, and there is room again. */
    hasRoomAgain: (): boolean => {
      if (!overflowed || entries.size > MAX_ENTRIES / 2) return false
      overflowed = false
      return true
    },
    summary: (): ReadonlyMap<WebhookId, EndpointBacklog> => {
      const found = new Map<WebhookId, EndpointBacklog>()
      for (const { endpointId, head, oldestAt, position } of entries.values()) {
        const lacking = Math.max(0, head - (position?.sequence ?? 0))
        if (lacking === 0) continue
        const before = found.get(endpointId)
        const oldest = [before?.oldestAt, oldestAt].filter((at) => at !== undefined)
        found.set(endpointId, {
          endpointId,
          events: (before?.events ?? 0) + lacking,
          oldestAt: oldest.length === 0 ? undefined : Math.min(...oldest)
        })
      }
      return found
    }
  }
}
