import { createHmac, randomBytes } from "node:crypto"

/** Standard Webhooks 1.0 (https://www.standardwebhooks.com): what a receiver verifies a request by. */

/** What a secret looks like: this, and then its bytes in base64. */
const PREFIX = "whsec_"

/** The specification allows 24 to 64. */
const SECRET_BYTES = 32

/** A new secret of 256 random bits. */
export const makeSecret = (): string => PREFIX + randomBytes(SECRET_BYTES).toString("base64")

/** The bytes of a secret, which are the key of the signature. */
const keyOf = (secret: string): Buffer => Buffer.from(secret.slice(PREFIX.length), "base64")

/** The headers of one request. */
export interface SignedHeaders {
  readonly "webhook-id": string
  readonly "webhook-timestamp": string
  readonly "webhook-signature": string
}

/**
 * Signs a request. `id` is the same each time that the same body is sent, `atMillis` is when it is sent this time. Each
 * of the secrets that are valid signs, so that a receiver may know any of them.
 */
export const sign = (
  secrets: ReadonlyArray<string>,
  id: string,
  atMillis: number,
  body: string | Uint8Array
): SignedHeaders => {
  const timestamp = String(Math.floor(atMillis / 1_000))
  const signatures = secrets.map((secret) =>
    `v1,${createHmac("sha256", keyOf(secret)).update(`${id}.${timestamp}.`).update(body).digest("base64")}`)
  return { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures.join(" ") }
}
