import * as Networks from "../config/Networks.ts"
import type { CampaignId } from "../domain/Campaign.ts"
import type { Role } from "../domain/Role.ts"
import type { EpochMillis } from "../domain/Time.ts"

/** What bounds a key besides its role and its rate. `undefined` in a field: nothing does. */
export interface KeyLimits {
  /** From this time on, by the ledger's clock, the key is not valid. */
  readonly expiresAt: EpochMillis | undefined
  /** Where it may be used from: addresses and networks in CIDR notation, at least one. */
  readonly networks: ReadonlyArray<string> | undefined
  /** The campaigns that it may touch, at least one. */
  readonly campaigns: ReadonlyArray<CampaignId> | undefined
}

/** Limits as they are asked for. A field that is missing stays as it is, for a new key without a limit. */
export type LimitsChange = { readonly [Field in keyof KeyLimits]?: KeyLimits[Field] | null | undefined }

export const unlimited: KeyLimits = { expiresAt: undefined, networks: undefined, campaigns: undefined }

export const isLimited = ({ campaigns, expiresAt, networks }: KeyLimits): boolean =>
  expiresAt !== undefined || networks !== undefined || campaigns !== undefined

/** The most networks, and the most campaigns, of a key. */
export const MOST_NETWORKS = 32
export const MOST_CAMPAIGNS = 100

/** The longest time until a key expires: a mistyped year should not look like a limit. */
export const MAX_LIFE_MILLIS = 10 * 366 * 86_400_000

/** `null` removes a limit, a field that is missing keeps it. */
export const changed = (limits: KeyLimits, change: LimitsChange): KeyLimits => {
  const of = <Field extends keyof KeyLimits>(field: Field): KeyLimits[Field] =>
    change[field] === undefined ? limits[field] : (change[field] ?? undefined) as KeyLimits[Field]
  return { expiresAt: of("expiresAt"), networks: of("networks"), campaigns: of("campaigns") }
}

const networksFlaw = (networks: ReadonlyArray<string>): string | undefined => {
  if (networks.length === 0 || networks.length > MOST_NETWORKS) return `networks must be 1 to ${MOST_NETWORKS}`
  const list = Networks.parse(networks)
  return typeof list === "string" ? `networks: ${list}` : undefined
}

const campaignsFlaw = (campaigns: ReadonlyArray<CampaignId>, role: Role): string | undefined => {
  if (role === "ADMIN") return "a key of role ADMIN makes keys for every campaign, so it cannot be limited to some"
  if (campaigns.length === 0 || campaigns.length > MOST_CAMPAIGNS) return `campaigns must be 1 to ${MOST_CAMPAIGNS}`
  const isId = (id: number) => Number.isInteger(id) && id >= 1 && id <= 2_147_483_647
  return campaigns.every(isId) ? undefined : "campaigns must be numbers of campaigns"
}

/** What is wrong with limits for a key of this role; `undefined`: nothing. `now` is the ledger's clock. */
export const flawOf = (
  { campaigns, expiresAt, networks }: KeyLimits,
  role: Role,
  now: EpochMillis
): string | undefined => {
  if (expiresAt !== undefined && !(expiresAt > now && expiresAt <= now + MAX_LIFE_MILLIS)) {
    return "expiresAt must be in the future, and at most ten years away"
  }
  return (networks === undefined ? undefined : networksFlaw(networks)) ??
    (campaigns === undefined ? undefined : campaignsFlaw(campaigns, role))
}
