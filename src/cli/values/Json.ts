import {
  type DescEnum,
  type DescField,
  type DescMessage,
  type JsonObject,
  type JsonValue,
  type MessageShape,
  ScalarType,
  toJson
} from "@bufbuild/protobuf"
import { formatRfc3339 } from "../../domain/Time.ts"

// The one form of JSON that the command prints, whichever plane a value is from (docs/reference/cli.md, JSON).

const LONG: ReadonlySet<ScalarType> = new Set([
  ScalarType.INT64,
  ScalarType.UINT64,
  ScalarType.SINT64,
  ScalarType.FIXED64,
  ScalarType.SFIXED64
])

/** Ids of 64 bits stay text, so that one field never has two types. */
const isId = (name: string): boolean => /^(?:id|.*Ids?)$/.test(name)

/** A count is a number; text only where a number would not be exact. */
const numberOf = (value: string | bigint): number | string =>
  Number.isSafeInteger(Number(value)) ? Number(value) : String(value)

/** `CAMPAIGN_STATUS_PAUSED` without what all names of its enumeration begin with. */
const wordOf = ({ sharedPrefix = "" }: DescEnum, name: JsonValue): JsonValue =>
  typeof name === "string" && name.toLowerCase().startsWith(sharedPrefix) ? name.slice(sharedPrefix.length) : name

/** Fields of messages that are an instant, which they have as RFC 3339; empty: there is none. */
const isTime = (name: string): boolean => /^(?:at|until)$|[a-z](?:At|Time|Until|Since)$/.test(name)

const scalarOf = ({ jsonName }: DescField, scalar: ScalarType, value: JsonValue): JsonValue => {
  if (LONG.has(scalar) && typeof value === "string" && !isId(jsonName)) return numberOf(value)
  return value === "" && isTime(jsonName) ? null : value
}

const fieldOf = (field: DescField, value: JsonValue): JsonValue => {
  const kind = field.fieldKind === "list" ? field.listKind : field.fieldKind
  const one = (part: JsonValue): JsonValue => {
    if (kind === "enum") return wordOf(field.enum!, part)
    if (kind === "message") return objectOf(field.message!, part)
    return kind === "scalar" ? scalarOf(field, field.scalar!, part) : part
  }
  return Array.isArray(value) && field.fieldKind === "list" ? value.map(one) : one(value)
}

/** Messages of protobuf itself, such as Struct, are JSON of any form already. */
const objectOf = (schema: DescMessage, value: JsonValue): JsonValue => {
  if (schema.typeName.startsWith("google.protobuf.")) return value
  const object = { ...value as JsonObject }
  for (const field of schema.fields) {
    const given = object[field.jsonName]
    if (given !== undefined) object[field.jsonName] = fieldOf(field, given)
  }
  return object
}

/** A message of the API, with the fields that are at their defaults too. */
export const ofMessage = <Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): JsonObject =>
  objectOf(schema, toJson(schema, message, { alwaysEmitImplicit: true })) as JsonObject

/** Fields by which the operator plane sends instants, in epoch milliseconds. */
const isInstant = (name: string): boolean => /^(?:at|now)$|[a-z]At$/.test(name)

/** One line. */
export const text = (value: unknown): string =>
  JSON.stringify(value, (name, part: unknown) => {
    if (typeof part === "bigint") return numberOf(part)
    if (part === "" && isTime(name)) return null
    return typeof part === "number" && isInstant(name) ? formatRfc3339(part) : part
  })
