import type { Role } from "./Role.ts"

/** Who is calling, as far as is known. */
export interface Principal {
  /** As the audit log has it: the API key's name, `bootstrap` (ADMIN_API_KEY), `user <id>` (a token), or `anonymous`. */
  readonly name: string
  /** `NONE`: a user or a passer-by, who has none of the rights of a key. */
  readonly role: Role | "NONE"
  /** Of an API key that is stored. */
  readonly keyId?: string
  /** Most calls a second with this key, at each instance; `undefined`: any number. */
  readonly requestsPerSecond?: number
}

/** Somebody without a key, where a key is not needed. */
export const anonymous: Principal = { name: "anonymous", role: "NONE" }

/** Somebody without a key, while administration is open to all. */
export const anonymousAdmin: Principal = { name: "anonymous", role: "ADMIN" }
