import * as Context from "effect/Context"
import type { AdminAudit } from "../issuance/AdminAudit.ts"
import type { CampaignPhases } from "../issuance/CampaignPhases.ts"
import type { Gate } from "../issuance/Gate.ts"
import type { GateFacts } from "../issuance/GateFacts.ts"
import type { GateRebuilder } from "../issuance/GateRebuilder.ts"
import type { KnownCampaigns } from "../issuance/KnownCampaigns.ts"
import type { Ledger } from "../issuance/Ledger.ts"
import type { LedgerAudit } from "../issuance/LedgerAudit.ts"
import type { LedgerBackup } from "../issuance/LedgerBackup.ts"
import type { Outbox } from "../issuance/Outbox.ts"
import type { StoreHealth } from "../issuance/StoreHealth.ts"
import type { ApiKeys } from "../security/ApiKeys.ts"

/** What the operator's calls work with, once the stores are there. */
export type Ports =
  | AdminAudit
  | ApiKeys
  | CampaignPhases
  | Gate
  | GateFacts
  | GateRebuilder
  | KnownCampaigns
  | Ledger
  | LedgerAudit
  | LedgerBackup
  | Outbox
  | StoreHealth

/** What the operator plane asks of the running service. */
export class OperatorServices extends Context.Tag("coupon/operator/OperatorServices")<OperatorServices, {
  /** `undefined` while a store is still awaited. */
  readonly current: () => Context.Context<Ports> | undefined
  /** The chosen stores in a few words, without secrets. */
  readonly stores: string
}>() {}
