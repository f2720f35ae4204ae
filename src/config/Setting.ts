import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as DurationText from "../base/DurationText.ts"
import * as StoreUrl from "./StoreUrl.ts"

const invalid = (reason: string) => Either.left(ConfigError.InvalidData([], reason))

/** One setting: its name, its effect, and its default. */
export interface Setting<A> {
  readonly name: string
  readonly description: string
  /** As `--help` shows it. */
  readonly default: string
  readonly config: Config.Config<A>
}

export const integer = (
  name: string,
  description: string,
  initial: number,
  min: number,
  max: number
): Setting<number> => ({
  name,
  description: `${description} (${min} to ${max})`,
  default: String(initial),
  config: Config.integer(name).pipe(
    Config.validate({ message: `must be an integer from ${min} to ${max}`, validation: (n) => n >= min && n <= max }),
    Config.withDefault(initial)
  )
})

/** A duration within bounds, both included. */
const durationWithin = (name: string, minimum: Duration.Duration, maximum: Duration.Duration, example: string) => {
  const bounds = `${DurationText.format(minimum)} to ${DurationText.format(maximum)}`
  return {
    bounds,
    config: Config.string(name).pipe(
      Config.mapOrFail((text) =>
        Option.match(Option.filter(DurationText.parse(text.trim()), Duration.between({ minimum, maximum })), {
          onNone: () => invalid(`must be a duration from ${bounds}, such as ${example}`),
          onSome: Either.right
        })
      )
    )
  }
}

const readDuration = (text: string) => Option.getOrThrow(DurationText.parse(text))

export const duration = (
  name: string,
  description: string,
  initial: string,
  min: string,
  max: string
): Setting<Duration.Duration> => {
  const initially = readDuration(initial)
  const example = DurationText.format(initially)
  const { bounds, config } = durationWithin(name, readDuration(min), readDuration(max), example)
  return {
    name,
    description: `${description} (${bounds})`,
    default: example,
    config: Config.withDefault(config, initially)
  }
}

/** A duration that need not be set. */
export const optionalDuration = (
  name: string,
  description: string,
  example: string,
  min: string,
  max: string
): Setting<Option.Option<Duration.Duration>> => {
  const { bounds, config } = durationWithin(name, readDuration(min), readDuration(max), example)
  return {
    name,
    description: `${description}, e.g. ${example} (${bounds})`,
    default: "",
    config: Config.option(config)
  }
}

/** Durations separated by commas, at least one. */
export const durations = (
  name: string,
  description: string,
  initial: string,
  min: string,
  max: string
): Setting<ReadonlyArray<Duration.Duration>> => {
  const read = (text: string) => Option.all(text.split(",").map((part) => DurationText.parse(part.trim())))
  const [minimum, maximum] = [min, max].map((text) => Option.getOrThrow(DurationText.parse(text)))
  const bounds = { minimum: minimum!, maximum: maximum! }
  const words = `${DurationText.format(bounds.minimum)} to ${DurationText.format(bounds.maximum)} each`
  return {
    name,
    description: `${description} (${words})`,
    default: initial,
    config: Config.string(name).pipe(
      Config.mapOrFail((text) =>
        Option.match(Option.filter(read(text), (all) => all.every(Duration.between(bounds))), {
          onNone: () => invalid(`must be durations of ${words}, such as ${initial}`),
          onSome: Either.right
        })
      ),
      Config.withDefault(Option.getOrThrow(read(initial)))
    )
  }
}

export const oneOf = <const A extends string>(
  name: string,
  description: string,
  values: ReadonlyArray<A>,
  initial: A
): Setting<A> => ({
  name,
  description: `${description} (${values.join(", ")})`,
  default: initial,
  config: Config.string(name).pipe(
    Config.mapOrFail((text) => {
      const value = values.find((one) => one === text)
      return value === undefined
        ? invalid(`must be ${values.slice(0, -1).join(", ")} or ${values.at(-1)}, and is ${JSON.stringify(text)}`)
        : Either.right(value)
    }),
    Config.withDefault(initial)
  )
})

export const url = (
  name: string,
  description: string,
  example: string,
  accepts: (url: StoreUrl.StoreUrl) => boolean
): Setting<Option.Option<Redacted.Redacted<string>>> => ({
  name,
  description: `${description}, e.g. ${example}`,
  default: "",
  config: Config.string(name).pipe(
    Config.mapOrFail((text) => {
      const parsed = StoreUrl.parse(text, 0)
      return parsed !== undefined && accepts(parsed)
        ? Either.right(Redacted.make(text.trim()))
        // The text may hold a password: the message does not repeat it.
        : invalid(`must be a URL such as ${example}; in a password, write / ? # @ : % as %2F %3F %23 %40 %3A %25`)
    }),
    Config.option
  )
})

/** Parts separated by commas; `wrong` returns the error in them, if there is one. */
export const list = (
  name: string,
  description: string,
  wrong: (parts: ReadonlyArray<string>) => string | undefined
): Setting<ReadonlyArray<string>> => ({
  name,
  description,
  default: "",
  config: Config.string(name).pipe(
    Config.mapOrFail((text) => {
      const parts = text.split(",").map((part) => part.trim()).filter((part) => part !== "")
      const reason = wrong(parts)
      return reason === undefined ? Either.right<ReadonlyArray<string>>(parts) : invalid(reason)
    }),
    Config.withDefault<ReadonlyArray<string>>([])
  )
})

/** A path to a file, which is read when it is needed. */
export const file = (name: string, description: string): Setting<Option.Option<string>> => ({
  name,
  description,
  default: "",
  config: Config.option(Config.nonEmptyString(name))
})

/** Shorter secrets can be guessed; `openssl rand -base64 32` prints 44 characters. */
export const LEAST_SECRET = 32

/** Keys of `openssl rand -base64 32` or `-hex 16`, and UUIDs, have more. */
export const LEAST_SECRET_BITS = 80

/**
 * An estimate of a secret's entropy in bits, for keys that people make up: the Shannon entropy of its characters, times
 * those that do not follow from what stands before. A character follows if it goes on with a run or a sequence (`aaa`,
 * `abc`, `987`), or if it and the two before it have occurred already.
 */
export const secretBits = (secret: string): number => {
  const code = (i: number) => secret.charCodeAt(i)
  const counts = new Map<string, number>()
  for (const character of secret) counts.set(character, (counts.get(character) ?? 0) + 1)
  const entropy = [...counts.values()].reduce((sum, n) => sum - n / secret.length * Math.log2(n / secret.length), 0)
  let unforeseen = 0
  for (let i = 0; i < secret.length; i++) {
    const step = code(i) - code(i - 1)
    const isSequence = i >= 2 && Math.abs(step) <= 1 && step === code(i - 1) - code(i - 2)
    const isRepeated = i >= 3 && secret.slice(0, i).includes(secret.slice(i - 2, i + 1))
    if (!isSequence && !isRepeated) unforeseen++
  }
  return entropy * unforeseen
}

export const checkSecret = (text: string): Either.Either<Redacted.Redacted<string>, ConfigError.ConfigError> =>
  /^[\x21-\x7e]+$/.test(text) && text.length >= LEAST_SECRET
    ? Either.right(Redacted.make(text))
    : invalid(
      `must be at least ${LEAST_SECRET} printable ASCII characters without spaces; make one by: openssl rand -base64 32`
    )
