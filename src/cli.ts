import * as CliConfig from "@effect/cli/CliConfig"
import * as ValidationError from "@effect/cli/ValidationError"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { run } from "./cli/App.ts"
import * as Arguments from "./cli/Arguments.ts"
import { CliFailure } from "./cli/CliFailure.ts"
import { type Exit as ExitName, exitCodes } from "./cli/ExitCode.ts"
import * as Output from "./cli/Output.ts"

/** The operator's command: a client, which reaches no store itself. `coupon --help` tells all of it. */

const args = Arguments.canonical(process.argv.slice(2))
const json = args.includes("--json")

const tell = ({ code, exit, hint, message }: CliFailure) =>
  Effect.sync(() =>
    console.error(
      json
        ? Output.toJson({ error: { code, message, hint, exitCode: exitCodes[exit].code } })
        : `${Output.printable(message)}${hint === undefined ? "" : `\n${Output.printable(hint)}`}`
    )
  )

const unexpected = (cause: Cause.Cause<unknown>) =>
  new CliFailure({ exit: "FAILED", code: "UNEXPECTED", message: Cause.pretty(cause), hint: "this is a bug, or the service speaks another version" })

/** Every way a run may end, told where that has not been done, as an exit code. */
const settle = (exit: Exit.Exit<void, unknown>): Effect.Effect<ExitName> => {
  if (Exit.isSuccess(exit)) return Effect.succeed("OK")
  if (Cause.isInterruptedOnly(exit.cause)) return Effect.succeed("INTERRUPTED")
  const error = Cause.isFailType(exit.cause) ? exit.cause.error : undefined
  // What is wrong with the command line, @effect/cli has said already.
  if (ValidationError.isValidationError(error)) return Effect.succeed("USAGE")
  const failure = error instanceof CliFailure ? error : unexpected(exit.cause)
  return Effect.as(tell(failure), failure.exit)
}

// `coupon audit | head` closes our output: nobody is left to tell.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1))

run([...process.argv.slice(0, 2), ...args]).pipe(
  Effect.provide(NodeContext.layer),
  Effect.provide(CliConfig.layer({ showBuiltIns: false })),
  Effect.exit,
  Effect.flatMap(settle),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    disablePrettyLogger: true,
    teardown: (exit, onExit) => onExit(exitCodes[Exit.isSuccess(exit) ? exit.value as ExitName : "INTERRUPTED"].code)
  })
)
