import type { BatchTimeout } from "../claim/Batcher.ts"
import { Unavailable } from "../domain/Failure.ts"
import type { LedgerUnavailable } from "../ports/Ledger.ts"

/** What a caller gets where the ledger did not answer, so that nothing was done. Not for a commit in doubt. */
export const storeDown = (cause: LedgerUnavailable | BatchTimeout): Unavailable =>
  new Unavailable({ retryAfterSeconds: 1, cause })
