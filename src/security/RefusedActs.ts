import * as Context from "effect/Context"
import type { Actor } from "../domain/Actor.ts"

/** An administrative act that was not done. */
export interface RefusedAct {
  /** As far as known. Of a key that is not valid: the name `unauthenticated`, with the id that the secret names. */
  readonly actor: Actor
  /** The call, such as `PauseCampaign`. */
  readonly call: string
  /** A reason of `CredentialMetrics`, or the tag of the call's failure. */
  readonly reason: string
}

/** What the audit log has of acts that were refused. */
export class RefusedActs extends Context.Tag("coupon/security/RefusedActs")<RefusedActs, {
  /** Returns at once. Some a minute are recorded one by one; the rest are summed up, so that none fills the ledger. */
  readonly note: (act: RefusedAct) => void
}>() {}
