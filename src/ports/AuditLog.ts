import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Actor } from "../domain/Actor.ts"
import type { CampaignId } from "../domain/Campaign.ts"
import type { ChangeRecord } from "../domain/ChangeRecord.ts"
import type { EpochMillis } from "../domain/Time.ts"
import type { CommitInDoubt, LedgerUnavailable } from "./Ledger.ts"

/** What was done with administrative rights. */
export interface AuditedAction {
  /** Dotted, noun first: `campaign.create`, `key.revoke`, `gate.rebuild`. At most 50 ASCII characters. */
  readonly action: string
  readonly campaignId: CampaignId | undefined
  /**
   * What was, and what is now, as values that JSON can hold, at most 60 kB each; never a secret. `undefined`: nothing.
   */
  readonly before: unknown
  readonly after: unknown
}

/** `REFUSED`: it was not allowed, or could not be done. */
export type Outcome = "DONE" | "REFUSED"

/** An act that is to be recorded, and who did it. */
export interface AuditEntry extends AuditedAction, ChangeRecord {
  readonly outcome: Outcome
}

/** An act as it was recorded. */
export interface AuditRecord extends AuditedAction {
  /** Ascending with time, with gaps. */
  readonly id: number
  /** By the ledger's clock. */
  readonly at: EpochMillis
  readonly actor: Actor
  /** `undefined`: done, recorded by a version that knew no other outcome. */
  readonly outcome: Outcome | undefined
}

/** Which acts to list. */
export interface AuditQuery {
  readonly beforeId: number | undefined
  readonly limit: number
  readonly campaignId: CampaignId | undefined
  readonly only?: ReadonlySet<CampaignId> | undefined
  /** Of the actor with exactly this name. */
  readonly actor?: string | undefined
  /** Of this kind, such as `campaign.pause`, or `campaign` for all that begin with `campaign.`. */
  readonly action?: string | undefined
  /** From `since` on and before `until`, by the ledger's clock. */
  readonly since?: EpochMillis | undefined
  readonly until?: EpochMillis | undefined
}

/**
 * The record of administrative acts, in the ledger. Changes of campaigns and keys enter it by themselves
 * (`CampaignStore`, `ApiKeyStore`), in their transaction.
 */
export class AuditLog extends Context.Tag("coupon/issuance/AuditLog")<AuditLog, {
  /**
   * Records any other act, once however often it is appended under its change id. Durable when it returns.
   * `CommitInDoubt`: it may have been recorded.
   */
  readonly append: (entry: AuditEntry) => Effect.Effect<void, LedgerUnavailable | CommitInDoubt>
  /**
   * Acts with `id < beforeId` (`undefined`: from the newest on), newest first, at most `limit`; of one campaign if
   * `campaignId` is given, and of these alone if `only` is. An act whose transaction takes long may appear below one
   * that was listed before it.
   */
  readonly list: (query: AuditQuery) => Effect.Effect<ReadonlyArray<AuditRecord>, LedgerUnavailable>
}>() {}
