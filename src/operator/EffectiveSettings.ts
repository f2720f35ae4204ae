import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { AppConfig } from "../config/AppConfig.ts"
import { settings } from "../config/Settings.ts"
import * as DurationText from "../base/DurationText.ts"
import type { EffectiveSetting } from "../contract/operator/Info.ts"

const REDACTED = "***"

/** A setting's value as an operator may see it. `Redacted` values stay redacted; an unset one is empty. */
const show = (value: unknown): string => {
  if (Option.isOption(value)) return Option.isNone(value) ? "" : show(value.value)
  if (Redacted.isRedacted(value)) return REDACTED
  if (Duration.isDuration(value)) return DurationText.format(value)
  if (Array.isArray(value)) return value.map(show).join(",")
  return typeof value === "object" && value !== null ? REDACTED : String(value)
}

/** Every setting in effect, in the order of the documentation. */
export const effectiveSettings = (config: AppConfig["Type"]): ReadonlyArray<typeof EffectiveSetting.Type> =>
  Object.entries(settings).map(([key, setting]) => {
    const set: unknown = config[key as keyof typeof settings]
    // HOST's default depends on other settings: the effective value is `listenHost`.
    const isUnset = Option.isOption(set) && Option.isNone(set)
    const [value, isDefault] = key === "host"
      ? [config.listenHost, isUnset]
      : [show(set), isUnset || show(set) === setting.default]
    return { name: setting.name, value, default: setting.default, isDefault, description: setting.description }
  })
