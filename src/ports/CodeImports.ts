import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { CampaignId } from "../domain/Campaign.ts"
import type { ChangeRecord } from "../domain/ChangeRecord.ts"
import type { EpochMillis } from "../domain/Time.ts"
import type { CommitInDoubt, LedgerUnavailable } from "./Ledger.ts"

/**
 * `OPEN`: takes chunks. `FINISHED`: its codes are in the pool, all at once and for good. `ABORTING`: they never will
 * be, and are being removed. `ABORTED`: they are gone.
 */
export type ImportState = "OPEN" | "FINISHED" | "ABORTING" | "ABORTED"

/** An import of codes into the pool of a campaign. */
export interface CodeImport {
  readonly campaignId: CampaignId
  /** 1, 2, 3, … within the campaign. */
  readonly importId: number
  /** The caller's name for it, 1 to 64 characters: one import a name, for good. */
  readonly requestId: string
  readonly state: ImportState
  /** How many chunks are stored: the index of the next one. */
  readonly chunks: number
  /** How many codes came; the other counts add up to it. */
  readonly received: number
  readonly accepted: number
  readonly duplicateInFile: number
  readonly duplicateInCampaign: number
  readonly invalid: number
  readonly startedAt: EpochMillis
  readonly updatedAt: EpochMillis
}

/** Why a code is not taken. */
export type RejectReason = "INVALID" | "DUPLICATE_IN_FILE" | "DUPLICATE_IN_CAMPAIGN"

/** A code of a chunk that is not taken. */
export interface RejectedCode {
  /** Its place in the chunk, from 0. */
  readonly index: number
  readonly reason: RejectReason
  /** The rule that an invalid code breaks, as the end of a sentence; else empty. */
  readonly text: string
}

/** What became of a chunk: of its codes all but the rejected ones are taken. */
export interface ChunkResult {
  readonly accepted: number
  /** In the order of their places. */
  readonly rejected: ReadonlyArray<RejectedCode>
}

/** Which import: by its number, or one that another call may have made. */
export interface ImportKey {
  readonly campaignId: CampaignId
  readonly importId: number
}

/** The most codes of a chunk. */
export const MAX_CHUNK_CODES = 10_000

export type StartVerdict =
  | { readonly _tag: "Started"; readonly codeImport: CodeImport }
  | { readonly _tag: "NoCampaign" }
  /** The campaign draws its codes. */
  | { readonly _tag: "NoPool" }
  /** Another import is not over: the codes of two would be numbered alike. */
  | { readonly _tag: "OtherOpen"; readonly codeImport: CodeImport }

export type AppendVerdict =
  | { readonly _tag: "Appended"; readonly codeImport: CodeImport; readonly result: ChunkResult }
  | { readonly _tag: "NoImport" }
  | { readonly _tag: "NotOpen"; readonly codeImport: CodeImport }
  /** Chunks come in order, and this is not the next one. */
  | { readonly _tag: "OutOfOrder"; readonly expected: number }
  /** A chunk of this index has other codes. */
  | { readonly _tag: "OtherCodes" }

export type EndVerdict =
  | { readonly _tag: "Ended"; readonly codeImport: CodeImport }
  | { readonly _tag: "NoImport" }
  /** It ended the other way. */
  | { readonly _tag: "NotOpen"; readonly codeImport: CodeImport }
  /** More chunks came meanwhile. */
  | { readonly _tag: "Changed" }

/**
 * The pools of own codes. Everything here is durable when its effect succeeds. A call in doubt (`CommitInDoubt`) may be
 * repeated: then it finds out, and changes nothing twice.
 */
export class CodeImports extends Context.Tag("coupon/issuance/CodeImports")<CodeImports, {
  /**
   * Begins an import, with its row in the audit log, or returns the one of the same `requestId` as it is now. Of a
   * campaign one import is open at most.
   */
  readonly start: (
    start: ChangeRecord & { readonly campaignId: CampaignId; readonly requestId: string }
  ) => Effect.Effect<StartVerdict, LedgerUnavailable | CommitInDoubt>

  /**
   * Stores a chunk of 1 to `MAX_CHUNK_CODES` codes: those that are valid and new get the next numbers of the campaign,
   * in an order that a key of the import tells. None is in the pool before `finish`. A chunk that is stored already is
   * not stored again, and has the result that it had.
   */
  readonly append: (
    key: ImportKey,
    index: number,
    codes: ReadonlyArray<string>
  ) => Effect.Effect<AppendVerdict, LedgerUnavailable | CommitInDoubt>

  /**
   * Adds all codes of the import to the pool (`codeCount` of the campaign), with a row in the audit log, if it still
   * has this many chunks. An import that is finished stays so.
   */
  readonly finish: (
    end: ChangeRecord & ImportKey & { readonly chunks: number }
  ) => Effect.Effect<EndVerdict, LedgerUnavailable | CommitInDoubt>

  /**
   * Makes sure that the import is never finished, with a row in the audit log, and removes up to 20,000 of its codes:
   * to be repeated until it is `ABORTED`.
   */
  readonly abort: (end: ChangeRecord & ImportKey) => Effect.Effect<EndVerdict, LedgerUnavailable | CommitInDoubt>

  readonly find: (key: ImportKey) => Effect.Effect<CodeImport | undefined, LedgerUnavailable>

  /** The imports of a campaign, newest first, at most `limit`, with numbers below `beforeId`. */
  readonly list: (
    campaignId: CampaignId,
    beforeId: number,
    limit: number
  ) => Effect.Effect<ReadonlyArray<CodeImport>, LedgerUnavailable>
}>() {}
