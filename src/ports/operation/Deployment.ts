import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { EpochMillis } from "../../domain/Time.ts"
import type { LedgerUnavailable } from "../Ledger.ts"

/** What the ledger knows of the deployment that it belongs to. */
export interface DeploymentFacts {
  /** 16 hexadecimal digits, made by the ledger's first migration; the same for every instance, and never changed. */
  readonly identity: string
  /**
   * What the gate's keys begin with unless REDIS_KEY_PREFIX says otherwise; empty: nothing, as before there was an
   * identity.
   */
  readonly redisKeyPrefix: string
  /** When an instance first served this ledger in production mode, by the ledger's clock. */
  readonly servedInProductionAt: EpochMillis | undefined
}

/** The ledger's own identity: what tells this deployment from any other on the same servers. */
export class Deployment extends Context.Tag("coupon/issuance/Deployment")<Deployment, {
  readonly facts: Effect.Effect<DeploymentFacts, LedgerUnavailable>
  /**
   * Notes that the ledger is served in production mode. Durable when it returns; a repetition keeps the first time.
   */
  readonly noteServedInProduction: Effect.Effect<void, LedgerUnavailable>
}>() {}
