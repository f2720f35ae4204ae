export interface Quantiles {
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly max: number
}

/** By nearest rank; all 0 of nothing. */
export const quantiles = (values: ReadonlyArray<number> | Float64Array): Quantiles => {
  const sorted = Float64Array.from(values).sort()
  const at = (q: number) =>
    sorted.length === 0 ? 0 : sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) }
}

/** Of an even number the mean of the middle two. */
export const median = (values: ReadonlyArray<number>): number => {
  if (values.length === 0) throw new Error("there is nothing to take the median of")
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** With the standard error of the mean, `error`; `undefined` of a single value. */
export const mean = (values: ReadonlyArray<number>): { readonly mean: number; readonly error: number | undefined } => {
  if (values.length === 0) throw new Error("there is nothing to take the mean of")
  const middle = values.reduce((sum, value) => sum + value, 0) / values.length
  const squares = values.reduce((sum, value) => sum + (value - middle) ** 2, 0)
  return {
    mean: middle,
    error: values.length === 1 ? undefined : Math.sqrt(squares / (values.length - 1) / values.length)
  }
}
