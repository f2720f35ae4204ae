import * as ConfigError from "effect/ConfigError"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"

/** A key of SECRETS_KEY: 256 bits. */
export interface SecretsKey {
  readonly id: string
  readonly key: Buffer
}

/** The first one seals, all of them open. */
export type SecretsKeys = readonly [SecretsKey, ...ReadonlyArray<SecretsKey>]

const KEY_BYTES = 32

const RULE = "must be keys as <id>:<32 bytes in base64>, separated by commas, the newest first, with ids of 1 to 16 " +
  "letters and digits; make one by: echo k1:$(openssl rand -base64 32)"

/** Reads SECRETS_KEY. The message of a failure does not repeat the text. */
export const parse = (text: string): Either.Either<Redacted.Redacted<SecretsKeys>, ConfigError.ConfigError> => {
  const keys = text.trim().split(",").map((part) => {
    const [, id, base64] = /^\s*([A-Za-z0-9]{1,16}):([A-Za-z0-9+/]{43}=)\s*$/.exec(part) ?? []
    return { id: id ?? "", key: Buffer.from(base64 ?? "", "base64") }
  })
  const invalid = (reason: string) => Either.left(ConfigError.InvalidData([], reason))
  if (keys.some(({ key }) => key.length !== KEY_BYTES)) return invalid(RULE)
  if (new Set(keys.map(({ id }) => id)).size < keys.length) return invalid("must not name two keys alike")
  return Either.right(Redacted.make(keys as unknown as SecretsKeys))
}
