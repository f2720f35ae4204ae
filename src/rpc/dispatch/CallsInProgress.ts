import * as RequestMetrics from "../../metrics/RequestMetrics.ts"
import type { Admission } from "../admission/Admission.ts"
import type { Route } from "../Route.ts"

/** Counts the calls that have begun and have not ended, and decides whether another one may begin. */
export interface CallsInProgress {
  readonly count: () => number
  /** Whether a call of this client may begin now. */
  readonly admits: (route: Route, client: number) => boolean
  readonly began: (route: Route, client: number) => void
  /** `startedAt`: when the call began, in milliseconds of `performance.now()`. */
  readonly ended: (route: Route, client: number, startedAt: number) => void
}

/**
 * Public calls are admitted by `admission`. Calls of administration are counted apart, `most` at once: a rush of public
 * calls never sheds them.
 */
export const make = (admission: Admission, most: number): CallsInProgress => {
  let count = 0
  let ofAdministration = 0
  return {
    count: () => count,
    admits: (route, client) => route.isPublic ? admission.admits(client) : ofAdministration < most,
    began: (route, client) => {
      RequestMetrics.inFlight.set(++count)
      if (route.isPublic) admission.began(client)
      else ofAdministration++
    },
    ended: (route, client, startedAt) => {
      RequestMetrics.inFlight.set(--count)
      if (route.isPublic) admission.ended(client, route.paced ? undefined : startedAt, performance.now())
      else ofAdministration--
    }
  }
}
