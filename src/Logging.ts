import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Tracer from "effect/Tracer"
import { inspect } from "node:util"
import { AppConfig } from "./AppConfig.ts"
import * as LogLimiter from "./telemetry/LogLimiter.ts"

const levels = {
  debug: LogLevel.Debug,
  info: LogLevel.Info,
  warning: LogLevel.Warning,
  error: LogLevel.Error
} as const

const MASK = "<redacted>"

/** User and password in a URL, wherever a driver's message may quote one. */
const URL_CREDENTIALS = /(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/@"']*:[^\s/@"']*@/gi

/** The password of a URL, which may name several hosts. */
const URL_PASSWORD = /^\s*[a-z][a-z0-9+.-]*:\/\/[^/@:]*:([^@]*)@/i

/** What must never be printed: each secret setting, and the password of each that is a URL, as it is, decoded, and within JSON. */
const secretsOf = (config: AppConfig["Type"]): ReadonlyArray<string> => {
  const secrets = new Set<string>()
  for (const value of Object.values(config) as ReadonlyArray<unknown>) {
    const inner = Option.isOption(value) ? Option.getOrUndefined(value) : value
    if (!Redacted.isRedacted(inner)) continue
    const secret = Redacted.value(inner)
    if (typeof secret === "object") {
      for (const value of Object.values(secret as Readonly<Record<string, string>>)) secrets.add(value)
      continue
    }
    const text = String(secret)
    secrets.add(text)
    const password = URL_PASSWORD.exec(text)?.[1]
    if (password === undefined) continue
    secrets.add(password)
    try {
      secrets.add(decodeURIComponent(password))
    } catch {
      // A lone percent sign: then it is meant as it is.
    }
  }
  for (const secret of [...secrets]) secrets.add(JSON.stringify(secret).slice(1, -1))
  // A password of three letters would be found in any word.
  return [...secrets].filter((secret) => secret.length >= 4).sort((a, b) => b.length - a.length)
}

/** Takes secrets out of a line that is about to be printed. */
export const makeScrubber = (config: AppConfig["Type"]): (text: string) => string => {
  const secrets = secretsOf(config)
  return (text) => {
    let clean = text.replace(URL_CREDENTIALS, `$1${MASK}@`)
    for (const secret of secrets) if (clean.includes(secret)) clean = clean.replaceAll(secret, MASK)
    return clean
  }
}

/** The trace and span that a line belongs to, if its fiber is in one. */
const spanOf = (context: FiberRefs.FiberRefs): { readonly traceId?: string; readonly spanId?: string } =>
  Option.match(Context.getOption(FiberRefs.getOrDefault(context, FiberRef.currentContext), Tracer.ParentSpan), {
    onNone: () => ({}),
    onSome: ({ spanId, traceId }) => ({ traceId, spanId })
  })

/** A JSON object a line, with `traceId` and `spanId` where there are such. */
const jsonLine = (options: Logger.Logger.Options<unknown>): string =>
  JSON.stringify({ ...Logger.structuredLogger.log(options), ...spanOf(options.context) })

/** A console that prints no secret: what Effect's pretty logger writes to. */
const scrubbed = (console: Console.Console, scrub: (text: string) => string): Console.Console => {
  const { unsafe } = console
  const clean = (print: (...parts: Array<unknown>) => void) => (...parts: Array<unknown>) =>
    print(...parts.map((part) => scrub(typeof part === "string" ? part : inspect(part, { colors: true }))))
  return {
    ...console,
    unsafe: {
      ...unsafe,
      log: clean(unsafe.log),
      error: clean(unsafe.error),
      group: clean(unsafe.group),
      groupCollapsed: clean(unsafe.groupCollapsed),
      groupEnd: unsafe.groupEnd
    }
  }
}

/**
 * Logs go to standard output: pretty on a terminal, a JSON object a line elsewhere, unless LOG_FORMAT says otherwise. Lines of one
 * kind are bounded (`LogLimiter`), and no secret setting is ever among them.
 */
export const layer: Layer.Layer<never, never, AppConfig> = Layer.unwrapScoped(Effect.gen(function*() {
  const config = yield* AppConfig
  const { logFormat, logLevel } = config
  const pretty = logFormat === "pretty" || (logFormat === "auto" && process.stdout.isTTY)
  const scrub = makeScrubber(config)
  const prettyLogger = Logger.prettyLogger()
  const write = (options: Logger.Logger.Options<unknown>) => {
    if (!pretty) console.log(scrub(jsonLine(options)))
    else prettyLogger.log(options)
  }
  const limiter = LogLimiter.make(write)
  yield* Effect.addFinalizer(() => Effect.sync(limiter.flush))
  return Layer.mergeAll(
    pretty ? Console.setConsole(scrubbed(yield* Effect.console, scrub)) : Layer.empty,
    Logger.replace(Logger.defaultLogger, Logger.make(limiter.log)),
    Logger.minimumLogLevel(levels[logLevel])
  )
}))
