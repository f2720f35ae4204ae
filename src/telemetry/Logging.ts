import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import { Console as NodeConsole } from "node:console"
import { inspect } from "node:util"
import { AppConfig } from "../config/AppConfig.ts"
import * as Redaction from "../config/Redaction.ts"
import * as LineLimiter from "./LineLimiter.ts"
import * as LogSink from "./LogSink.ts"
import * as SourceFrames from "../SourceFrames.ts"

const levels = {
  debug: LogLevel.Debug,
  info: LogLevel.Info,
  warning: LogLevel.Warning,
  error: LogLevel.Error
} as const

/** The trace and span that a line belongs to, if its fiber is in one. */
const spanOf = (context: FiberRefs.FiberRefs): { readonly traceId?: string; readonly spanId?: string } =>
  Option.match(Context.getOption(FiberRefs.getOrDefault(context, FiberRef.currentContext), Tracer.ParentSpan), {
    onNone: () => ({}),
    onSome: ({ spanId, traceId }) => ({ traceId, spanId })
  })

/** A JSON object a line, with `traceId` and `spanId` if there are any. Secrets are removed before text is escaped. */
const jsonLine = (options: Logger.Logger.Options<unknown>, scrub: (text: string) => string): string =>
  JSON.stringify({ ...Logger.structuredLogger.log(options), ...spanOf(options.context) }, Redaction.replacer(scrub))

/** For messages that JSON cannot represent, such as a bigint or a circular object. */
const plainLine = (
  { date, logLevel, message }: Logger.Logger.Options<unknown>,
  scrub: (text: string) => string
): string =>
  JSON.stringify({ message: scrub(inspect(message)), logLevel: logLevel.label, timestamp: date.toISOString() })

const toJson = (options: Logger.Logger.Options<unknown>, scrub: (text: string) => string): string => {
  try {
    return jsonLine(options, scrub)
  } catch {
    return plainLine(options, scrub)
  }
}

/** The line with the number of lines before it that could not be written. */
const withLost = (options: Logger.Logger.Options<unknown>, lost: number): Logger.Logger.Options<unknown> =>
  lost === 0 ? options : { ...options, annotations: HashMap.set(options.annotations, "unwritten", lost) }

/** Effect's pretty logger as a function of a line; what else writes to the console goes to `print`. */
const makePretty = (console: Console.Console, scrub: (text: string) => string, print: (text: string) => void) => {
  const logger = Logger.prettyLogger()
  let collected: string | undefined
  const stdout = {
    write: (text: string) => {
      if (collected === undefined) print(text)
      else collected += text
    }
  }
  const collecting = new NodeConsole({ stdout: stdout as unknown as NodeJS.WritableStream, ignoreErrors: false })
  const clean = (print: (...parts: Array<unknown>) => void) => (...parts: Array<unknown>) =>
    print(...parts.map((part) => scrub(typeof part === "string" ? part : inspect(part, { colors: true }))))
  return {
    console: {
      ...console,
      unsafe: {
        ...console.unsafe,
        log: clean((...parts) => collecting.log(...parts)),
        error: clean((...parts) => collecting.error(...parts)),
        group: clean((...parts) => collecting.group(...parts)),
        groupCollapsed: clean((...parts) => collecting.groupCollapsed(...parts)),
        groupEnd: () => collecting.groupEnd()
      }
    } satisfies Console.Console,
    line: (options: Logger.Logger.Options<unknown>): string => {
      collected = ""
      try {
        logger.log(options)
        return collected
      } finally {
        collected = undefined
      }
    }
  }
}

/** `layer`, writing to another stream. */
export const layerTo = (stream: LogSink.LogStream): Layer.Layer<never, never, AppConfig> =>
  Layer.unwrapScoped(Effect.gen(function*() {
    const config = yield* AppConfig
    const { logFormat, logLevel } = config
    const isPretty = logFormat === "pretty" || (logFormat === "auto" && process.stdout.isTTY)
    const scrub = Redaction.make(config)
    const sink = LogSink.make(stream)
    const pretty = makePretty(yield* Effect.console, scrub, (text) => sink.write(() => text))
    const render = isPretty ? pretty.line : (line: Logger.Logger.Options<unknown>) => `${toJson(line, scrub)}\n`
    const limiter = LineLimiter.make((line) =>
      sink.write((lost) => SourceFrames.readable(render(withLost(line, lost)))))
    yield* Effect.addFinalizer(() => Effect.sync(limiter.flush))
    return Layer.mergeAll(
      isPretty ? Console.setConsole(pretty.console) : Layer.empty,
      Logger.replace(Logger.defaultLogger, Logger.make(limiter.log)),
      Logger.minimumLogLevel(levels[logLevel])
    )
  }))

/**
 * Logs go to standard output: pretty on a terminal, a JSON object a line elsewhere, unless LOG_FORMAT says otherwise.
 * Lines of one kind are bounded (`LineLimiter`), those that cannot be written are dropped (`LogSink`), and no secret is
 * ever among them (`Redaction`).
 */
export const layer: Layer.Layer<never, never, AppConfig> = Layer.suspend(() => layerTo(process.stdout))
