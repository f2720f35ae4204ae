import * as CliConfig from "@effect/cli/CliConfig"
import * as ValidationError from "@effect/cli/ValidationError"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as SourceFrames from "../SourceFrames.ts"
import { root, run } from "./App.ts"
import * as Arguments from "./Arguments.ts"
import { CliFailure } from "./CliFailure.ts"
import { type Exit as ExitName, exitCodes } from "./ExitCode.ts"
import * as Guide from "./Guide.ts"
import * as CommandWords from "./line/CommandWords.ts"
import * as Completions from "./line/Completions.ts"
import * as HelpPage from "./line/HelpPage.ts"
import * as Mistakes from "./line/Mistakes.ts"
import * as Output from "./Output.ts"
import * as Json from "./values/Json.ts"

const tell = ({ code, exit, hint, message }: CliFailure, json: boolean) =>
  Console.error(
    json
      ? Json.text({ error: { code, message, hint, exitCode: exitCodes[exit].code } })
      : `${Output.printable(message)}${hint === undefined ? "" : `\n${Output.printable(hint)}`}`
  )

const unexpected = (cause: Cause.Cause<unknown>) =>
  new CliFailure({
    exit: "FAILED",
    code: "UNEXPECTED",
    message: SourceFrames.readable(Cause.pretty(cause)),
    hint: "this is a bug, or the service speaks another version"
  })

/** Maps the end of a run to its exit code, and prints the failure unless that was done. */
const settle = (exit: Exit.Exit<void, unknown>, json: boolean): Effect.Effect<ExitName> => {
  if (Exit.isSuccess(exit)) return Effect.succeed("OK")
  if (Cause.isInterruptedOnly(exit.cause)) return Effect.succeed("INTERRUPTED")
  const error = Cause.isFailType(exit.cause) ? exit.cause.error : undefined
  // @effect/cli has printed what is wrong with the command line.
  if (ValidationError.isValidationError(error)) return Effect.succeed("USAGE")
  const failure = error instanceof CliFailure ? error : unexpected(exit.cause)
  return Effect.as(tell(failure, json), failure.exit)
}

const environment = Layer.mergeAll(
  NodeFileSystem.layer,
  NodePath.layer,
  NodeTerminal.layer,
  CliConfig.layer({ showBuiltIns: false })
)

/** Options of the program itself, which are those of `@effect/cli`. */
const OWN: ReadonlySet<string> = new Set(["--version", "--wizard", "--log-level"])

const asksForHelp = (args: ReadonlyArray<string>): boolean => args.some((arg) => arg === "--help" || arg === "-h")

/** Runs a line that names a command. */
const runCommand = (args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const { descriptor } = root
    const [first, second] = args.flatMap((arg) => arg.startsWith("--completions=") ? arg.split("=") : [arg])
    if (first === "--completions") return yield* Output.line((yield* Completions.render(descriptor, second)).trimEnd())
    if (asksForHelp(args)) {
      const named = yield* CommandWords.find(descriptor, args)
      return yield* Output.line(HelpPage.render(named, Output.columns()))
    }
    yield* Mistakes.check(descriptor, args)
    yield* run(["node", "coupon", ...args])
  })

/** Runs the command with these arguments, without those for the program itself; prints by Effect's Console. */
export const main = (given: ReadonlyArray<string>): Effect.Effect<ExitName> => {
  const args = Arguments.canonical(given)
  const isAlone = args.every((arg) => arg === "--help" || arg === "-h")
  if (isAlone) return Effect.as(Output.line(Guide.text(Output.columns())), "OK" as const)
  return (OWN.has(args[0]!.split("=")[0]!) ? run(["node", "coupon", ...args]) : runCommand(args)).pipe(
    Effect.provide(environment),
    Effect.exit,
    Effect.flatMap((exit) => settle(exit, args.includes("--json")))
  )
}
