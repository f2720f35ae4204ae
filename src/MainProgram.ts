import { defaultTeardown, makeRunMain, type Teardown } from "@effect/platform/Runtime"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"

/** What a signal means: finish and end, nothing new, or end at once. */
export type Reaction = "Finish" | "Same" | "Leave"

/**
 * A terminal signals every process of a group, and npm passes the signal on besides: one Ctrl-C arrives twice. The second may take
 * as long as this on a busy machine.
 */
const SAME_MILLIS = 1_000

/** Signals closer together than this are one press of a key, however many programs pass it on. */
const PRESS_MILLIS = 100

/**
 * What the next signal means, by the time since those before it. The second within `SAME_MILLIS` is the first again. Any later one,
 * and the third in any case, is deliberate.
 */
export const makeReaction = (now: () => number = () => performance.now()): () => Reaction => {
  const seen: Array<number> = []
  return () => {
    const at = now()
    const count = seen.push(at)
    if (count === 1) return "Finish"
    const isSame = at - seen[count - 2]! < PRESS_MILLIS || (count === 2 && at - seen[0]! < SAME_MILLIS)
    return isSame ? "Same" : "Leave"
  }
}

/** SIGHUP comes with a closed terminal, which should lose no more than Ctrl-C does. With 128 added: a shell's exit code of each. */
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const
type Signal = keyof typeof SIGNALS

/** A write to a reader that is gone, or to a full disk, fails by this event. Without a listener it ends the process. */
const outliveOutput = () => {
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {})
}

/** For programs that exist for their output: exit code 2 where it cannot be written, unless its reader had enough. */
export const failWithoutOutput = (): void => {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") process.exitCode = 2
  })
}

/**
 * Runs a program as the main one of the process, which outlives its standard output and error. The first SIGINT,
 * SIGTERM or SIGHUP interrupts it, and it may take its time to end. A deliberate further one ends the process at once.
 * (NodeRuntime's stops listening at the first signal, so that its echo kills.)
 */
export const run = makeRunMain(({ fiber, teardown }) => {
  outliveOutput()
  const keepAlive = setInterval(() => {}, 2 ** 31 - 1)
  const reactionTo = makeReaction()
  let signalled = false
  const onSignal = (signal: NodeJS.Signals) => {
    switch (reactionTo()) {
      case "Finish":
        signalled = true
        return fiber.unsafeInterruptAsFork(fiber.id())
      case "Leave":
        console.error(`${signal} again: leaving at once, whatever is under way`)
        return process.exit(128 + SIGNALS[signal as Signal])
    }
  }
  for (const signal of Object.keys(SIGNALS)) process.on(signal, onSignal)
  fiber.addObserver((exit) => {
    clearInterval(keepAlive)
    // The listeners stay: a signal's echo must not kill while the exit code is set.
    teardown(exit, (code) => {
      if (signalled || code !== 0) process.exit(code)
      for (const signal of Object.keys(SIGNALS)) process.removeListener(signal, onSignal)
    })
  })
})

/** Exit code 2 for a program that was interrupted: it has not found out, or not done, what it was started for. */
export const unfinished: Teardown = (exit, onExit) =>
  Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause) ? onExit(2) : defaultTeardown(exit, onExit)
