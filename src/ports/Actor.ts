import * as FiberRef from "effect/FiberRef"
import * as GlobalValue from "effect/GlobalValue"

/**
 * Who makes the administrative call that this fiber serves, as the admin audit names them: a key's name, a token's subject.
 * At most 200 characters. Whoever authenticates sets it, by `Effect.locally(call, Actor, name)`.
 */
export const Actor: FiberRef.FiberRef<string> = GlobalValue.globalValue(
  Symbol.for("coupon/issuance/Actor"),
  () => FiberRef.unsafeMake("anonymous")
)
