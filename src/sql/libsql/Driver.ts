import type { Client } from "@libsql/client"
import type { EpochMillis } from "../../domain/Time.ts"

/** A connection to the ledger's file or memory, with the ledger's clock. */
export interface Driver extends Client {
  /** See `WallClock`. */
  readonly now: () => EpochMillis
}
