import * as Schema from "effect/Schema"
import { roles } from "../../domain/Role.ts"
import { CampaignId, known, knownNumber, Millis } from "./Fields.ts"

export const Role = Schema.Literal(...roles)

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
export const limits = {
  expiresAt: Schema.optional(Schema.NullOr(Millis)),
  networks: Schema.optional(Schema.NullOr(Schema.Array(Schema.String))),
  campaigns: Schema.optional(Schema.NullOr(Schema.Array(CampaignId)))
}
