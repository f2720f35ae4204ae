import * as RpcMiddleware from "@effect/rpc/RpcMiddleware"
import * as Context from "effect/Context"
import type { Actor } from "../../domain/Actor.ts"
import type { Principal } from "../../domain/Principal.ts"
import type { Role } from "../../domain/Role.ts"
import { Rejection } from "../OperatorErrors.ts"

/** Annotates a call with the lowest role that may make it. */
export class RequiredRole extends Context.Tag("coupon/operator/RequiredRole")<RequiredRole, Role>() {}

/**
 * Annotates a call with the campaigns that it is about, for keys that are limited to some: `named`: the one of its
 * `campaignId`, and without that the caller's own; `own`: none, or the caller's own; `all`: not for such keys.
 */
export class TouchedCampaigns extends Context.Tag("coupon/operator/TouchedCampaigns")<
  TouchedCampaigns,
  "named" | "own" | "all"
>() {}

/**
 * Annotates a call that changes something and is not safe to repeat: without an answer, it may have been done.
 * RebuildGate is not among them, because repeating it is harmless.
 */
export class Writes extends Context.Tag("coupon/operator/Writes")<Writes, true>() {}

/** Who calls, and as whom the audit log has it. */
export class Caller extends Context.Tag("coupon/operator/Caller")<Caller, {
  readonly principal: Principal
  readonly actor: Actor
}>() {}

/** Admits a call or rejects it, by its HTTP header `Authorization: Bearer <key>`. */
export class Authorization extends RpcMiddleware.Tag<Authorization>()("coupon/operator/Authorization", {
  failure: Rejection,
  provides: Caller,
  wrap: true
}) {}
