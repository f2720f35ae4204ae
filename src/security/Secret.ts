import { createHash, randomBytes, timingSafeEqual } from "node:crypto"
import { isToken } from "./sessions/SessionToken.ts"

/**
 * API keys are 256 random bits, so one SHA-256 is enough. Slow hashes such as bcrypt protect short secrets from
 * guessing, which is hopeless here, and would cost each call 100 ms of CPU, an easy way to overload the service.
 */
export const hashOf = (secret: string): Buffer => createHash("sha256").update(secret).digest()

/**
 * The hash of a key that was made with limits. Programs that know no limits, of an earlier version, then do not know
 * the key, and neither does this one if the row of its limits is gone.
 */
export const limitedHashOf = (secret: string): Buffer => hashOf(`limited ${secret}`)

/** In constant time, whatever the secrets' lengths: their hashes are compared. */
export const sameHash = (a: Buffer, b: Buffer): boolean => a.length === b.length && timingSafeEqual(a, b)

/** The prefix lets scanners of repositories and logs recognise a leaked key; the id says which one to revoke. */
const FORM = /^cpn_([0-9a-f]{16})_[A-Za-z0-9_-]{43}$/

/** The id in a secret; `undefined` if it has not the form of an API key. */
export const idOf = (secret: string): string | undefined => FORM.exec(secret)?.[1]

/** Whether it was meant to be an API key, or a session of one, complete or not. */
export const looksLikeKey = (secret: string): boolean => secret.startsWith("cpn_") || isToken(secret)

export const newSecret = (): { readonly id: string; readonly secret: string } => {
  const id = randomBytes(8).toString("hex")
  return { id, secret: `cpn_${id}_${randomBytes(32).toString("base64url")}` }
}
