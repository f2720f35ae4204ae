import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { AppConfig } from "./AppConfig.ts"

const levels = {
  debug: LogLevel.Debug,
  info: LogLevel.Info,
  warning: LogLevel.Warning,
  error: LogLevel.Error
} as const

/** Logs go to standard output: pretty on a terminal, a JSON object a line elsewhere, unless LOG_FORMAT says otherwise. */
export const layer: Layer.Layer<never, never, AppConfig> = Layer.unwrapEffect(
  Effect.map(AppConfig, ({ logFormat, logLevel }) => {
    const pretty = logFormat === "pretty" || (logFormat === "auto" && process.stdout.isTTY)
    return Layer.merge(pretty ? Logger.pretty : Logger.json, Logger.minimumLogLevel(levels[logLevel]))
  })
)
