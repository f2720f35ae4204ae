import * as Context from "effect/Context"
import type { EpochMillis } from "../domain/Time.ts"

/**
 * The clock of this process, by which the embedded ledger decides, as a ledger on MySQL does by mysqld's. It is not
 * Effect's clock, which tests stop. A service in memory is given one that tests move.
 */
export class WallClock extends Context.Reference<WallClock>()("coupon/ports/WallClock", {
  defaultValue: (): { readonly now: () => EpochMillis } => ({ now: () => Date.now() })
}) {}
