import * as Effect from "effect/Effect"
import { AuditChain } from "../../ports/AuditChain.ts"

/** Acts that are given places in one transaction. */
const AT_ONCE = 200

/**
 * Gives every act of the audit log its place in the chain, also those of earlier versions. The log has each end of the
 * chain that this instance sees: a log that is kept elsewhere then proves what the ledger held.
 */
export const make = Effect.map(AuditChain, (chain) => {
  let logged = 0
  const seal = Effect.iterate({ head: { sequence: 0, hash: "" }, sealed: AT_ONCE }, {
    while: ({ sealed }) => sealed === AT_ONCE,
    body: () => chain.seal(AT_ONCE)
  })
  return {
    runOnce: Effect.flatMap(seal, ({ head }) => {
      if (head.sequence === logged) return Effect.void
      logged = head.sequence
      return Effect.annotateLogs(Effect.logInfo("the audit log is sealed"), { ...head })
    })
  }
})
