import { defaultTeardown, makeRunMain, type Teardown } from "@effect/platform/Runtime"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"

/** What a signal requests: a graceful end, nothing new, or an end at once. */
export type Reaction = "Finish" | "Same" | "Leave"

/**
 * A terminal signals every process of a group, and npm passes the signal on too: one Ctrl-C arrives twice. On a busy
 * machine the second one may take this long.
 */
const SAME_MILLIS = 1_000

/** Signals closer together than this come from one press of a key, however many programs pass it on. */
const PRESS_MILLIS = 100

/**
 * The meaning of the next signal, by the times since those before it. The second within `SAME_MILLIS` repeats the
 * first. Any later one, and a third in any case, is deliberate.
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

/** SIGHUP comes with a closed terminal and is handled like Ctrl-C. The exit code of each is 128 and its number. */
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const
type Signal = keyof typeof SIGNALS

/** A write to a closed reader or a full disk emits this event. Without a listener it would end the process. */
const outliveOutput = () => {
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {})
}

/** For programs whose purpose is their output: exit code 2 if it cannot be written, except to a closed reader. */
export const failWithoutOutput = (): void => {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") process.exitCode = 2
  })
}

/**
 * Runs a program as the main one of the process, which outlives its standard output and error. The first SIGINT,
 * SIGTERM or SIGHUP interrupts it, and it may take its time to end. A deliberate further one ends the process at once.
 * (NodeRuntime's runner removes its listeners at the first signal, so the repeated one would kill the process.)
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
    // The listeners stay: a repeated signal must not kill the process while the exit code is set.
    teardown(exit, (code) => {
      if (signalled || code !== 0) process.exit(code)
      for (const signal of Object.keys(SIGNALS)) process.removeListener(signal, onSignal)
    })
  })
})

/** Exit code 2 for an interrupted program: it has not done what it was started for. */
export const unfinished: Teardown = (exit, onExit) =>
  Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause) ? onExit(2) : defaultTeardown(exit, onExit)
