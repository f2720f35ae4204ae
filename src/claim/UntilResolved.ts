import * as Backoff from "../base/Backoff.ts"

/** Between attempts to resolve a commit in doubt, while the ledger is away: 10 ms growing to 500 ms. */
export const untilResolved = Backoff.schedule({ firstMillis: 10, lastMillis: 500 })
