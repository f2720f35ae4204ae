/** Options without a value. */
const FLAGS: ReadonlySet<string> = new Set([
  "--json",
  "--codes",
  "--desc",
  "--discard",
  "--changed",
  "--verify",
  "--follow",
  "--export",
  "--no-end",
  "--allow-past-end"
])

/**
 * Moves options without a value to the end. `@effect/cli` takes a `1`, `y` or `true` that follows one for its value:
 * `coupon campaign get --json 1` would miss the campaign.
 */
export const canonical = (args: ReadonlyArray<string>): ReadonlyArray<string> => {
  const end = args.indexOf("--")
  const options = end < 0 ? args : args.slice(0, end)
  const rest = end < 0 ? [] : args.slice(end)
  return [...options.filter((arg) => !FLAGS.has(arg)), ...options.filter((arg) => FLAGS.has(arg)), ...rest]
}
