import * as Context from "effect/Context"

/**
 * The clock of this process, in milliseconds since 1970. The embedded ledger decides by it, as one on MySQL does by
 * mysqld's. It is not Effect's clock, which tests stop; a service in memory is given one that tests move.
 */
export class WallClock extends Context.Reference<WallClock>()("coupon/base/WallClock", {
  defaultValue: (): { readonly now: () => number } => ({ now: () => Date.now() })
}) {}
