import * as Effect from "effect/Effect"
import type { CampaignId } from "../../domain/CampaignId.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import type { AuditEntry } from "../../ports/AuditLog.ts"
import type { CommitInDoubt, LedgerUnavailable } from "../../ports/Ledger.ts"
import { unavailable } from "../SqlFailure.ts"
import type { Row } from "../Rows.ts"

/** What the stores of webhooks say differently in each dialect. Their times are epoch milliseconds in both. */
export interface WebhookDialect {
  /** The ledger's clock in epoch milliseconds, as an expression. */
  readonly now: () => string
  /** A time as the event log has it, as a literal. */
  readonly eventTime: (time: EpochMillis) => string
  readonly text: (text: string) => string
  readonly insertIgnore: "INSERT IGNORE" | "INSERT OR IGNORE"
  /** At the end of a SELECT that locks its rows. */
  readonly forUpdate: "" | " FOR UPDATE"
  /** After a table: its rows are looked at, and so locked, in the order of their keys. */
  readonly inOrder: "" | " FORCE INDEX (PRIMARY)"
  readonly read: (text: string) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable>
  /** Runs statements as one transaction, and returns the rows of its last one, a SELECT. */
  readonly transact: (
    statements: ReadonlyArray<string>,
    last: string
  ) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable | CommitInDoubt>
  /** The statements that record an act where `condition`, e.g. `FROM t WHERE …`, has a row. */
  readonly act: (entry: AuditEntry, condition: string) => ReadonlyArray<string>
  /** A SELECT that has a row if the act of this change id is recorded. */
  readonly actRecorded: (changeId: string) => string
}

/** For writes that may be repeated: that one is in doubt is no other failure then. */
export const repeatable = <A>(
  effect: Effect.Effect<A, LedgerUnavailable | CommitInDoubt>
): Effect.Effect<A, LedgerUnavailable> =>
  Effect.catchTag(effect, "CommitInDoubt", ({ cause }) => Effect.fail(unavailable(cause)))

/** An act that concerns no campaign, or one. */
export const actOf = (
  record: Pick<AuditEntry, "actor" | "changeId">,
  action: string,
  before: unknown,
  after: unknown,
  campaignId?: CampaignId
): AuditEntry => ({ ...record, action, outcome: "DONE", campaignId, before, after })
