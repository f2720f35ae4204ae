import type { CampaignId } from "./CampaignId.ts"
import type { Role } from "./Role.ts"

/** API keys that expire within this time are warned of. */
export const EXPIRES_SOON_MILLIS = 14 * 86_400_000

/** The caller, as far as known. */
export interface Principal {
  /** The name in the audit log: of the API key, `bootstrap` (ADMIN_API_KEY), `user <id>` (a token) or `anonymous`. */
  readonly name: string
  /** `NONE`: a user or an anonymous caller, without the rights of a key. */
  readonly role: Role | "NONE"
  /** The id of a stored API key. */
  readonly keyId?: string
  /** Most calls per second with this key at each instance; `undefined`: unlimited. */
  readonly requestsPerSecond?: number
  /** The campaigns that the key may touch; `undefined`: all. */
  readonly campaigns?: ReadonlySet<CampaignId>
  /** How often the key's limits were set; `undefined`: never. */
  readonly limitsVersion?: number
}

/**
 * Of which campaigns a call reads or changes something: of one; `own`: of none, or of those that its caller may touch,
 * and the call itself sees to that; `all`: of any.
 */
export type Touches = CampaignId | "own" | "all"

/** Whether a caller may touch these campaigns. */
export const mayTouch = ({ campaigns }: Principal, touches: Touches): boolean =>
  campaigns === undefined || touches === "own" || (touches !== "all" && campaigns.has(touches))

/** A caller without a key, where no key is needed. */
export const anonymous: Principal = { name: "anonymous", role: "NONE" }

/** A caller without a key, while administration is open. */
export const anonymousAdmin: Principal = { name: "anonymous", role: "ADMIN" }
