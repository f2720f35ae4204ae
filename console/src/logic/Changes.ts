/** A value that an act changed. `undefined`: there was none, or there is none any more. */
export interface Change {
  readonly name: string
  readonly before: unknown
  readonly after: unknown
}

/** The same as it is shown. */
export interface ChangeText {
  /** The field's own name. */
  readonly name: string
  readonly label: string
  readonly before: string | undefined
  readonly after: string
}

/** What stands for a value that is empty. */
export const NO_VALUE = "–"

type Fields = Readonly<Record<string, unknown>>

const valueOf = (fields: Fields, name: string): unknown => Object.hasOwn(fields, name) ? fields[name] : undefined

const fieldsOf = (state: unknown): Fields => typeof state === "object" && state !== null ? state as Fields : {}

/** The fields that an act changed; those that it did not are left out, and so is the version, which always grows. */
export const changes = (before: unknown, after: unknown): ReadonlyArray<Change> => {
  const [old, now] = [fieldsOf(before), fieldsOf(after)]
  return Object.keys({ ...now, ...old }).flatMap((name) => {
    const [was, is] = [valueOf(old, name), valueOf(now, name)]
    return name === "version" || JSON.stringify(was) === JSON.stringify(is) ? [] : [{ name, before: was, after: is }]
  })
}

/** `Limit: 10 → 20` */
export const lineOf = ({ after, before, label }: Omit<ChangeText, "name">): string =>
  before === undefined ? `${label}: ${after}` : `${label}: ${before} → ${after}`
