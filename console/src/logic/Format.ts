/** Numbers, spans and times as the console shows them, in one locale. `timeZone` as in `Intl`. */
export interface Format {
  /** `12,345` */
  readonly count: (value: number | bigint) => string
  /** A rate: one decimal below 100. */
  readonly rate: (perSecond: number) => string
  /** `1.2 ms`, `340 ms`, `2.1 s`, `3 min`. */
  readonly millis: (millis: number) => string
  readonly percent: (share: number) => string
  /** `12:00:00` */
  readonly time: (epochMillis: number) => string
  /** `12:00:00`, and on another day than `now` the date before it. */
  readonly short: (epochMillis: number, now: number) => string
  /** With the date, and the time zone's offset, because operators sit in several. */
  readonly dateTime: (epochMillis: number) => string
  readonly bytes: (bytes: number) => string
  /** A duration of ISO 8601: `30 days` of `P30D`. Another text stays as it is. */
  readonly duration: (iso: string) => string
}

/** The parts of a duration of ISO 8601, in their order. */
const DURATION =
  /^P(?=.)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/
const DURATION_UNITS = ["year", "month", "week", "day", "hour", "minute", "second"] as const

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

export const make = (locale: string, timeZone?: string): Format => {
  const zone = timeZone === undefined ? {} : { timeZone }
  const counts = new Intl.NumberFormat(locale)
  const oneDecimal = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 })
  const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 })
  const shares = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 })
  const times = new Intl.DateTimeFormat(locale, {
    ...zone,
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23"
  })
  const dates = new Intl.DateTimeFormat(locale, { ...zone, year: "numeric", month: "2-digit", day: "2-digit" })
  const zones = new Intl.DateTimeFormat(locale, { ...zone, timeZoneName: "shortOffset" })
  const zoneAt = (at: number) => zones.formatToParts(at).find(({ type }) => type === "timeZoneName")?.value ?? ""
  const days = new Intl.DateTimeFormat(locale, { ...zone, month: "numeric", day: "numeric" })
  const unit = (value: number, name: string) => {
    const decimals = value < 10 ? 1 : 0
    return new Intl.NumberFormat(locale, {
      style: "unit",
      unit: name,
      unitDisplay: "short",
      maximumFractionDigits: decimals
    }).format(value)
  }
  const spelled = (value: number, name: string) =>
    new Intl.NumberFormat(locale, { style: "unit", unit: name, unitDisplay: "long" }).format(value)
  const shown = (format: Intl.DateTimeFormat, at: number) => Number.isFinite(at) ? format.format(at) : "–"
  return {
    count: (value) => counts.format(value),
    rate: (perSecond) => perSecond > 0 && perSecond < 100 ? oneDecimal.format(perSecond) : whole.format(perSecond),
    millis: (millis) =>
      millis < 1_000
        ? unit(millis, "millisecond")
        : millis < 2 * MINUTE
        ? unit(millis / 1_000, "second")
        : millis < HOUR
        ? unit(Math.round(millis / MINUTE), "minute")
        : millis < DAY
        ? unit(millis / HOUR, "hour")
        : unit(millis / DAY, "day"),
    percent: (share) => shares.format(share),
    time: (at) => shown(times, at),
    short: (at, now) =>
      Number.isFinite(at) && days.format(at) !== days.format(now)
        ? `${days.format(at)} ${times.format(at)}`
        : shown(times, at),
    dateTime: (at) => Number.isFinite(at) ? `${dates.format(at)} ${times.format(at)} ${zoneAt(at)}` : "–",
    bytes: (bytes) =>
      bytes < 1_000_000 ? unit(bytes / 1_000, "kilobyte") : bytes < 1e9
        ? unit(bytes / 1e6, "megabyte")
        : unit(bytes / 1e9, "gigabyte"),
    duration: (iso) => {
      const [, ...parts] = DURATION.exec(iso) ?? []
      const words = DURATION_UNITS.flatMap((name, index) =>
        parts[index] === undefined ? [] : [spelled(Number(parts[index]), name)]
      )
      return words.length === 0 ? iso : words.join(" ")
    }
  }
}
