import type { Role } from "./Role.ts"

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
}

/** A caller without a key, where no key is needed. */
export const anonymous: Principal = { name: "anonymous", role: "NONE" }

/** A caller without a key, while administration is open. */
export const anonymousAdmin: Principal = { name: "anonymous", role: "ADMIN" }
