import * as Rpc from "@effect/rpc/Rpc"
import * as RpcGroup from "@effect/rpc/RpcGroup"
import * as RpcMiddleware from "@effect/rpc/RpcMiddleware"
import * as Context from "effect/Context"
import * as Schema from "effect/Schema"
import type { Actor } from "../domain/Actor.ts"
import { campaignPhases } from "../domain/CampaignPhase.ts"
import type { Principal } from "../domain/Principal.ts"
import { type Role as RoleName, roles } from "../domain/Role.ts"
import { OperatorFailure, Rejection } from "./OperatorErrors.ts"
import { Overview } from "./Overview.ts"

/** The path of the group: POST, `application/ndjson`, the framing of `@effect/rpc`. */
export const PATH = "/operator/rpc"

export const Role = Schema.Literal(...roles)

/** Annotates a call with the lowest role that may make it. */
export class RequiredRole extends Context.Tag("coupon/operator/RequiredRole")<RequiredRole, RoleName>() {}

/**
 * Annotates a call with the campaigns that it is about, for keys that are limited to some: `named`: the one of its
 * `campaignId`, and without that the caller's own; `own`: none, or the caller's own; `all`: not for such keys.
 */
export class TouchedCampaigns extends Context.Tag("coupon/operator/TouchedCampaigns")<
  TouchedCampaigns,
  "named" | "own" | "all"
>() {}

/**
 * Annotates a call that changes something and is not safe to repeat: without an answer, it may have been done.
 * RebuildGate is not among them, because repeating it is harmless.
 */
export class Writes extends Context.Tag("coupon/operator/Writes")<Writes, true>() {}

/** Who calls, and as whom the audit log has it. */
export class Caller extends Context.Tag("coupon/operator/Caller")<Caller, {
  readonly principal: Principal
  readonly actor: Actor
}>() {}

/** Admits a call or rejects it, by its HTTP header `Authorization: Bearer <key>`. */
export class Authorization extends RpcMiddleware.Tag<Authorization>()("coupon/operator/Authorization", {
  failure: Rejection,
  provides: Caller,
  wrap: true
}) {}

const Millis = Schema.Number
const Count = Schema.Number
/** The fields of a call that changes something. Unknown ones are rejected: ignoring them would look like success. */
const changing = <Fields extends Schema.Struct.Fields>(fields: Fields) =>
  Schema.Struct(fields).annotations({ parseOptions: { onExcessProperty: "error" } })

const CampaignId = Schema.Int.pipe(Schema.between(1, 2_147_483_647))

/** A store's clock, and the instance's when the answer arrived, in epoch milliseconds. */
const StoreFacts = Schema.Struct({
  now: Millis,
  askedAt: Millis,
  settings: Schema.Record({ key: Schema.String, value: Schema.String }),
  /** The ledger's session variables that statements depend on; `required`: what one has to be that is not. */
  session: Schema.optional(Schema.Array(Schema.Struct({
    name: Schema.String,
    value: Schema.String,
    required: Schema.optional(Schema.String)
  })))
})

/** The instance that answers, and its state. */
export const Info = Schema.Struct({
  service: Schema.Literal("coupon-issuance"),
  version: Schema.String,
  /** Node's, e.g. `24.21.0`. */
  node: Schema.String,
  /** Tells instances apart: host name and process id. */
  instance: Schema.String,
  /** Epoch milliseconds. */
  startedAt: Millis,
  /** The instance's clock when it answered, epoch milliseconds. */
  now: Millis,
  /** The stores' clocks when they were asked, and their settings that matter; `null`: it did not answer. */
  ledger: Schema.NullOr(StoreFacts),
  gate: Schema.NullOr(StoreFacts),
  /** The stores in a few words, without secrets. */
  stores: Schema.String,
  embedded: Schema.Boolean,
  ready: Schema.Boolean,
  waitingFor: Schema.Array(Schema.String),
  /** Whether administration needs no key, because none is configured. */
  open: Schema.Boolean,
  caller: Schema.Struct({ name: Schema.String, role: Schema.String }),
  /** Keys that expire within 14 days. An older instance does not send it, nor one whose ledger is away. */
  expiringKeys: Schema.optional(Schema.Array(
    Schema.Struct({ id: Schema.String, name: Schema.String, expiresAt: Millis })
  )),
  /** Enabled webhooks that get no events because webhooks are off; an older instance does not send it. */
  waitingWebhooks: Schema.optional(Count)
})

/** A setting in effect, written as its variable. `value` is `***` if it may hold a secret, and empty if it is unset. */
export const EffectiveSetting = Schema.Struct({
  name: Schema.String,
  value: Schema.String,
  default: Schema.String,
  isDefault: Schema.Boolean,
  description: Schema.String
})

/**
 * What is advised against: a setting, a clock or a session variable that harms (`src/contract/Advice.ts`). `text` and
 * `hint`, what to do, are in English; clients that know the `id` have them in other languages, with these `values`.
 */
export const Advice = Schema.Struct({
  id: Schema.String,
  /** `fail`: the service does not work as it should. */
  verdict: Schema.Literal("warn", "fail"),
  text: Schema.String,
  hint: Schema.String,
  values: Schema.Struct({ name: Schema.String, value: Schema.String, required: Schema.String })
})

/** An invariant of the protocol that does not hold; `repairable`: by rebuilding the gate. */
export const Violation = Schema.Struct({
  /** `null`: it concerns the outbox as a whole. */
  campaignId: Schema.NullOr(Schema.Number),
  invariant: Schema.String,
  text: Schema.String,
  repairable: Schema.Boolean
})

/** One campaign as the verification saw it. The gate's columns are `null` where it could not be asked. */
export const VerifiedCampaign = Schema.Struct({
  campaignId: Schema.Number,
  couponLimit: Count,
  coupons: Count,
  counter: Count,
  unrelayed: Count,
  gate: Schema.NullOr(Schema.Struct({
    /** `Sound`, unless it is over for long, cannot be read, or is another deployment's. */
    condition: Schema.Literal("Sound", "Retired", "Broken", "Foreign"),
    hydrated: Schema.Boolean,
    issued: Count,
    pending: Count,
    oldestPendingMillis: Millis
  })),
  violations: Schema.Array(Violation)
})

/** A verification returns each campaign as soon as it is verified, and then the whole. */
export const VerifyEvent = Schema.Union(
  Schema.TaggedStruct("Campaign", { row: VerifiedCampaign }),
  Schema.TaggedStruct("Done", {
    campaigns: Count,
    /** All of them: those of the rows too. */
    violations: Schema.Array(Violation),
    outbox: Schema.Struct({ events: Count, oldestAgeMillis: Millis })
  })
)

/** How far a rebuild is. `Waiting`: another instance does it. */
export const RebuildEvent = Schema.Union(
  Schema.TaggedStruct("Started", { campaignId: Schema.Number, coupons: Count }),
  Schema.TaggedStruct("Progress", { coupons: Count, of: Count }),
  Schema.TaggedStruct("Waiting", {}),
  Schema.TaggedStruct("Done", { coupons: Count, tookMillis: Millis })
)

/**
 * A backup. Embedded: `Copying`, then `Snapshot`, the file in `Chunk`s and `Done`. MySQL: only `Elsewhere`, because the
 * database makes it.
 */
export const BackupEvent = Schema.Union(
  Schema.TaggedStruct("Copying", { bytes: Count, of: Count }),
  /** What follows: so many bytes, with this hash in hexadecimal digits. */
  Schema.TaggedStruct("Snapshot", { bytes: Count, sha256: Schema.String }),
  Schema.TaggedStruct("Chunk", { base64: Schema.String }),
  Schema.TaggedStruct("Done", {}),
  Schema.TaggedStruct("Elsewhere", {
    /** The database server, its version, and where it is. */
    server: Schema.String,
    /** For a shell; standard output is the backup. */
    command: Schema.String,
    notes: Schema.Array(Schema.String)
  })
)

/** An older instance does not send it. */
const known = Schema.optionalWith(Schema.NullOr(Schema.String), { default: () => null })

const knownNumber = Schema.optionalWith(Schema.NullOr(Schema.Number), { default: () => null })

/** An API key without its secret. */
export const Key = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  role: Role,
  /** `null`: no limit of its own. */
  requestsPerSecond: Schema.NullOr(Schema.Number),
  createdAt: Millis,
  /** `null`: it was not. */
  revokedAt: Schema.NullOr(Millis),
  /** The limits of `KeyLimits`. `null`: none; an older instance does not send them. */
  expiresAt: knownNumber,
  networks: Schema.optionalWith(Schema.NullOr(Schema.Array(Schema.String)), { default: () => null }),
  campaigns: Schema.optionalWith(Schema.NullOr(Schema.Array(Schema.Number)), { default: () => null }),
  /** The key that replaced it, and when it ends for that. */
  replacedBy: known,
  endsAt: knownNumber,
  /** The last day, in UTC, on which it was used: `2026-06-25`. */
  lastUsedOn: known
})

/** A session of the console. */
export const Session = Schema.Struct({
  id: Schema.String,
  /** The key that it stands for; `null`: ADMIN_API_KEY. A session whose key is not valid is of no use. */
  keyId: Schema.NullOr(Schema.String),
  createdAt: Millis,
  endsAt: Millis,
  /** Where it was started from. */
  address: Schema.String
})

/** Limits that are asked for: `null` for none; one that is missing stays as it is. */
const limits = {
  expiresAt: Schema.optional(Schema.NullOr(Millis)),
  networks: Schema.optional(Schema.NullOr(Schema.Array(Schema.String))),
  campaigns: Schema.optional(Schema.NullOr(Schema.Array(CampaignId)))
}

/** One administrative act, as the ledger remembers it; see `AuditLog`. */
export const AuditRecord = Schema.Struct({
  /** Ascending with time, with gaps. */
  id: Schema.Number,
  at: Millis,
  actor: Schema.String,
  action: Schema.String,
  campaignId: Schema.NullOr(Schema.Number),
  /** Any JSON; `null`: nothing. */
  before: Schema.Unknown,
  after: Schema.Unknown,
  /** Who acted, besides the name, and with which outcome. `null`: not known, as in rows of earlier versions. */
  keyId: known,
  role: known,
  address: known,
  requestId: known,
  /** Why, as the caller said: one line of at most 200 characters. */
  reason: known,
  /** `DONE` or `REFUSED`. */
  outcome: known
})

/** A place in the chain of the audit log. `record` is `null` where the act is missing. */
export const AuditLink = Schema.Struct({
  sequence: Schema.Number,
  hash: Schema.String,
  record: Schema.NullOr(AuditRecord)
})

const Hash = Schema.String.pipe(Schema.pattern(/^[0-9a-f]{64}$/))

/**
 * The verification of the audit log's chain: how far it is, what is wrong (at most 1,000 flaws), and the end. `kind`:
 * the act is missing or changed, the place is missing, the chain ends before its head (places were removed), or it does
 * not hold what a copy elsewhere holds.
 */
export const ChainEvent = Schema.Union(
  Schema.TaggedStruct("Progress", { acts: Count }),
  Schema.TaggedStruct("Flaw", {
    sequence: Schema.Number,
    kind: Schema.Literal("ActMissing", "ActChanged", "PlaceMissing", "TailMissing", "OtherHistory")
  }),
  Schema.TaggedStruct("Done", {
    acts: Count,
    hash: Schema.String,
    flaws: Count,
    unsealed: Count,
    /** Acts whose reason has no part in their hash: an instance of an earlier version sealed them. */
    unsealedReasons: Schema.optionalWith(Count, { default: () => 0 })
  })
)

/** A phase that a campaign has reached; see `issuance/CampaignPhases`. */
export const PhaseEvent = Schema.Struct({
  /** 1, 2, 3, … within the campaign. */
  sequence: Schema.Number,
  phase: Schema.Literal(...campaignPhases),
  at: Millis,
  /** When an instance recorded it. */
  noticedAt: Millis
})

/** How far a timeline was read: acts below this id and phases below this sequence follow; `null`: all of them. */
const TimelineCursor = Schema.Struct({ act: Schema.NullOr(Schema.Number), phase: Schema.NullOr(Schema.Number) })

/** An entry of a campaign's timeline: what an operator did, or a phase that the campaign has reached. */
export const TimelineEntry = Schema.Union(
  Schema.TaggedStruct("Act", { act: AuditRecord }),
  Schema.TaggedStruct("Phase", { reached: PhaseEvent })
)

/** A page of a timeline, the newest entry first. `before`: for the next page; `null`: this is the last one. */
export const TimelinePage = Schema.Struct({
  entries: Schema.Array(TimelineEntry),
  before: Schema.NullOr(TimelineCursor)
})

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
