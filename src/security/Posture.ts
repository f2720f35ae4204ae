import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { AppConfig } from "../config/AppConfig.ts"
import { ApiKeys, type KeysUnavailable } from "./ApiKeys.ts"
import { ProductionNote } from "./ProductionNote.ts"

/** There is no ADMIN key in production; `message` says what to do. */
export class AdministrationUnguarded
  extends Data.TaggedError("AdministrationUnguarded")<{ readonly message: string }>
{}

const REFUSAL = `NODE_ENV is production, and there is no ADMIN key, so no campaign could be created. Make a key:

  openssl rand -base64 32 > admin-api-key

Set ADMIN_API_KEY_FILE to that file's path (or ADMIN_API_KEY to its content) and start again.
Callers send it as "Authorization: Bearer <key>". To try the service without keys, set NODE_ENV=development.`

const OPEN = "ADMINISTRATION IS OPEN: no API key is configured, and any client of this port may create and change " +
  "campaigns. This is fine for trials on loopback; otherwise set ADMIN_API_KEY, and NODE_ENV=production, which does " +
  "not start without a key (SECURITY.md)"

const closed = (nodeEnv: string, hasAdmin: boolean) =>
  `NODE_ENV is ${nodeEnv}, but this ledger has been served in production: administration stays closed. ` +
  "If this instance belongs to that deployment, start it with the same settings as the others" +
  (hasAdmin ? "" : "; it knows no ADMIN key, so that none may administer here")

/**
 * Run once the stores are there and before anything is served. In production: fails without an ADMIN key, and notes in
 * the ledger that it is served in production. Elsewhere: logs a warning where administration is open, or where that
 * note keeps it closed.
 */
export const check: Effect.Effect<
  void,
  AdministrationUnguarded | KeysUnavailable,
  AppConfig | ApiKeys | ProductionNote
> = Effect.gen(function*() {
  const { adminApiKey, nodeEnv, production } = yield* AppConfig
  const keys = yield* ApiKeys
  const note = yield* ProductionNote
  const hasAdmin = adminApiKey._tag === "Some" ||
    (yield* keys.list).some((key) => key.role === "ADMIN" && key.revokedAt === undefined)
  if (production) {
    if (!hasAdmin) return yield* new AdministrationUnguarded({ message: REFUSAL })
    yield* note.leave
  } else if (yield* note.found) yield* Effect.logWarning(closed(nodeEnv, hasAdmin))
  else if (!(yield* keys.configured)) yield* Effect.logWarning(OPEN)
})
