import * as Layer from "effect/Layer"
import * as Guard from "./Guard.ts"
import * as KeyRing from "./KeyRing.ts"
import * as SessionKeys from "./sessions/SessionKeys.ts"
import * as Sessions from "./sessions/Sessions.ts"
import * as UserTokens from "./UserTokens.ts"

/** Keys, and sessions in their place. */
const keys = SessionKeys.layer.pipe(Layer.provide(KeyRing.layer), Layer.provideMerge(Sessions.layer))

/** Who may do what, over the ports ApiKeyStore and SessionStore. */
export const layer = Guard.layer.pipe(Layer.provideMerge(keys), Layer.provide(UserTokens.layer))
