import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { AppConfig } from "./AppConfig.ts"

/** The text that replaces a secret. */
export const MASK = "<redacted>"

/** The words in the names of secrets: `password`, `sentinel-password`, `apiKey`. */
const WORDS = "pass(?:word|wd|phrase)|pwd|secret|token|credentials?|signature|(?:api|access|private|auth)[-_]?key"
const HEADERS = "(?:proxy-)?authorization|(?:set-)?cookie|x-api-key"

const SECRET_NAME = new RegExp(`(?:${WORDS}|^(?:${HEADERS}))$`, "i")

/** Terminal colour codes that may stand between a name and its value. */
const COLOUR = "(?:\\x1b\\[\\d+m)?"

/**
 * The places in a text where a secret may stand, and the part of each that stays. Lengths before a match are bounded,
 * so that reading a text takes linear time.
 */
const places: ReadonlyArray<readonly [RegExp, string]> = [
  // User and password of a URL: up to the last @ before its path.
  [/\b([a-z][a-z0-9+.-]{0,30}:\/\/)[^\s/?#"]*@/gi, `$1${MASK}@`],
  // A parameter of a URL or a form.
  [new RegExp(`([?&;][\\w.-]{0,40}?(?:${WORDS}|key|auth|sig)=)(?!${MASK})[^\\s&#;"'<>]*`, "gi"), `$1${MASK}`],
  // A header in prose, as an object prints it, or as JSON. `Authorization: Bearer <key>` is an instruction and stays.
  [
    new RegExp(
      `\\b((?:${HEADERS})["']?\\s{0,3}[:=](?!\\s{0,3}${COLOUR}["']?(?:Bearer )?<)\\s{0,3}${COLOUR}["']?)` +
        `[^"'\\r\\n\\x1b]+`,
      "gi"
    ),
    `$1${MASK}`
  ],
  [/\b(Bearer|Basic)(\s{1,3})[^\s"',;]{8,}/g, `$1$2${MASK}`],
  // A field, quoted or assigned. Stays: MySQL reports whether a password was given by (using password: YES).
  [
    new RegExp(
      `(?<!using )\\b([\\w-]{0,40}?(?:${WORDS})["']?\\s{0,3}[:=]\\s{0,3}${COLOUR})` +
        `(?:"(?:[^"\\\\]|\\\\.)*"|'(?:[^'\\\\]|\\\\.)*'|(?<==)(?!${MASK})[^\\s,;&)}\\]"'<>]+)`,
      "gi"
    ),
    `$1${MASK}`
  ],
  // Redis quotes an unknown command, which may be AUTH. An error of ioredis contains its command.
  [/(with args beginning with: )[^\r\n]*/gi, `$1${MASK}`],
  [/(\bname: \S{0,12}["'](?:auth|hello)["']\S{0,12}\s{1,9}args: )\[[^]{0,2000}?\](?=\s)/gi, `$1${MASK}`],
  // fetch quotes an invalid header value.
  [/(\bHeaders\.\w{1,20}: ")[^]*(" is an invalid header value)/g, `$1${MASK}$2`],
  // API keys of this service (their id stays), and tokens (JWT).
  [/\b(cpn_[0-9a-f]{16}_)[\w-]{43}/g, `$1${MASK}`],
  // Secrets of webhooks.
  [/\b(whsec_)[\w+/-]{16,}={0,2}/g, `$1${MASK}`],
  [/\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g, MASK]
]

/**
 * Removes secrets from a text by the places where secrets stand. Looking for their values would remove a password like
 * `coupon` from every word that contains it, and so reveal it.
 */
export const text = (given: string): string => {
  let clean = given
  for (const [place, left] of places) clean = clean.replace(place, left)
  return clean
}

/** A URL without user and password, and without the values of its parameters. */
const masked = (url: string): string =>
  url.replace(/^(\s*[a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, `$1${MASK}@`).replace(/([?&][^=&#]+=)[^&#]*/g, `$1${MASK}`)

const escaped = (plain: string) => plain.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")

/**
 * As `text`, but knowing the settings. URLs among them are found whole, whatever characters their passwords have. So is
 * ADMIN_API_KEY: it is no common word, so its removal reveals nothing.
 */
export const make = (config: AppConfig["Type"]): (given: string) => string => {
  const urls = new Map<string, string>()
  for (const value of Object.values(config) as ReadonlyArray<unknown>) {
    const inner = Option.isOption(value) ? Option.getOrUndefined(value) : value
    const url = Redacted.isRedacted(inner) ? Redacted.value(inner) : undefined
    if (typeof url === "string" && url.includes("://") && masked(url) !== url) urls.set(url, masked(url))
  }
  const key = Option.getOrUndefined(Option.map(config.adminApiKey, Redacted.value))
  const wholeKey = key === undefined ? undefined : new RegExp(`(?<![\\w+/=-])${escaped(key)}(?![\\w+/=-])`, "g")
  return (given) => {
    let clean = given
    for (const [url, without] of urls) clean = clean.replaceAll(url, () => without)
    if (wholeKey !== undefined) clean = clean.replace(wholeKey, MASK)
    return text(clean)
  }
}

/** For `JSON.stringify`: removes values under names of secrets, and the secrets within every string. */
export const replacer = (scrub: (given: string) => string) => (name: string, value: unknown): unknown => {
  if (typeof value === "string") return SECRET_NAME.test(name) ? MASK : scrub(value)
  if (typeof value !== "object" || value === null) return value
  const { args, name: command } = value as { readonly args?: unknown; readonly name?: unknown }
  const isAuth = Array.isArray(args) && typeof command === "string" && /^(?:auth|hello)$/i.test(command)
  return isAuth ? { ...value, args: MASK } : value
}
