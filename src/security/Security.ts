import * as Layer from "effect/Layer"
import * as Guard from "./Guard.ts"
import * as KeyRing from "./KeyRing.ts"
import * as UserTokens from "./UserTokens.ts"

/** Who may do what, over the port ApiKeyStore. */
export const layer = Guard.layer.pipe(Layer.provideMerge(KeyRing.layer), Layer.provide(UserTokens.layer))
