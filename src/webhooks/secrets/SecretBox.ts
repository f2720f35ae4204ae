import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto"
import * as Data from "effect/Data"
import * as Either from "effect/Either"
import type { SecretsKeys } from "../../config/SecretsKey.ts"

/** A sealed secret cannot be opened: it was sealed under a key that SECRETS_KEY lacks, or it was changed. */
export class SecretUnreadable extends Data.TaggedError("SecretUnreadable")<{ readonly message: string }> {}

/**
 * Secrets at rest, by AES-256-GCM. A sealed secret is `v1.<key id>.<nonce>.<text and tag>` in base64url. `place` says
 * what the secret belongs to and is authenticated with it, so that a sealed secret opens nowhere else.
 */
export interface SecretBox {
  /** Under the first key of SECRETS_KEY. */
  readonly seal: (secret: string, place: string) => string
  readonly open: (sealed: string, place: string) => Either.Either<string, SecretUnreadable>
  /** Whether it is sealed under another key than the first, and so has to be sealed again before that one goes. */
  readonly isStale: (sealed: string) => boolean
}

const VERSION = "v1"
const NONCE_BYTES = 12
const TAG_BYTES = 16

const unreadable = (message: string) => Either.left(new SecretUnreadable({ message }))

const associated = (id: string, place: string) => Buffer.from(`${VERSION}.${id}.${place}`)

export const make = ([current, ...former]: SecretsKeys): SecretBox => {
  const byId = new Map([current, ...former].map(({ id, key }) => [id, key]))
  return {
    seal: (secret, place) => {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv("aes-256-gcm", current.key, nonce)
      cipher.setAAD(associated(current.id, place))
      const text = Buffer.concat([cipher.update(secret, "utf8"), cipher.final(), cipher.getAuthTag()])
      return [VERSION, current.id, nonce.toString("base64url"), text.toString("base64url")].join(".")
    },
    open: (sealed, place) => {
      const [version, id, nonce, text, ...rest] = sealed.split(".")
      if (version !== VERSION || id === undefined || nonce === undefined || text === undefined || rest.length > 0) {
        return unreadable("a stored secret has another form")
      }
      const key = byId.get(id)
      if (key === undefined) return unreadable(`a stored secret needs the key ${id}, which SECRETS_KEY does not have`)
      const bytes = Buffer.from(text, "base64url")
      try {
        const decipher = createDecipheriv("aes-256-gcm", key, Buffer.from(nonce, "base64url"), {
          authTagLength: TAG_BYTES
        })
        decipher.setAAD(associated(id, place))
        decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
        const clear = Buffer.concat([decipher.update(bytes.subarray(0, -TAG_BYTES)), decipher.final()])
        return Either.right(clear.toString("utf8"))
      } catch {
        return unreadable(`a stored secret cannot be opened by the key ${id}: the key or the row was changed`)
      }
    },
    isStale: (sealed) => sealed.split(".")[1] !== current.id
  }
}
