import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Exit from "effect/Exit"
import { exitCodes } from "./cli/ExitCode.ts"
import { main } from "./cli/Main.ts"

// The operator's command: a client, which reaches no store itself. `coupon --help` tells all of it, docs/cli.md some more.

// `coupon audit | head` closes our output: nobody is left to tell.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1))

NodeRuntime.runMain(main(process.argv.slice(2)), {
  disableErrorReporting: true,
  disablePrettyLogger: true,
  teardown: (exit, onExit) => onExit(exitCodes[Exit.isSuccess(exit) ? exit.value as keyof typeof exitCodes : "INTERRUPTED"].code)
})
