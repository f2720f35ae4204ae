import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { AppConfig } from "../config/AppConfig.ts"
import { ApiKeys, isValid, type KeysUnavailable } from "./ApiKeys.ts"
import { ProductionNote } from "./ProductionNote.ts"

/** There is no ADMIN key in production; `message` says what to do. */
export class AdministrationUnguarded
  extends Data.TaggedError("AdministrationUnguarded")<{ readonly message: string }>
{}

const REJECTION = `NODE_ENV is production, and there is no ADMIN key, so no campaign could be created. Make a key:

  openssl rand -base64 32 > admin-api-key

Set ADMIN_API_KEY_FILE to that file's path (or ADMIN_API_KEY to its content) and start again.
Callers send it as "Authorization: Bearer <key>". To try the service without keys, set NODE_ENV=development and
OPEN_ADMINISTRATION=yes.`

const OPEN =
  "ADMINISTRATION IS OPEN (OPEN_ADMINISTRATION) until there is an API key: all who reach this port may create and " +
  "change campaigns. Fine to try it out on loopback; otherwise set ADMIN_API_KEY, and NODE_ENV=production (SECURITY.md)"

const CLOSED =
  "administration is closed, and there is no ADMIN key: no campaign can be created here. Set ADMIN_API_KEY_FILE or " +
  "ADMIN_API_KEY (openssl rand -base64 32), or, to try the service out, OPEN_ADMINISTRATION=yes"

const EXPIRED =
  "every ADMIN key has expired or was replaced, so administration is not possible: set ADMIN_API_KEY_FILE or " +
  "ADMIN_API_KEY (openssl rand -base64 32), and make a key (coupon keys create --role ADMIN)"

const closedByNote = (nodeEnv: string, hasAdmin: boolean) =>
  `NODE_ENV is ${nodeEnv}, but this ledger has been served in production: administration stays closed. If this ` +
  `instance belongs to that deployment, start it with the same settings as the others` +
  (hasAdmin ? "" : "; there is no ADMIN key, so administration is not possible here")

/**
 * Run once the stores are there and before anything is served. In production: refuses to go on without an ADMIN key,
 * and records in the ledger that it is served in production. Elsewhere: logs a warning where administration is open,
 * where that record keeps it closed, or where it is closed without a key to open it.
 */
export const check: Effect.Effect<
  void,
  AdministrationUnguarded | KeysUnavailable,
  AppConfig | ApiKeys | ProductionNote
> = Effect.gen(function*() {
  const { adminApiKey, mayOpenAdministration, nodeEnv, production } = yield* AppConfig
  const keys = yield* ApiKeys
  const note = yield* ProductionNote
  const admins = (yield* keys.list).filter((key) => key.role === "ADMIN" && key.revokedAt === undefined)
  const hasAdmin = adminApiKey._tag === "Some" || admins.length > 0
  if (production) {
    if (!hasAdmin) return yield* new AdministrationUnguarded({ message: REJECTION })
    yield* note.leave
    // An instance that is started again goes on serving users.
    const now = yield* Clock.currentTimeMillis
    const isLockedOut = adminApiKey._tag === "None" && !admins.some((key) => isValid(key, now))
    if (isLockedOut) yield* Effect.logWarning(EXPIRED)
  } else if (yield* note.found) yield* Effect.logWarning(closedByNote(nodeEnv, hasAdmin))
  else if (mayOpenAdministration && !(yield* keys.configured)) yield* Effect.logWarning(OPEN)
  else if (!hasAdmin) yield* Effect.logWarning(CLOSED)
})
