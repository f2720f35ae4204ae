import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type * as Logger from "effect/Logger"
import * as LogLimiter from "../base/LogLimiter.ts"
import * as Metrics from "../metrics/Metrics.ts"

type Line = Logger.Logger.Options<unknown>

const lines = Metrics.counters("coupon_log_lines", "Lines of the log, by level.", ["level"])
const suppressedLines = Metrics.counters(
  "coupon_log_lines_suppressed",
  "Lines that were not written, because many like them came at once."
)()

/** Lines of one kind that are written at once; then one a second. */
const BURST = 10

/** Kinds with a limit of their own. All others share one, or messages that always differ would have no limit. */
const MAX_KINDS = 500

/** What cannot be made text is of one kind. */
const textOf = (value: unknown): string => {
  try {
    return String(value)
  } catch {
    return "?"
  }
}

/** Messages that differ in numbers or hexadecimal ids are of one kind. */
const kindOf = ({ logLevel, message }: Line): string => {
  const first = Array.isArray(message) ? message[0] : message
  return `${logLevel.label} ${textOf(first).slice(0, 200).replace(/\b[0-9a-f]{8,}\b|\d+/gi, "#")}`
}

const withSuppressed = (line: Line, count: number): Line => {
  if (count === 0) return line
  const own = HashMap.get(line.annotations, "suppressed")
  const already = Option.isSome(own) && typeof own.value === "number" ? own.value : 0
  return { ...line, annotations: HashMap.set(line.annotations, "suppressed", already + count) }
}

/** Writes the lines of the log, but of each kind only so many. */
export interface LineLimiter {
  readonly log: (line: Line) => void
  /** Writes what is held back: the last line of each kind, with how many more there were. */
  readonly flush: () => void
}

/** The annotation `suppressed` of a line counts the lines like it that were not written before it. */
export const make = (write: (line: Line) => void): LineLimiter => {
  const kinds = new Map<string, LogLimiter.LogLimiter<Line>>()
  const pass = (line: Line, suppressed: number) => {
    lines({ level: line.logLevel.label }).add()
    suppressedLines.add(suppressed)
    write(withSuppressed(line, suppressed))
  }
  return {
    log: (line) => {
      let name = kindOf(line)
      if (!kinds.has(name) && kinds.size >= MAX_KINDS) name = ""
      let kind = kinds.get(name)
      if (kind === undefined) kinds.set(name, kind = LogLimiter.make(BURST, pass))
      kind.log(line)
    },
    flush: () => {
      for (const kind of kinds.values()) kind.flush()
    }
  }
}
