const textOf = (value: unknown): string => {
  if (value === null || value === undefined || value === "") return "–"
  return typeof value === "object" ? JSON.stringify(value) : String(value)
}

/** A value that an act changed. `before` is `undefined` where there was none. */
export interface Change {
  readonly name: string
  readonly before: string | undefined
  readonly after: string
}

/** The fields that an act changed; those that it did not are left out, and so is the version, which always grows. */
export const changes = (before: unknown, after: unknown): ReadonlyArray<Change> => {
  if (typeof after !== "object" || after === null) return []
  const old = (typeof before === "object" && before !== null ? before : {}) as Readonly<Record<string, unknown>>
  return Object.entries(after).flatMap(([name, value]) => {
    const was = old[name]
    if (name === "version" || JSON.stringify(was) === JSON.stringify(value)) return []
    return [{ name, before: was === undefined ? undefined : textOf(was), after: textOf(value) }]
  })
}

/** The same as text: `couponLimit 10 → 20`. */
export const changesOf = (before: unknown, after: unknown): ReadonlyArray<string> =>
  changes(before, after).map((one) =>
    one.before === undefined ? `${one.name} ${one.after}` : `${one.name} ${one.before} → ${one.after}`
  )
