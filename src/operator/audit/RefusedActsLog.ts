import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import * as TokenBucket from "../../base/TokenBucket.ts"
import { type Actor, named } from "../../domain/Actor.ts"
import { changeBy } from "../../domain/ChangeRecord.ts"
import { refusedActs } from "../../metrics/CredentialMetrics.ts"
import { AuditLog } from "../../ports/AuditLog.ts"
import { RefusedActs } from "../../security/RefusedActs.ts"

/** Rows of single acts: so many at once, and then one in half a minute. At most 2,900 a day. */
const ROWS = { burst: 30, perSecond: 1 / 30 }
const SUMMARY_MILLIS = 60_000

/** Records refused acts in the background. What the ledger does not take is counted, and summed up in the next row. */
export const make = (
  now: () => number = () => performance.now(),
  after: (millis: number, work: () => void) => void = (millis, work) => void setTimeout(work, millis).unref()
): Effect.Effect<RefusedActs["Type"], never, AuditLog> =>
  Effect.gen(function*() {
    const audit = yield* AuditLog
    const run = Runtime.runFork(yield* Effect.runtime<never>())
    const bucket = TokenBucket.make(ROWS, now())
    /** Acts without a row of their own, by call and reason. */
    let summed = new Map<string, number>()
    let isDue = false

    const append = (actor: Actor, facts: unknown, failed: () => void) =>
      run(Effect.catchAllCause(
        audit.append({
          ...changeBy(actor),
          action: "act.refuse",
          outcome: "REFUSED",
          campaignId: undefined,
          before: undefined,
          after: facts
        }),
        () => Effect.sync(failed)
      ))

    const sum = (what: string, count: number) => {
      // Calls and reasons are named in the code, so there are few.
      summed.set(what, (summed.get(what) ?? 0) + count)
      if (isDue) return
      isDue = true
      after(SUMMARY_MILLIS, sumUp)
    }

    const sumUp = () => {
      isDue = false
      const counts = summed
      summed = new Map()
      append(named("unauthenticated"), { summedUp: Object.fromEntries(counts) }, () => {
        refusedActs.failed.add()
        for (const [what, count] of counts) sum(what, count)
      })
    }

    return {
      note: ({ actor, call, reason }) => {
        const what = `${call}: ${reason}`
        if (TokenBucket.take(bucket, ROWS, now()) > 0) {
          refusedActs.summed.add()
          return sum(what, 1)
        }
        refusedActs.row.add()
        append(actor, { call, reason }, () => {
          refusedActs.failed.add()
          sum(what, 1)
        })
      }
    }
  })

export const layer: Layer.Layer<RefusedActs, never, AuditLog> = Layer.effect(RefusedActs, make())
