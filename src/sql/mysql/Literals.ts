import type { EpochMillis } from "../../domain/Time.ts"

const BATCH_ID = /^[0-9a-f]{32}$/

/** A batch id as a literal of the `BINARY(16)` key. */
export const batchKey = (batchId: string): string => {
  if (!BATCH_ID.test(batchId)) throw new Error(`a batch id has 32 hexadecimal digits, not ${batchId}`)
  return `x'${batchId}'`
}

/**
 * A text of codes and digits as a literal. Codes come from our own alphabet, so a quote in one is a bug and is not
 * escaped.
 */
export const literal = (text: string): string => {
  if (/['\\]/.test(text)) throw new Error("a code must not contain quotes or backslashes")
  return `'${text}'`
}

let lastText = ""
let lastTime: EpochMillis = 0

/**
 * Reads a `DATETIME(6)` in UTC, as the driver returns it with `dateStrings`; microseconds are cut off. Coupons of one
 * batch share their time, and to read it is a third of what Node makes of a coupon's row.
 */
export const timeFromSql = (value: unknown): EpochMillis => {
  const text = String(value)
  if (text !== lastText) {
    lastTime = Date.parse(`${text.slice(0, 10)}T${text.slice(11, 23)}Z`)
    lastText = text
  }
  return lastTime
}

/** A time as a quoted `DATETIME` literal in UTC. It has digits, dashes and colons only, so it needs no escaping. */
export const timeToSql = (time: EpochMillis): string =>
  `'${new Date(time).toISOString().slice(0, 23).replace("T", " ")}'`

/** The bytes of a text in UTF-8 as a literal. */
export const bytes = (text: string): string => `x'${Buffer.from(text, "utf8").toString("hex")}'`

/** Any text as a MySQL literal: as hexadecimal digits it needs no escaping, whatever the SQL mode. */
export const mysqlText = (text: string): string =>
  text === "" ? "''" : `_utf8mb4 x'${Buffer.from(text, "utf8").toString("hex")}'`
