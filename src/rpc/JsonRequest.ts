import type { DescEnum, DescField, DescMessage, MessageShape, Registry } from "@bufbuild/protobuf"
import { fromBinary, fromJson, fromJsonString, ScalarType } from "@bufbuild/protobuf"
import { isFieldError } from "@bufbuild/protobuf/reflect"
import { EmptySchema } from "@bufbuild/protobuf/wkt"
import { InvalidArgument } from "../domain/Failure.ts"
import { nearest } from "../base/Nearest.ts"

const refuse = (field: string, reason: string) => new InvalidArgument({ field, reason })

const utf8 = new TextDecoder("utf-8", { fatal: true })

const is64 = (field: DescField) => field.fieldKind === "scalar" && field.scalar === ScalarType.INT64
const is32 = (field: DescField) => field.fieldKind === "scalar" && field.scalar === ScalarType.INT32

/** Number literals that a double may not hold exactly: long ones, and those with an exponent (123456789012e7). */
const RISKY_LITERAL = /\d[\d.]{15}|\d[eE]/

const NUMBER = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/

/** An integer literal in any notation of JSON, as plain digits; `undefined` if it has a fraction or is far too long. */
const plainDigits = (literal: string): string | undefined => {
  const [, sign, whole, fraction = "", exponent = "0"] = NUMBER.exec(literal) ?? []
  if (whole === undefined || literal.length > 400) return undefined
  const shift = Number(exponent) - fraction.length
  if (Math.abs(shift) > 400) return undefined
  const digits = whole + fraction
  if (shift >= 0) return sign + digits + "0".repeat(shift)
  const cut = digits.length + shift
  return /^0*$/.test(cut <= 0 ? digits : digits.slice(cut)) ? sign + (cut <= 0 ? "0" : digits.slice(0, cut)) : undefined
}

/** Keeps all digits: `JSON.parse` would round 9223372036854775807, and protobuf-es would accept the rounded number. */
const exactly = (fields: ReadonlyMap<string, DescField>) =>
  (key: string, value: unknown, context: { readonly source: string }): unknown => {
    const field = fields.get(key)
    if (typeof value !== "number" || field === undefined || !(is64(field) || is32(field))) return value
    if (!RISKY_LITERAL.test(context.source)) return value
    const digits = plainDigits(context.source)
    return digits === undefined ? 0.5 : is64(field) ? digits : Number(digits)
  }

const integral = (value: unknown) =>
  typeof value === "number" ? Number.isInteger(value) : typeof value === "string" && /^-?\d+$/.test(value)

/**
 * A name, or the number of a value that may be newer than this program. protobuf-es ignores unknown names like unknown
 * fields, so that a filter with a typing error would match everything, and its error for other types names no field.
 */
const isEnumValue = (desc: DescEnum, value: unknown) => {
  if (value === undefined || value === null) return true
  return typeof value === "number" ? (value | 0) === value : desc.values.some(({ name }) => name === value)
}

const isEnumOf = (field: DescField, value: unknown): boolean =>
  field.fieldKind !== "list"
    ? isEnumValue(field.enum!, value)
    : value === undefined || value === null ||
      (Array.isArray(value) && value.every((one) => one !== null && isEnumValue(field.enum!, one)))

const reason = (field: DescField, value: unknown, detail: string): string => {
  if (detail === "set multiple times") return "must be given once"
  if (is64(field) || is32(field)) {
    return integral(value) ? `must be a ${is64(field) ? 64 : 32}-bit integer` : "must be an integer"
  }
  if (field.fieldKind === "scalar" && field.scalar === ScalarType.STRING) {
    return typeof value === "string" ? "must be well-formed Unicode" : "must be a string"
  }
  if (field.enum === undefined) return "has a value of the wrong type"
  const names = field.enum.values.map(({ name }) => name).join(", ")
  return `must be ${field.fieldKind === "list" ? "a list of" : "one of"} ${names}`
}

/** Characters of an unknown field's name that an answer repeats. */
const SHOWN_NAME = 40

/** Names of fields are ASCII. Other characters are escaped: answers and log lines shall not hide or reorder text. */
const shownName = (name: string): string => {
  const cut = name.length > SHOWN_NAME ? `${name.slice(0, SHOWN_NAME)}...` : name
  const text = cut.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
  return /^\w+$/.test(text) ? text : `"${text}"`
}

const rejectField = (path: string, name: string, known: ReadonlyArray<string>): InvalidArgument => {
  const meant = nearest(name, known)
  const hint = meant === undefined ? `it takes ${known.join(", ")}` : `did you mean ${meant}?`
  return refuse(path + shownName(name), `is not a field of this call: ${hint}`)
}

type Fields = ReadonlyMap<string, DescField>

const knownFields = new WeakMap<DescMessage, Fields>()

/** The fields of a message by both of their names. */
const fieldsOf = (desc: DescMessage): Fields => {
  const known = knownFields.get(desc)
  if (known !== undefined) return known
  const fields = new Map(desc.fields.flatMap((field) => [[field.jsonName, field], [field.name, field]] as const))
  knownFields.set(desc, fields)
  return fields
}

/** Messages of this API in fields of others; those of Google have JSON of their own. */
const isOwnMessage = (field: DescField): field is DescField & { readonly message: DescMessage } =>
  field.fieldKind === "message" && field.message.typeName.startsWith("coupon.")

/** Throws for what protobuf-es would ignore or read as something else, also in messages within. */
const checkFields = (object: object, fields: Fields, path: string, rejectUnknown: boolean): void => {
  if (rejectUnknown) {
    const unknown = Object.keys(object).find((name) => !fields.has(name))
    if (unknown !== undefined) {
      throw rejectField(path, unknown, [...new Set(Array.from(fields.values(), ({ jsonName }) => jsonName))])
    }
  }
  for (const [name, field] of fields) {
    const value: unknown = Object.hasOwn(object, name) ? (object as Record<string, unknown>)[name] : undefined
    if (value === undefined) continue
    // protobuf-es reads such strings by BigInt(), which accepts "0x10" and " 1 " too.
    if (is64(field) && typeof value === "string" && !integral(value)) {
      throw refuse(path + field.jsonName, "must be an integer")
    }
    if (field.enum !== undefined && !isEnumOf(field, value)) {
      throw refuse(path + field.jsonName, reason(field, value, ""))
    }
    if (isOwnMessage(field) && value !== null) {
      if (typeof value !== "object" || Array.isArray(value)) throw refuse(path + field.jsonName, "must be an object")
      checkFields(value, fieldsOf(field.message), `${path}${field.jsonName}.`, rejectUnknown)
    }
  }
}

/**
 * Reads a request by protobuf's JSON mapping, but more strictly: integers keep all digits in every notation, and the
 * text must be UTF-8 without a repeated key. Throws `InvalidArgument` that names the field (JSON name) and its rule.
 * Unknown fields are ignored, unless `rejectUnknown`; `null` means the default.
 */
export const decodeJson = <Desc extends DescMessage>(
  desc: Desc,
  settings: { readonly registry?: Registry | undefined; readonly rejectUnknown?: boolean } = {}
): (bytes: Uint8Array) => MessageShape<Desc> => {
  const { rejectUnknown = false, registry } = settings
  const options = { ignoreUnknownFields: true, ...registry === undefined ? {} : { registry } }
  const fields = fieldsOf(desc)
  const reviver = exactly(fields) as (key: string, value: unknown) => unknown
  return (bytes) => {
    let text: string
    let json: unknown
    try {
      text = utf8.decode(bytes)
    } catch {
      throw refuse("body", "is not valid UTF-8")
    }
    try {
      json = RISKY_LITERAL.test(text) ? JSON.parse(text, reviver) : JSON.parse(text)
    } catch {
      throw refuse("body", "is not valid JSON")
    }
    if (typeof json !== "object" || json === null || Array.isArray(json)) throw refuse("body", "must be a JSON object")
    const object = json as Record<string, never>
    try {
      fromJsonString(EmptySchema, text, { ignoreUnknownFields: true })
    } catch {
      throw refuse("body", "must not repeat a key")
    }
    checkFields(object, fields, "", rejectUnknown)
    try {
      return fromJson(desc, object, options)
    } catch (error) {
      const cause = error instanceof Error ? error.cause : undefined
      if (!isFieldError(cause)) throw error
      const field = cause.field()
      if (field.kind === "oneof") {
        const given = field.fields.filter(({ jsonName, name }) => (object[jsonName] ?? object[name]) !== undefined)
        const [first, ...others] = given.map(({ jsonName }) => jsonName)
        throw refuse(first ?? field.name, `must be absent with ${others.join(" and ")}`)
      }
      if (field.kind !== "field") throw error
      throw refuse(field.jsonName, reason(field, object[field.jsonName] ?? object[field.name], cause.message))
    }
  }
}

/** Reads a request from protobuf's binary form. Throws `InvalidArgument`. */
export const decodeBinary = <Desc extends DescMessage>(desc: Desc) => (bytes: Uint8Array): MessageShape<Desc> => {
  try {
    return fromBinary(desc, bytes)
  } catch {
    throw refuse("body", "is not a valid protobuf message")
  }
}
