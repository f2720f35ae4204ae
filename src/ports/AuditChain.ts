import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { AuditRecord } from "./AuditLog.ts"
import type { LedgerUnavailable } from "./Ledger.ts"

/** The end of the chain. */
export interface ChainHead {
  /** How many acts have a place: the place of the last one. 0: none. */
  readonly sequence: number
  /** The last one's hash, 64 lower-case hexadecimal digits. Compared with a copy kept elsewhere, it proves the rest. */
  readonly hash: string
}

/** A place in the chain. */
export interface ChainLink {
  /** 1, 2, 3, … without a gap, in the order in which the acts were found. */
  readonly sequence: number
  /** As it is stored. */
  readonly hash: string
  /** What the hash has to be, by the link before and the act as they are stored; `undefined`: one is missing. */
  readonly expected: string | undefined
  /**
   * `false`: the hash holds for the act without its reason. Then an instance of an earlier version sealed it, or the
   * reason was added later.
   */
  readonly isReasonSealed: boolean
  /** The act; `undefined`: it is missing. */
  readonly record: AuditRecord | undefined
}

/**
 * The chain of hashes over the audit log. An act gets its place soon after it was recorded, whichever version recorded
 * it. From then on the act cannot be changed or removed, nor can one be put before it, without breaking the chain.
 */
export class AuditChain extends Context.Tag("coupon/issuance/AuditChain")<AuditChain, {
  /**
   * Gives places to at most `limit` acts that have none, under the lock of the head's row, and returns how many, and
   * the head after that. Of instances that do this at once, one adds, and the others return 0. Durable.
   */
  readonly seal: (
    limit: number
  ) => Effect.Effect<{ readonly sealed: number; readonly head: ChainHead }, LedgerUnavailable>
  readonly head: Effect.Effect<ChainHead, LedgerUnavailable>
  /** The links with `sequence > after`, ascending, at most `limit`. */
  readonly links: (after: number, limit: number) => Effect.Effect<ReadonlyArray<ChainLink>, LedgerUnavailable>
  /** How many acts have no place. Reads the whole log. */
  readonly unsealed: Effect.Effect<number, LedgerUnavailable>
}>() {}
