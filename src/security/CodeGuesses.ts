import * as Effect from "effect/Effect"
import * as ClientBudgets from "../base/ClientBudgets.ts"
import * as Clients from "../base/Clients.ts"
import type { RequestSource } from "../domain/Actor.ts"
import { RateLimited, RecordNotFound, type RedemptionRejection, type Conflict } from "../domain/Failure.ts"
import type { Principal } from "../domain/Principal.ts"

/** What is wrong with a code, or with the request by which it is redeemed. */
type WrongCode = RedemptionRejection | Conflict

/** Bounds how many codes callers without the rights of REDEEMER may guess, and what they learn by it. */
export interface CodeGuesses {
  /**
   * Runs a redemption by a code. Whatever is wrong with the code is `RecordNotFound`, so no answer says which codes are
   * coupons'. So many wrong ones of a client, or of a key, and every further code is `RateLimited`, right or wrong,
   * before it is looked at.
   */
  readonly bounded: <A, E extends { readonly _tag: string }>(
    principal: Principal,
    source: RequestSource,
    redemption: Effect.Effect<A, E | WrongCode>
  ) => Effect.Effect<A, E | RecordNotFound | RateLimited>
}

/** Wrong codes of one address: a user mistypes a few, and several users may share it. */
const CLIENT = { burst: 20, perSecond: 0.1 }

/** Wrong codes by one key, whose holder passes on those of many users. */
const KEY = { burst: 200, perSecond: 2 }

const WRONG: ReadonlySet<string> = new Set<WrongCode["_tag"]>([
  "RecordNotFound", "CouponRevoked", "CouponExpired", "CouponRedeemed", "Conflict"
])

/** Ids of keys are hexadecimal digits, drawn at random. */
const placeOf = (keyId: string): number => Number.parseInt(keyId.slice(0, 8), 16) % Clients.CLIENTS

/** `now`: milliseconds that never go back. */
export const make = (now: () => number = () => performance.now()): CodeGuesses => {
  const clients = ClientBudgets.make(CLIENT, now)
  const keys = ClientBudgets.make(KEY, now)
  return {
    bounded: <A, E extends { readonly _tag: string }>(
      { keyId }: Principal,
      source: RequestSource,
      redemption: Effect.Effect<A, E | WrongCode>
    ) =>
      Effect.suspend((): Effect.Effect<A, E | RecordNotFound | RateLimited> => {
        const [budget, place] = keyId === undefined
          ? [clients, Clients.of(source.address())] as const
          : [keys, placeOf(keyId)] as const
        const wait = budget.wait(place)
        if (wait > 0) return Effect.fail(new RateLimited({ retryAfterSeconds: Math.ceil(wait) }))
        // Taken before the answer is known, and given back if the code was right: many guesses at once count as many.
        budget.charge(place, 1)
        return Effect.onExit(redemption, (exit) =>
          Effect.sync(() => {
            if (exit._tag === "Failure" && exit.cause._tag === "Fail" && WRONG.has(exit.cause.error._tag)) return
            budget.charge(place, -1)
          })).pipe(
            Effect.mapError((failure) =>
              WRONG.has(failure._tag) ? new RecordNotFound() : failure as Exclude<E, WrongCode>)
          )
      })
  }
}
