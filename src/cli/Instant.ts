import * as Effect from "effect/Effect"
import { type CliFailure, usage } from "./CliFailure.ts"

const UNITS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** Reads RFC 3339, `now`, or a time from now such as `+90s`, `+10m`, `+2h`, `+1d`; gives RFC 3339. */
export const parse = (option: string, text: string): Effect.Effect<string, CliFailure> =>
  Effect.suspend(() => {
    if (text === "now") return Effect.succeed(new Date().toISOString())
    const match = /^\+(\d{1,6})([smhd])$/.exec(text)
    if (match !== null) {
      const millis = Number(match[1]) * UNITS[match[2] as keyof typeof UNITS]
      return Effect.succeed(new Date(Date.now() + millis).toISOString())
    }
    // The service checks the rest of RFC 3339.
    if (/^\d{4}-\d{2}-\d{2}T/.test(text)) return Effect.succeed(text)
    return Effect.fail(
      usage(`${option} must be a time such as 2025-06-25T00:00:00Z, now, or from now +90s, +10m, +2h, +1d`)
    )
  })
