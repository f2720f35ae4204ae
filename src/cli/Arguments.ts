/** Options without a value. */
export const FLAGS: ReadonlySet<string> = new Set([
  "--json",
  "--codes",
  "--desc",
  "--discard",
  "--changed",
  "--verify",
  "--follow",
  "--export",
  "--no-end",
  "--allow-past-end",
  "--allow-end",
  "--return-slot",
  "--pool",
  "--no-validity",
  "--skip-rejected",
  "--enable",
  "--disable",
  "--all",
  "--dry-run",
  "--yes"
])

/** Options with a value that every command has. */
const COMMON: ReadonlySet<string> = new Set(["--url", "--key", "--timeout", "--tz"])

/** The options in front of the command, with their values, and what follows. */
const leading = (args: ReadonlyArray<string>): readonly [ReadonlyArray<string>, ReadonlyArray<string>] => {
  let count = 0
  while (COMMON.has((args[count] ?? "").split("=")[0]!)) count += args[count]!.includes("=") ? 1 : 2
  return [args.slice(0, count), args.slice(count)]
}

/**
 * Moves options without a value to the end, and those in front of the command behind it. `@effect/cli` takes a `1`, `y`
 * or `true` that follows a flag for its value (`coupon campaign get --json 1` would miss the campaign), and looks for
 * options of a command behind it alone.
 */
export const canonical = (args: ReadonlyArray<string>): ReadonlyArray<string> => {
  const end = args.indexOf("--")
  const before = end < 0 ? args : args.slice(0, end)
  const rest = end < 0 ? [] : args.slice(end)
  const [common, own] = leading(before.filter((arg) => !FLAGS.has(arg)))
  return [...own, ...common, ...before.filter((arg) => FLAGS.has(arg)), ...rest]
}
