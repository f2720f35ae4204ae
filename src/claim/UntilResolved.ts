import * as Schedule from "effect/Schedule"

/** Between attempts to resolve a commit in doubt, while the ledger is away: 10 ms growing to 500 ms. */
export const untilResolved = Schedule.exponential("10 millis").pipe(Schedule.union(Schedule.spaced("500 millis")))
