import * as Effect from "effect/Effect"
import type { CommitInDoubt, LedgerUnavailable } from "../ports/Ledger.ts"
import type { Erasure, Erasures, ErasureVerdict } from "../ports/operation/Erasures.ts"
import type { Row } from "./Rows.ts"
import { followedText, oldText, recentText } from "./text/ErasureText.ts"

/** The erasures of a ledger, where the databases differ. */
export interface ErasuresDialect {
  /** Runs an erasure, and returns the row of `verdictText`. */
  readonly erase: (erasure: Erasure) => Effect.Effect<Row, LedgerUnavailable | CommitInDoubt>
  readonly read: (text: string) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable>
  /** Runs one statement that may be repeated. */
  readonly write: (text: string) => Effect.Effect<unknown, LedgerUnavailable>
  /** Deletes rows of `erased_coupons`, each given as JSON: its campaign, and its coupon's number. */
  readonly deletion: (keysJson: string) => string
  /** The ledger's clock less so many milliseconds, as an expression. */
  readonly earlier: (millis: number) => string
}

/** Coupons that one `purge` forgets at most. */
const PURGED = 1_000

const verdictOf = ({ erased, held }: Row): ErasureVerdict =>
  Number(erased) > 0 ? "Erased" : Number(held) > 0 ? "NotSettled" : "Absent"

/** What all ledgers do alike with erasures. */
export const make = ({ deletion, earlier, erase, read, write }: ErasuresDialect): Erasures["Type"] => ({
  erase: (erasure) => Effect.map(Effect.uninterruptible(erase(erasure)), verdictOf),
  recent: (position, limit) =>
    Effect.map(read(recentText(position, limit)), (rows) =>
      rows.map((row) => ({
        campaignId: Number(row.campaign_id),
        couponId: Number(row.coupon_id),
        userId: row.user_id === null ? undefined : BigInt(row.user_id as number | string | bigint)
      }))),
  followed: (campaignId, couponIds) =>
    couponIds.length === 0 ? Effect.void : Effect.asVoid(write(followedText(campaignId, couponIds))),
  purge: (olderThanMillis) =>
    Effect.gen(function*() {
      const old = yield* Effect.suspend(() => read(oldText(earlier(olderThanMillis), PURGED)))
      if (old.length === 0) return
      // In the order of their keys, as every instance deletes them.
      const keys = old.map((row) => [Number(row.campaign_id), Number(row.coupon_id)] as const)
        .sort((a, b) => a[0] - b[0] || a[1] - b[1])
      yield* write(deletion(JSON.stringify(keys)))
    })
})
