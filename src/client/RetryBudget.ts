import * as Exit from "effect/Exit"
import { repetitionOf } from "./Repetition.ts"
import type { RetryThrottling } from "./RetryPolicy.ts"

/** The budget that all calls of one client share, so that an overload is not made worse by all of them. */
export interface RetryBudget {
  /** An outcome of a call. One that was interrupted says nothing. */
  readonly note: (exit: Exit.Exit<unknown, { readonly _tag: string }>) => void
  /** Whether a call may be repeated now. */
  readonly allows: () => boolean
}

/** A full budget. */
export const make = ({ maxTokens, tokenRatio }: RetryThrottling): RetryBudget => {
  if (!(maxTokens >= 1 && maxTokens <= 1_000 && tokenRatio > 0)) {
    throw new RangeError("maxTokens must be 1 to 1000, and tokenRatio more than 0")
  }
  let tokens = maxTokens
  return {
    note: (exit) => {
      if (Exit.isFailure(exit)) {
        if (exit.cause._tag !== "Fail") return
        if (repetitionOf(exit.cause.error) !== undefined) {
          tokens = Math.max(0, tokens - 1)
          return
        }
      }
      tokens = Math.min(maxTokens, tokens + tokenRatio)
    },
    allows: () => tokens > maxTokens / 2
  }
}
