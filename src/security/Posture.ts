import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { AppConfig } from "../AppConfig.ts"
import { ApiKeys, type KeysUnavailable } from "./ApiKeys.ts"

/** In production nobody could administer, or everybody; `message` says what to do. */
export class AdministrationUnguarded extends Data.TaggedError("AdministrationUnguarded")<{ readonly message: string }> {}

const REFUSAL = `NODE_ENV is production, and there is no ADMIN key: nobody could create a campaign. Make one and start again with it:

  openssl rand -base64 32 > admin-api-key      and set ADMIN_API_KEY_FILE to that file's path (or ADMIN_API_KEY to its content)

Callers send it as "Authorization: Bearer <key>". To try the service out with administration open to all, set NODE_ENV=development.`

const OPEN = "ADMINISTRATION IS OPEN: no API key is configured, so whoever reaches this port may create and change campaigns. " +
  "Fine to try it out on loopback; otherwise set ADMIN_API_KEY, and NODE_ENV=production, which refuses to start without (SECURITY.md)"

/** Run once the stores are there: refuses production without an ADMIN key, and says loudly when administration is open. */
export const check: Effect.Effect<void, AdministrationUnguarded | KeysUnavailable, AppConfig | ApiKeys> = Effect.gen(function*() {
  const { adminApiKey, production } = yield* AppConfig
  const keys = yield* ApiKeys
  if (adminApiKey._tag === "Some") return
  if (production) {
    const found = (yield* keys.list).some((key) => key.role === "ADMIN" && key.revokedAt === undefined)
    if (!found) return yield* new AdministrationUnguarded({ message: REFUSAL })
  } else if (!(yield* keys.configured)) yield* Effect.logWarning(OPEN)
})
