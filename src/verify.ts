import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Stream from "effect/Stream"
import * as AppConfig from "./config/AppConfig.ts"
import * as Violations from "./operator/Violations.ts"
import * as Backend from "./Backend.ts"
import * as VerificationReport from "./cli/VerificationReport.ts"
import { counted } from "./cli/Output.ts"
import * as Reconciler from "./agents/Reconciler.ts"
import * as GateRebuilder from "./agents/GateRebuilder.ts"
import * as HeldCoupons from "./agents/HeldCoupons.ts"
import * as KnownCampaigns from "./agents/KnownCampaigns.ts"
import { Outbox } from "./ports/Outbox.ts"
import * as MainProgram from "./MainProgram.ts"
import * as ChainVerification from "./operator/audit/ChainVerification.ts"
import * as Verification from "./operator/Verification.ts"
import * as Redaction from "./config/Redaction.ts"
import * as SourceFrames from "./SourceFrames.ts"

const usage = `Verifies a deployment against the invariants of docs/internals/protocol.md, and that no act of its audit
log was changed or removed. It may be serving meanwhile.

  npm run verify               one line a campaign; exit code 0: all hold, 1: some do not, 2: it could not be checked
  npm run verify -- --repair   also has gates that disagree with the ledger rebuilt from it; never changes the ledger

It reads the service's own settings (MYSQL_URL and REDIS_URL, or DATA_DIR) and, like the service, brings the schema up
to date. With the embedded stores the service must not run: it owns DATA_DIR, and the gate, which lives in it, is not
checked. While the service runs, use npx coupon-issuance verify, which also works from elsewhere, without the passwords
of the stores. The ledger counts about a million coupons a second; for more than a few million in one campaign raise
MYSQL_REPLY_TIMEOUT.
`

/** How long the stores may take to answer at first: an operator waits. */
const PATIENCE = Duration.seconds(20)

/** The chain of the audit log: its flaws, and its end. */
const chain = Effect.gen(function*() {
  const flaws: Array<string> = []
  let end = { acts: 0, flaws: 0, unsealed: 0, unsealedReasons: 0 }
  yield* Stream.runForEach(ChainVerification.verify(undefined), (event) =>
    Effect.sync(() => {
      if (event._tag === "Flaw") flaws.push(VerificationReport.flawLine(event))
      else if (event._tag === "Done") end = event
    }))
  return { flaws, end }
})

const inspect = (limits: Violations.Limits) =>
  Effect.gen(function*() {
    const { embedded } = yield* AppConfig.AppConfig
    const findings = Stream.runCollect(Verification.findings({ limits, gateHere: !embedded }))
    const rows = Chunk.toReadonlyArray(yield* findings)
    const outbox = Violations.outboxViolations(yield* Effect.flatMap(Outbox, ({ backlog }) => backlog), limits)
    return { rows, violations: [...rows.flatMap(({ violations }) => violations), ...outbox] }
  })

const print = (text: string) => Effect.sync(() => console.log(text))

const printViolations = (violations: ReadonlyArray<Violations.Violation>) =>
  Effect.forEach(violations, (violation) => print(VerificationReport.line(Violations.toContract(violation))), {
    discard: true
  })

/** Runs the service's own repair on the campaigns that need it. */
const repair = (campaignIds: ReadonlySet<number>) =>
  Effect.flatMap(Reconciler.Reconciler, ({ reconcile }) =>
    Effect.forEach(campaignIds, (campaignId) =>
      Effect.flatMap(reconcile(campaignId), (verdict) =>
        print(`campaign ${campaignId}: ${verdict === "Agrees" ? "repaired meanwhile" : "gate rebuilt"}`)))
  ).pipe(
    Effect.provide(Reconciler.layer),
    Effect.provide(Layer.mergeAll(GateRebuilder.layer, HeldCoupons.layer, KnownCampaigns.layer))
  )

const verify = (repairs: boolean) =>
  Effect.gen(function*() {
    const config = yield* AppConfig.AppConfig
    // With the embedded ledger no other process runs: events wait for the next start, as in a backup of a busy service.
    const serving = Verification.limitsOf(config)
    const limits = config.embedded ? { ...serving, eventMillis: Number.POSITIVE_INFINITY } : serving
    let found = yield* inspect(limits)
    const broken = new Set(found.violations.flatMap(({ campaignId, repairable }) =>
      repairable && campaignId !== undefined ? [campaignId] : []))
    if (repairs && broken.size > 0) {
      yield* printViolations(found.violations)
      yield* repair(broken)
      found = yield* inspect(limits)
    }
    yield* print(VerificationReport.table(found.rows.map(Violations.rowOf)))
    yield* printViolations(found.violations)
    const repairable = found.violations.some((violation) => violation.repairable)
    yield* print(
      found.violations.length === 0
        ? `${counted(found.rows.length, "campaign")}, every invariant holds${
          config.embedded ? " (the gate lives in the service and was not checked)" : ""
        }`
        : `${found.violations.length} violations${repairable ? "; --repair rebuilds the gates concerned" : ""}`
    )
    const audited = yield* chain
    for (const flaw of audited.flaws) yield* print(`audit log, ${flaw}`)
    yield* print(
      `audit log: ${
        audited.end.flaws === 0
          ? VerificationReport.chainLine(audited.end)
          : `${counted(audited.end.flaws, "flaw")}; compare it with a backup or an export`
      }`
    )
    if (found.violations.length > 0 || audited.end.flaws > 0) process.exitCode = 1
  })

const store = (name: string) => Effect.logDebug(`waiting for ${name}`)

const program = (repairs: boolean) =>
  Effect.gen(function*() {
    const config = yield* AppConfig.AppConfig
    const context = yield* Layer.build(Backend.layer).pipe(
      Effect.timeoutFail({
        duration: PATIENCE,
        onTimeout: () =>
          new Backend.BackendUnusable({
            message: `${Backend.describe(config)} did not answer within ${Duration.format(PATIENCE)}`
          })
      })
    )
    yield* Effect.provide(verify(repairs), context)
  }).pipe(
    Effect.scoped,
    Effect.provideService(Backend.BootProgress, { waitFor: store, arrived: () => Effect.void }),
    Effect.provide(AppConfig.layer("works")),
    // Standard output is for the table, so only errors are logged.
    Logger.withMinimumLogLevel(LogLevel.Error),
    Effect.catchAllCause((cause) =>
      Effect.sync(() => {
        const failure = Cause.isFailType(cause) ? cause.error : undefined
        const hasMessage = failure !== undefined && "message" in failure && failure.message !== ""
        const text = hasMessage ? failure.message : SourceFrames.readable(Cause.pretty(cause))
        console.error(Redaction.text(text))
        process.exitCode = 2
      })
    )
  )

const args = process.argv.slice(2)
const unknown = args.filter((arg) => arg !== "--repair" && arg !== "--help" && arg !== "-h")
if (unknown.length > 0) {
  console.error(`unknown argument ${unknown.join(" ")}\n\n${usage}`)
  process.exitCode = 2
} else if (args.includes("--help") || args.includes("-h")) console.log(usage)
else {
  MainProgram.failWithoutOutput()
  MainProgram.run(program(args.includes("--repair")), {
    disableErrorReporting: true,
    disablePrettyLogger: true,
    teardown: MainProgram.unfinished
  })
}
