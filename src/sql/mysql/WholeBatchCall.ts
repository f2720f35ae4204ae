import type { CampaignId } from "../../domain/Campaign.ts"
import { isPool } from "../../domain/codes/CampaignCodes.ts"
import type { Claim } from "../../ports/Ledger.ts"
import { claimsJson, integer } from "../text/Literals.ts"
import type { Row } from "../Rows.ts"
import { batchKey, literal, mysqlText } from "./Literals.ts"
import { mysqlErrno } from "./MySqlFailure.ts"

/**
 * The group commit for the usual batch: all claims are issued, or nothing is and `groupCommit` has to be sent. The
 * procedure is that of `migrations/mysql/0021_issue_dated_batch.optional.sql`. It answers in one packet where a text of
 * as many statements wakes its client with each of them: of a commit of 48 claims that saves Node half of its time,
 * mysqld a sixth, and the campaign's next batch a fifth of its wait. `codes`: what they were drawn by (`codesText`).
 * The codes are UTF-8 whatever the session's character set: this text does not repeat the session's settings.
 */
export const wholeBatchCall = (
  batchId: string,
  campaignId: CampaignId,
  claims: ReadonlyArray<Claim>,
  codes?: string
): string =>
  (isPool(codes)
    ? `CALL issue_dated_pool_batch(${batchKey(batchId)}, ${integer(campaignId)}, `
    : `CALL issue_dated_batch(${batchKey(batchId)}, ${integer(campaignId)}, ` +
      `${codes === undefined ? "NULL" : mysqlText(codes)}, `) + `_utf8mb4${literal(claimsJson(claims))})`

/**
 * The row of the answer, which comes last: the counter before the batch, when its coupons were issued, and the version
 * of their validity. `undefined`: nothing was committed.
 */
export const wholeBatchFacts = (results: ReadonlyArray<unknown>): Row | undefined => {
  const [facts] = results.at(-2) as ReadonlyArray<Row>
  return facts === undefined || facts.issued === null ? undefined : facts
}

/** The codes that a pool's batch has got, in the order of its claims. */
export const poolCodes = (results: ReadonlyArray<unknown>): ReadonlyArray<string> =>
  (results[0] as ReadonlyArray<Row>).map((row) => row.code as string)

/** The procedure does not exist, or this user may not call it. */
const NOT_CALLABLE: ReadonlyArray<number | undefined> = [1_305, 1_370]

export const isNotCallable = (error: unknown): boolean => NOT_CALLABLE.includes(mysqlErrno(error))
