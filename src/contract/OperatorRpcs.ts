import * as Rpc from "@effect/rpc/Rpc"
import * as RpcGroup from "@effect/rpc/RpcGroup"
import * as Schema from "effect/Schema"
import { OperatorFailure } from "./OperatorErrors.ts"
import { AuditLink, AuditRecord, ChainEvent, Hash } from "./operator/Audit.ts"
import { BackupEvent } from "./operator/Backup.ts"
import { Authorization, RequiredRole, TouchedCampaigns, Writes } from "./operator/CallAccess.ts"
import { CampaignId, Millis } from "./operator/Fields.ts"
import { Advice, EffectiveSetting, Info } from "./operator/Info.ts"
import { Key, limits, Role, Session } from "./operator/Keys.ts"
import { RebuildEvent } from "./operator/Rebuild.ts"
import { PhaseEvent, TimelineCursor, TimelinePage } from "./operator/Timeline.ts"
import { VerifyEvent } from "./operator/Verification.ts"
import { Overview } from "./Overview.ts"

/** The path of the group: POST, `application/ndjson`, the framing of `@effect/rpc`. */
export const PATH = "/operator/rpc"

/** The fields of a call that changes something. Unknown ones are rejected: ignoring them would look like success. */
const changing = <Fields extends Schema.Struct.Fields>(fields: Fields) =>
  Schema.Struct(fields).annotations({ parseOptions: { onExcessProperty: "error" } })

/** The control plane: what an operator's console and command ask of an instance. Each call is one POST. */
export class OperatorRpcs extends RpcGroup.make(
  Rpc.make("Info", { success: Info, error: OperatorFailure })
    .annotate(RequiredRole, "VIEWER").annotate(TouchedCampaigns, "own"),
  /**
   * Once a second, what this instance does and what waits in the stores. Ends with its caller or the instance, and else
   * after ten minutes: the caller calls again. The first sample may then be one that it has.
   */
  Rpc.make("Overview", { success: Overview, error: OperatorFailure, stream: true })
    .annotate(RequiredRole, "VIEWER").annotate(TouchedCampaigns, "own"),
  /**
   * Verifies every campaign, or one, against the invariants (the wire name is an old one). Reads each coupon: about a
   * second a million.
   */
  Rpc.make("Audit", {
    payload: { campaignId: Schema.optional(CampaignId) },
    success: VerifyEvent,
    error: OperatorFailure,
    stream: true
  }).annotate(RequiredRole, "VIEWER").annotate(TouchedCampaigns, "named"),
  /** Rebuilds a campaign's gate from the ledger while it serves. `discard`: forget what the gate holds first. */
  Rpc.make("RebuildGate", {
    payload: changing({ campaignId: CampaignId, discard: Schema.Boolean }),
    success: RebuildEvent,
    error: OperatorFailure,
    stream: true
  }).annotate(RequiredRole, "OPERATOR").annotate(TouchedCampaigns, "named"),
  /** The whole ledger as it is at one moment, while it serves: every code, and the hashes of all keys. */
  Rpc.make("Backup", { success: BackupEvent, error: OperatorFailure, stream: true })
    .annotate(RequiredRole, "ADMIN").annotate(TouchedCampaigns, "all"),
  Rpc.make("Settings", { success: Schema.Array(EffectiveSetting), error: OperatorFailure })
    .annotate(RequiredRole, "VIEWER").annotate(TouchedCampaigns, "own"),
  /** What `coupon doctor` advises of the instance that answers, its stores and their settings. */
  Rpc.make("Advice", { success: Schema.Array(Advice), error: OperatorFailure })
    .annotate(RequiredRole, "VIEWER").annotate(TouchedCampaigns, "own"),
  /** The only answer that shows the secret. */
  Rpc.make("CreateKey", {
    payload: changing({
      name: Schema.String,
      role: Role,
      requestsPerSecond: Schema.optional(Schema.Number),
      ...limits
    }),
    success: Schema.Struct({ id: Schema.String, secret: Schema.String }),
    error: OperatorFailure
  }).annotate(RequiredRole, "ADMIN").annotate(TouchedCampaigns, "all").annotate(Writes, true),
  Rpc.make("ListKeys", { success: Schema.Array(Key), error: OperatorFailure })
    .annotate(RequiredRole, "ADMIN").annotate(TouchedCampaigns, "all"),
  Rpc.make("RevokeKey", { payload: changing({ id: Schema.String }), success: Schema.Void, error: OperatorFailure })
    .annotate(RequiredRole, "ADMIN").annotate(TouchedCampaigns, "all").annotate(Writes, true),
  /** Changes the limits of a valid key. Its running streams end. */
  Rpc.make("LimitKey", {
    payload: changing({ id: Schema.String, ...limits }),
    success: Schema.Void,
    error: OperatorFailure
  }).annotate(RequiredRole, "ADMIN").annotate(TouchedCampaigns, "all").annotate(Writes, true),
  /**
   * Makes a key in the place of another one, which ends after the overlap: of the same name, role and limits. It lives
   * as long as the other was to, unless `expiresAt` says otherwise. The only answer that shows the secret.
   */
  Rpc.make("RotateKey", {
    payload: changing({
      id: Schema.String,
      overlapMillis: Schema.NonNegativeInt,
      expiresAt: Schema.optional(Schema.NullOr(Millis))
    }),
    success: Schema.Struct({
      id: Schema.String,
      secret: Schema.String,
      formerEndsAt: Millis,
      expiresAt: Schema.NullOr(Millis)
    }),
    error: OperatorFailure
  }).annotate(RequiredRole, "ADMIN").annotate(TouchedCampaigns, "all").annotate(Writes, true),
  /** Sessions of the console whose time is not over, the oldest first. */
  Rpc.make("ListSessions", { success: Schema.Array(Session), error: OperatorFailure })
    .annotate(RequiredRole, "ADMIN").annotate(TouchedCampaigns, "all"),
  /** Ends a session of the console, within 10 s at every instance. */
  Rpc.make("EndSession", { payload: changing({ id: Schema.String }), success: Schema.Void, error: OperatorFailure })
    .annotate(RequiredRole, "ADMIN").annotate(TouchedCampaigns, "all").annotate(Writes, true),
  /**
   * The newest first, at most `limit` (1 to 1,000); `beforeId`: only those older than it. Of one actor by its whole
   * name, of one kind (`campaign.pause`, or `campaign` for all of them), from `since` on, and before `until`.
   */
  Rpc.make("AuditLog", {
    payload: {
      limit: Schema.Int.pipe(Schema.between(1, 1_000)),
      beforeId: Schema.optional(Schema.Number),
      campaignId: Schema.optional(CampaignId),
      actor: Schema.optional(Schema.String.pipe(Schema.maxLength(200))),
      action: Schema.optional(Schema.String.pipe(Schema.maxLength(64))),
      since: Schema.optional(Schema.NonNegativeInt),
      until: Schema.optional(Schema.NonNegativeInt)
    },
    success: Schema.Array(AuditRecord),
    error: OperatorFailure
  }).annotate(RequiredRole, "VIEWER").annotate(TouchedCampaigns, "named"),
  /** Acts in the order of the chain, after a place, at most `limit` (1 to 1,000): none is missed, none comes twice. */
  Rpc.make("AuditLinks", {
    payload: { after: Schema.NonNegativeInt, limit: Schema.Int.pipe(Schema.between(1, 1_000)) },
    success: Schema.Struct({
      links: Schema.Array(AuditLink),
      /** The end of the chain. */
      head: Schema.Struct({ sequence: Schema.Number, hash: Schema.String })
    }),
    error: OperatorFailure
  }).annotate(RequiredRole, "VIEWER").annotate(TouchedCampaigns, "all"),
  /** Verifies the chain of the audit log. `expected`: a place and its hash, from a copy that is kept elsewhere. */
  Rpc.make("VerifyAuditLog", {
    payload: { expected: Schema.optional(Schema.Struct({ sequence: Schema.NonNegativeInt, hash: Hash })) },
    success: ChainEvent,
    error: OperatorFailure,
    stream: true
  }).annotate(RequiredRole, "VIEWER").annotate(TouchedCampaigns, "all"),
  /** The phases that a campaign has reached, the newest first, at most `limit` (1 to 1,000). */
  Rpc.make("Phases", {
    payload: { campaignId: CampaignId, limit: Schema.Int.pipe(Schema.between(1, 1_000)) },
    success: Schema.Array(PhaseEvent),
    error: OperatorFailure
  }).annotate(RequiredRole, "VIEWER").annotate(TouchedCampaigns, "named"),
  /**
   * The acts of operators on a campaign (those of `AuditLog`) and the phases that it has reached, as one list by the
   * ledger's clock, the newest first, at most `limit` (1 to 1,000). `before`: that of the page before.
   */
  Rpc.make("Timeline", {
    payload: {
      campaignId: CampaignId,
      limit: Schema.Int.pipe(Schema.between(1, 1_000)),
      before: Schema.optional(TimelineCursor)
    },
    success: TimelinePage,
    error: OperatorFailure
  }).annotate(RequiredRole, "VIEWER").annotate(TouchedCampaigns, "named")
).middleware(Authorization) {}
