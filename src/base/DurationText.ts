import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const

/** Reads `500ms`, `1.5s`, `2m`, `1h`, and Effect's own `500 millis`, `2 seconds`. */
export const parse = (text: string): Option.Option<Duration.Duration> => {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text)
  return match === null
    ? Duration.decodeUnknown(text)
    : Option.some(Duration.millis(Number(match[1]) * UNITS[match[2] as keyof typeof UNITS]))
}

/** A measured time: `3 ms`, `1.5 s`, `12 min`. */
export const measured = (millis: number): string => {
  if (millis < 1_000) return `${Math.round(millis)} ms`
  return millis < 120_000 ? `${(millis / 1_000).toFixed(1)} s` : `${Math.round(millis / 60_000)} min`
}

/** In the form that `parse` reads. */
export const format = (duration: Duration.Duration): string => {
  const millis = Duration.toMillis(duration)
  if (millis === 0 || millis % 1_000 !== 0) return `${millis}ms`
  if (millis % 3_600_000 === 0) return `${millis / 3_600_000}h`
  return millis % 60_000 === 0 ? `${millis / 60_000}m` : `${millis / 1_000}s`
}
