import { stripVTControlCharacters } from "node:util"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { exitCodes } from "./cli/ExitCode.ts"
import { main } from "./cli/Main.ts"

// The operator's command: a client, which reaches no store itself. `coupon --help` tells all of it, docs/reference/cli.md some more.

// `coupon audit | head` closes our output: nobody is left to tell.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1))
// What cannot be said on standard error leaves the exit code to say it.
process.stderr.on("error", () => {})

// What is no terminal gets no colours: @effect/cli's help has them.
const plain = (stream: NodeJS.WriteStream, text: string) => void stream.write(`${stream.isTTY ? text : stripVTControlCharacters(text)}\n`)

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
  teardown: (exit, onExit) => onExit(exitCodes[Exit.isSuccess(exit) ? exit.value as keyof typeof exitCodes : "INTERRUPTED"].code)
})
