import { stripVTControlCharacters } from "node:util"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { exitCodes } from "./cli/ExitCode.ts"
import { main } from "./cli/Main.ts"

// The operator's command. It is a client and opens no store itself; see `coupon --help` and docs/reference/cli.md.

// `coupon verify | head` closes standard output early: that is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1))
// If standard error cannot be written, the exit code still reports the failure.
process.stderr.on("error", () => {})

// Without colours where the output is no terminal: the help of @effect/cli has them.
const plain = (stream: NodeJS.WriteStream, text: string) =>
  void stream.write(`${stream.isTTY ? text : stripVTControlCharacters(text)}\n`)

const program = Effect.consoleWith((console) =>
  Effect.withConsole(main(process.argv.slice(2)), {
    ...console,
    log: (text: string) => Effect.sync(() => plain(process.stdout, text)),
    error: (text: string) => Effect.sync(() => plain(process.stderr, text))
  })
)

NodeRuntime.runMain(program, {
  disableErrorReporting: true,
  disablePrettyLogger: true,
  teardown: (exit, onExit) => {
    const reason = Exit.isSuccess(exit) ? exit.value as keyof typeof exitCodes : "INTERRUPTED"
    onExit(exitCodes[reason].code)
  }
})
