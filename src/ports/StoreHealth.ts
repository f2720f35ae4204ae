import * as Context from "effect/Context"

/** What stores that were reached say of themselves since: the part of readiness that ends again. */
export class StoreHealth extends Context.Tag("coupon/issuance/StoreHealth")<StoreHealth, {
  /**
   * Why a store takes no writes until an operator acts, in words that an operator understands; empty: nothing is known.
   * An outage of a server is none of these: it ends by itself, and readiness does not follow it.
   */
  readonly troubles: () => ReadonlyArray<string>
}>() {}
