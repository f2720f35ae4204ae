import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ApiKeys } from "../ApiKeys.ts"
import { Sessions } from "./Sessions.ts"
import * as SessionToken from "./SessionToken.ts"

/**
 * API keys in whose place the tokens of their sessions are accepted. A session is looked up, and then its key is asked
 * for at every call: a session of a key that was revoked, expired or limited has ended with it.
 */
export const layer: Layer.Layer<ApiKeys, never, ApiKeys | Sessions> = Layer.effect(
  ApiKeys,
  Effect.map(Effect.zip(ApiKeys, Sessions), ([keys, sessions]) =>
    ApiKeys.of({
      ...keys,
      authenticate: (credential, address) =>
        SessionToken.isToken(credential)
          ? Effect.flatMap(sessions.find(credential, address), (session) =>
            session === undefined ? Effect.succeed("session" as const) : keys.holder(session.keyId, address))
          : keys.authenticate(credential, address)
    }))
)
