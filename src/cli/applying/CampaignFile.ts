import { create } from "@bufbuild/protobuf"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import {
  CodeAlphabet,
  CodeCheck,
  type CodeFormat as WireFormat,
  CodeFormatSchema,
  CodeSource
} from "../../contract/gen/coupon/v1/coupon_pb.ts"
import { type CodeFormat, parseCodeFormat } from "../../domain/codes/CodeFormat.ts"
import { InvalidArgument } from "../../domain/InvalidArgument.ts"
import { parseRfc3339 } from "../../domain/Time.ts"
import { type CouponValidity, parseValidity, type ValidityInput } from "../../domain/validity/CouponValidity.ts"
import { parseUndoWindow } from "../../domain/validity/UndoWindow.ts"
import { type CliFailure, usage } from "../CliFailure.ts"

/** How codes look, in the words of the file; what is absent is the service's default. */
export interface FileCodes {
  readonly pattern?: string
  readonly alphabet?: string
  readonly characters?: string
  readonly check?: string
}

/** How long coupons can be redeemed, as the API has it. */
export type FileValidity = Partial<ValidityInput>

export const STATUSES = ["active", "paused", "ended"] as const

/** A campaign as a file describes it. What is absent is left as it is. */
export interface FileCampaign {
  /** The campaign that is meant; without it, the one of this name, which is created if there is none. */
  readonly id?: number
  readonly name: string
  readonly requestId?: string
  readonly couponLimit?: number
  readonly startTime?: string
  /** `null`: no end. */
  readonly endTime?: string | null
  readonly status?: (typeof STATUSES)[number]
  readonly codes?: "pool" | FileCodes
  /** `null`: coupons that are issued from now on do not expire. */
  readonly couponValidity?: FileValidity | null
  readonly undoWindow?: string
}

const time = (field: string) => (value: unknown): string | undefined => {
  if (typeof value !== "string") return "must be a time in RFC 3339, such as 2027-06-25T12:00:00+09:00"
  return Either.match(parseRfc3339(field, value), { onLeft: ({ reason }) => reason, onRight: () => undefined })
}

const words = new Set(["pattern", "alphabet", "characters", "check"])

/** The words of the file, as the options of `campaign create` have them. */
const alphabets = { hangul: "HANGUL", crockford32: "CROCKFORD32", safe20: "SAFE20", digits: "DIGITS" } as const
const checks = { damm: "DAMM", iso7064: "ISO_7064" } as const

const reject = (field: string, words: object) =>
  Either.left(new InvalidArgument({ field, reason: `must be ${Object.keys(words).join(", ")}` }))

/** The format by the rules by which the service reads it, so that two ways to write it are one. */
export const formatOf = (
  { alphabet, characters = "", check, pattern = "" }: FileCodes
): Either.Either<CodeFormat, InvalidArgument> => {
  if (alphabet !== undefined && !Object.hasOwn(alphabets, alphabet)) return reject("alphabet", alphabets)
  if (check !== undefined && !Object.hasOwn(checks, check)) return reject("check", checks)
  return parseCodeFormat({
    alphabet: alphabet === undefined ? undefined : alphabets[alphabet as keyof typeof alphabets],
    check: check === undefined ? undefined : checks[check as keyof typeof checks],
    characters,
    pattern
  })
}

/** The fields of a request. */
export const wireOf = ({ alphabet, characters, check, pattern }: CodeFormat): WireFormat =>
  create(CodeFormatSchema, {
    alphabet: CodeAlphabet[alphabet],
    characters: alphabet === "OWN" ? characters : "",
    check: check === "NONE" ? CodeCheck.UNSPECIFIED : CodeCheck[check],
    pattern
  })

const wordOf = <Word extends string>(words: Readonly<Record<Word, string>>, values: object, value: number) =>
  (Object.keys(words) as Array<Word>).find((word) => (values as Record<string, number>)[words[word]] === value)

const codes = (value: unknown): string | undefined => {
  if (value === "pool") return undefined
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return "must be pool, or have pattern, alphabet, characters or check"
  }
  const unknown = Object.entries(value).find(([name, one]) => !words.has(name) || typeof one !== "string")
  if (unknown !== undefined) return `${unknown[0]} must be one of ${[...words].join(", ")}, and text`
  const format = formatOf(value as FileCodes)
  return Either.isLeft(format) ? `${format.left.field.replace(/^codeFormat\.?/, "")} ${format.left.reason}` : undefined
}

const UNDO_WINDOW = "must be a duration in ISO 8601, such as PT24H or P7D"

/** The validity by the rules by which the service reads it. */
export const validityOf = (
  { after = "", endOfDayZone = "", until = "" }: FileValidity
): Either.Either<CouponValidity | undefined, InvalidArgument> => parseValidity({ after, endOfDayZone, until })

const validityWords = new Set(["until", "after", "endOfDayZone"])

const validity = (value: unknown): string | undefined => {
  if (value === null) return undefined
  if (typeof value !== "object" || Array.isArray(value)) return "must have until, or after and endOfDayZone; or be null"
  const unknown = Object.entries(value).find(([name, one]) => !validityWords.has(name) || typeof one !== "string")
  if (unknown !== undefined) return `${unknown[0]} must be one of ${[...validityWords].join(", ")}, and text`
  const read = validityOf(value)
  if (Either.isLeft(read)) return `${read.left.field.replace(/^couponValidity\.?/, "")} ${read.left.reason}`
  return read.right === undefined ? "must have until or after; null: coupons do not expire" : undefined
}

/** Each field's rule: what is wrong with a value, if anything. The service has the rules of values. */
const rules: { readonly [Field in keyof FileCampaign]-?: (value: unknown) => string | undefined } = {
  id: (value) => Number.isInteger(value) && Number(value) > 0 ? undefined : "must be a campaign's number",
  name: (value) => typeof value === "string" && value !== "" ? undefined : "must be text",
  requestId: (value) => typeof value === "string" && value !== "" ? undefined : "must be text",
  couponLimit: (value) => Number.isInteger(value) && Number(value) > 0 ? undefined : "must be a positive integer",
  startTime: time("startTime"),
  endTime: (value) => value === null || value === "" ? undefined : time("endTime")(value),
  status: (value) =>
    (STATUSES as ReadonlyArray<unknown>).includes(value) ? undefined : `must be ${STATUSES.join(", ")}`,
  codes,
  couponValidity: validity,
  undoWindow: (value) => {
    if (typeof value !== "string" || value === "") return UNDO_WINDOW
    return Either.match(parseUndoWindow(value), { onLeft: ({ reason }) => reason, onRight: () => undefined })
  }
}

/** The fields that a file may have. */
export const FIELDS: ReadonlyArray<string> = Object.keys(rules)

const campaignOf = (value: unknown, where: string): Either.Either<FileCampaign, CliFailure> => {
  const wrong = (text: string) => Either.left(usage(`${where}: ${text}`))
  if (typeof value !== "object" || value === null || Array.isArray(value)) return wrong("must have fields")
  for (const [field, given] of Object.entries(value)) {
    if (!Object.hasOwn(rules, field)) return wrong(`${field} is no field: ${Object.keys(rules).join(", ")} are`)
    const problem = rules[field as keyof FileCampaign](given)
    if (problem !== undefined) return wrong(`${field} ${problem}`)
  }
  const campaign = value as FileCampaign
  return "name" in value ? Either.right(campaign.endTime === "" ? { ...campaign, endTime: null } : campaign)
    : wrong("name is missing")
}

/** Reads the campaigns of a YAML file, one a document. Nothing of it is taken if anything is wrong. */
export const parse = (text: string, file: string): Effect.Effect<ReadonlyArray<FileCampaign>, CliFailure> =>
  Effect.gen(function*() {
    const { parseAllDocuments } = yield* Effect.promise(() => import("./Yaml.ts"))
    const documents = parseAllDocuments(text)
    const campaigns: Array<FileCampaign> = []
    for (const [k, document] of [...documents].entries()) {
      const where = documents.length === 1 ? file : `${file}, document ${k + 1}`
      const [error] = document.errors
      if (error !== undefined) return yield* usage(`${where}: ${error.message.split("\n")[0]}`)
      const value = document.toJS() as unknown
      // An empty document, as after a last `---`.
      if (value !== null) campaigns.push(yield* campaignOf(value, where))
    }
    if (campaigns.length === 0) return yield* usage(`${file} has no campaign`)
    const key = ({ id, name }: FileCampaign) => id === undefined ? `the name ${name}` : `the id ${id}`
    const twice = campaigns.find((one, k) => campaigns.findIndex((other) => key(other) === key(one)) !== k)
    if (twice !== undefined) return yield* usage(`${file}: two campaigns have ${key(twice)}`)
    return campaigns
  })

/** The fields of a campaign that a file may have, from an answer of the service. */
export interface Described {
  readonly id: number
  readonly name: string
  readonly couponLimit: bigint
  readonly returned: bigint
  readonly startTime: string
  readonly endTime: string
  readonly status: number
  readonly couponValidity?: ValidityInput | undefined
  readonly undoWindow: string
  readonly codeFormat?: WireFormat | undefined
  readonly codeSource: CodeSource
}

export const codesOf = ({ codeFormat, codeSource }: Described): "pool" | FileCodes | undefined => {
  if (codeSource === CodeSource.POOL) return "pool"
  if (codeFormat === undefined) return undefined
  const { alphabet, characters, check, pattern } = codeFormat
  const alphabetWord = wordOf(alphabets, CodeAlphabet, alphabet)
  const checkWord = wordOf(checks, CodeCheck, check)
  return {
    ...pattern === "" ? {} : { pattern },
    ...alphabetWord === undefined ? { characters } : { alphabet: alphabetWord },
    ...checkWord === undefined ? {} : { check: checkWord }
  }
}

/** The limit that was set: without slots that were returned, which the service adds to it. */
export const limitOf = ({ couponLimit, returned }: Pick<Described, "couponLimit" | "returned">): number =>
  Number(couponLimit - returned)

/** The fields that are set; `null`: coupons do not expire. */
export const validityFieldsOf = ({ couponValidity }: Pick<Described, "couponValidity">): FileValidity | null => {
  if (couponValidity === undefined) return null
  const { after, endOfDayZone, until } = couponValidity
  const set = Object.entries({ until, after, endOfDayZone }).filter(([, text]) => text !== "")
  return set.length === 0 ? null : Object.fromEntries(set)
}

/** A campaign as a file that `parse` reads back. */
export const write = (campaign: Described): Effect.Effect<string> =>
  Effect.map(Effect.promise(() => import("./Yaml.ts")), ({ stringify }) => {
    const { endTime, id, name, startTime, status, undoWindow } = campaign
    const codes = codesOf(campaign)
    return stringify({
      id,
      name,
      couponLimit: limitOf(campaign),
      startTime,
      endTime: endTime === "" ? null : endTime,
      status: STATUSES[status - 1],
      ...codes === undefined ? {} : { codes },
      couponValidity: validityFieldsOf(campaign),
      // An older service does not send it.
      ...undoWindow === "" ? {} : { undoWindow }
    }).trimEnd()
  })
