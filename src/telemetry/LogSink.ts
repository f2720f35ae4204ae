import * as Metrics from "../metrics/Metrics.ts"

export const droppedLines = Metrics.counters(
  "coupon_log_lines_dropped",
  "Lines that could not be written: the disk is full, or the log's reader is gone or slow."
)()

/** Text that may wait for a slow reader, of which process.stdout would keep all; lines beyond it are dropped. */
export const MAX_WAITING_CHARS = 1_048_576

/** Where the log goes: `process.stdout`, which needs a listener of "error" besides (`MainProgram.run`). */
export interface LogStream {
  readonly write: (text: string, done: (error?: NodeJS.ErrnoException | null) => void) => unknown
  /** What waits to be written. */
  readonly writableLength: number
}

/** Writes lines, or drops and counts them: the service goes on when its log cannot be written. */
export interface LogSink {
  /**
   * Writes what `render` makes of the number of lines that were lost since the last one that was written. Never throws.
   * The next line is tried in any case, so the log goes on once it can.
   */
  readonly write: (render: (lost: number) => string) => void
}

export const make = (stream: LogStream): LogSink => {
  let lost = 0
  let torn = false
  const drop = (more: number) => {
    lost += 1 + more
    droppedLines.add()
  }
  return {
    write: (render) => {
      if (stream.writableLength > MAX_WAITING_CHARS) return drop(0)
      const before = lost
      lost = 0
      try {
        const text = render(before)
        const begun = torn ? `\n${text}` : text
        torn = false
        stream.write(begun, (error) => {
          if (error === null || error === undefined) return
          drop(before)
          // A full disk may hold the beginning of this line. A reader that is gone has no lines.
          torn = error.code !== "EPIPE"
        })
      } catch {
        drop(before)
      }
    }
  }
}
