import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type * as Logger from "effect/Logger"
import * as Metrics from "../metrics/Metrics.ts"

type Line = Logger.Logger.Options<unknown>

const lines = Metrics.counters("coupon_log_lines", "Lines of the log, by level.", ["level"])
const suppressedLines = Metrics.counters("coupon_log_lines_suppressed", "Lines that were not written, because many like them came at once.")()

/** Lines of one kind that are written at once, and one more each so many milliseconds. */
const BURST = 10
const REFILL_MILLIS = 1_000

/** Kinds with an allowance of their own. Further ones share one: otherwise messages that always differ had no limit. */
const MOST_KINDS = 500

interface Kind {
  allowance: number
  refilledAt: number
  suppressed: number
  last: Line | undefined
  timer: NodeJS.Timeout | undefined
}

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

/** Passes lines on, but of each kind only so many. */
export interface LogLimiter {
  readonly log: (line: Line) => void
  /** Writes what is held back: the last line of each kind, with how many more there were. */
  readonly flush: () => void
}

/**
 * Bounds the log while something fails ten thousand times a second. The annotation `suppressed` of a line counts the
 * lines like it that were not written before it. The last line of a burst is written within a second. `write` must not
 * throw: a timer calls it too.
 */
export const make = (write: (line: Line) => void, now: () => number = () => performance.now()): LogLimiter => {
  const kinds = new Map<string, Kind>()
  const pass = (line: Line, suppressed: number) => {
    lines({ level: line.logLevel.label }).add()
    write(withSuppressed(line, suppressed))
  }
  const release = (kind: Kind) => {
    clearTimeout(kind.timer)
    kind.timer = undefined
    const { last, suppressed } = kind
    kind.suppressed = 0
    kind.last = undefined
    if (last === undefined) return
    suppressedLines.add(suppressed - 1)
    // The allowance is that of the second that has passed.
    kind.allowance = 0
    kind.refilledAt = now()
    pass(last, suppressed - 1)
  }
  return {
    log: (line) => {
      let name = kindOf(line)
      if (!kinds.has(name) && kinds.size >= MOST_KINDS) name = ""
      let kind = kinds.get(name)
      const at = now()
      if (kind === undefined) kinds.set(name, kind = { allowance: BURST, refilledAt: at, suppressed: 0, last: undefined, timer: undefined })
      kind.allowance = Math.min(BURST, kind.allowance + (at - kind.refilledAt) / REFILL_MILLIS)
      kind.refilledAt = at
      if (kind.allowance >= 1) {
        kind.allowance--
        const { suppressed } = kind
        clearTimeout(kind.timer)
        Object.assign(kind, { suppressed: 0, last: undefined, timer: undefined })
        suppressedLines.add(suppressed)
        pass(line, suppressed)
        return
      }
      kind.suppressed++
      kind.last = line
      const held = kind
      kind.timer ??= setTimeout(() => release(held), REFILL_MILLIS).unref()
    },
    flush: () => {
      for (const kind of kinds.values()) release(kind)
    }
  }
}
