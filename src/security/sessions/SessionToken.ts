import { createHash, randomBytes } from "node:crypto"

/** So many random bytes cannot be guessed, and need no slow hash at rest; see `Secret.hashOf`. */
const TOKEN_BYTES = 32

const PREFIX = "cps_"

/** Whether a credential was meant to be the token of a session, complete or not. */
export const isToken = (credential: string): boolean => credential.startsWith(PREFIX)

/** `cps_` and 43 characters; and the id by which a session is listed and ended, which says nothing about the token. */
export const make = (): { readonly id: string; readonly token: string } => ({
  id: randomBytes(8).toString("hex"),
  token: `${PREFIX}${randomBytes(TOKEN_BYTES).toString("base64url")}`
})

/**
 * What is stored of a token, in lower-case hex. `binding`: what an instance has to know besides, to find the session; a
 * session of ADMIN_API_KEY is bound to that key, which is stored nowhere.
 */
export const hashOf = (token: string, binding = ""): string =>
  createHash("sha256").update(`session ${binding} ${token}`).digest("hex")
