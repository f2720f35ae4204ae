import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as HashSet from "effect/HashSet"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as AppConfig from "./config/AppConfig.ts"
import { help } from "./config/Help.ts"
import * as Shutdown from "./config/Shutdown.ts"
import * as Boot from "./Boot.ts"
import * as ConsoleFiles from "./console/ConsoleFiles.ts"
import * as ConsoleMount from "./console/ConsoleMount.ts"
import * as Logging from "./telemetry/Logging.ts"
import * as MainProgram from "./MainProgram.ts"
import * as Redaction from "./config/Redaction.ts"
import * as LiveMount from "./operator/live/LiveMount.ts"
import * as OverviewSampler from "./operator/OverviewSampler.ts"
import * as OperatorMount from "./operator/OperatorMount.ts"
import * as Exposition from "./metrics/Exposition.ts"
import * as ProcessMetrics from "./metrics/ProcessMetrics.ts"
import * as ProtectionLog from "./telemetry/ProtectionLog.ts"
import * as Tracing from "./telemetry/Tracing.ts"
import * as FileLimit from "./http/connections/FileLimit.ts"
import * as GuardedMount from "./http/GuardedMount.ts"
import * as OpenApi from "./http/OpenApi.ts"
import * as Server from "./http/Server.ts"
import * as SourceFrames from "./SourceFrames.ts"

const usage = () => `coupon-issuance hands out coupons first come, first served, exactly.

  npm start              runs the service; Ctrl-C, SIGTERM or SIGHUP stops it, after what was admitted is finished;
                         another one, a second or more later, stops it at once
  npm start -- --help    prints this

Settings (environment variables) and their defaults:

${help()}
`

/** A URL of all addresses as one of this machine. */
const fromHere = (url: string): string => url.replace(/\/\/(?:0\.0\.0\.0|\[::\]):/, "//127.0.0.1:")

const greet = Effect.gen(function*() {
  const { operatorUrl, url } = yield* Server.Listener
  const { embedded, servesConsole } = yield* AppConfig.AppConfig
  const reachable = fromHere(url)
  const pages = servesConsole && ConsoleFiles.areBuilt() ? `, console at ${fromHere(operatorUrl)}/console` : ""
  yield* Effect.logInfo(
    `listening on ${reachable}${embedded ? " (embedded stores)" : ""}${pages}; ` +
      `try: curl ${reachable}/coupon.v1.CouponService/CreateCampaign ` +
      `-H 'Content-Type: application/json' -d '{"name":"first","couponLimit":1000,"startTime":"2025-06-25T00:00:00Z"}'`
  )
})

/** Ends the process in time even if a finalizer hangs: an orchestrator's SIGKILL would leave no message. */
const leaveInTime = Layer.scopedDiscard(Effect.gen(function*() {
  const config = yield* AppConfig.AppConfig
  const limit = Duration.toMillis(config.shutdownTimeout) + 1_000
  yield* Effect.addFinalizer(() =>
    Shutdown.begin.pipe(
      Effect.zipRight(
        Effect.logInfo("stopping: finishing what was admitted; another signal, a second or more later, stops at once")
      ),
      Effect.zipRight(Effect.sync(() => {
        setTimeout(() => {
          console.error(`still busy ${limit} ms after the signal to stop; leaving`)
          process.exit(1)
        }, limit).unref()
      }))
    )
  )
}))

const mounts = Effect.gen(function*() {
  // A shop's sales figures are confidential. METRICS_PORT serves them without a key, to be reached by Prometheus alone.
  const metrics = yield* GuardedMount.make("VIEWER", Exposition.mounts(yield* AppConfig.AppConfig))
  const open = { [OpenApi.PATH]: OpenApi.make() }
  const pages = (yield* AppConfig.AppConfig).servesConsole ? yield* ConsoleMount.make() : {}
  return Server.layerWith(open, undefined, {}, {
    ...metrics,
    ...pages,
    ...yield* LiveMount.make,
    ...yield* OperatorMount.make
  })
})

const service = Layer.effectDiscard(greet).pipe(
  Layer.merge(leaveInTime),
  Layer.merge(Exposition.layer),
  Layer.merge(ProcessMetrics.layer),
  Layer.merge(ProtectionLog.layer),
  Layer.provideMerge(Layer.unwrapScoped(mounts)),
  Layer.provideMerge(OverviewSampler.layer),
  Layer.provideMerge(Boot.layer)
)

const program = Effect.gen(function*() {
  const context = yield* Layer.build(service)
  return yield* Context.get(context, Boot.BootFailure).failed
}).pipe(
  Effect.scoped,
  Effect.provide(Tracing.layer),
  Effect.provide(FileLimit.layer),
  Effect.provide(Logging.layer),
  // Uses a new logger, because the first one writes what it held back as its last act. An interrupted fiber still has
  // that first logger: without `locally` both would write the line.
  Effect.onInterrupt(() =>
    Effect.logInfo("stopped").pipe(
      Effect.provide(Logging.layer),
      Effect.locally(FiberRef.currentLoggers, HashSet.make<[Logger.Logger<unknown, unknown>]>(Logger.defaultLogger))
    )
  ),
  Effect.provide(AppConfig.layer("serves")),
  // An error that an operator can fix is one message; a defect prints its whole cause.
  Effect.tapErrorCause((cause) =>
    Cause.isInterruptedOnly(cause)
      ? Effect.void
      : Effect.sync(() => {
        const text = Cause.isFailType(cause) ? cause.error.message : SourceFrames.readable(Cause.pretty(cause))
        console.error(Redaction.text(text))
      })
  )
)

const args = process.argv.slice(2)
const unknown = args.filter((arg) => arg !== "--help" && arg !== "-h")
if (unknown.length > 0) {
  // A misspelt option would otherwise start a service that was not asked for.
  console.error(`unknown argument ${unknown.join(" ")}: settings are environment variables, and --help lists them`)
  process.exitCode = 2
} else if (args.length > 0) console.log(usage())
else MainProgram.run(program, { disableErrorReporting: true, disablePrettyLogger: true })
