// For the command and for the pages of the console: it imports nothing, and a browser has all that it uses.

/** A file cannot be read as codes from this line on. */
export class CodeFileFlaw extends Error {
  readonly _tag = "CodeFileFlaw"
  /** From 1. */
  readonly line: number
  /** The end of a sentence that begins with the line. */
  readonly reason: string

  constructor({ line, reason }: { readonly line: number; readonly reason: string }) {
    super(`line ${line} ${reason}`)
    this.line = line
    this.reason = reason
  }
}

/** A code as the file has it, and in which line. */
export interface CodeLine {
  readonly line: number
  readonly code: string
}

/** Lines of one chunk of the file, and how many bytes of it were read up to there. */
export interface CodeLines {
  readonly codes: ReadonlyArray<CodeLine>
  readonly bytes: number
}

/** How a file is written. */
export type CodeFileFormat = "csv" | "ndjson"

/** The format that a file's name says. */
export const formatOfName = (name: string): CodeFileFormat => /\.(ndjson|jsonl)$/i.test(name) ? "ndjson" : "csv"

/** Longer lines are no codes; the rest of one is not even kept. */
export const MAX_LINE = 65_536

/** Of a character in UTF-8. */
const MAX_BYTES = 4

const LINE_FEED = 0x0a

/** What `inChunks` keeps to: codes and bytes of a request that any service with its usual MAX_BODY_BYTES takes. */
export const usualLimits = { codes: 10_000, bytes: 60_000 } as const

const joined = (a: Uint8Array, b: Uint8Array): Uint8Array => {
  if (a.length === 0) return b
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}

/** Of this text as JSON writes it, in UTF-8. */
const jsonBytes = (text: string): number =>
  /^[\w-]*$/.test(text) ? text.length + 2 : new TextEncoder().encode(JSON.stringify(text)).length

const tooLong = (line: number): CodeFileFlaw =>
  new CodeFileFlaw({ line, reason: `has more than ${MAX_LINE.toLocaleString("en-US")} characters` })

/** What may stand between fields: RFC 4180 has the comma; spreadsheets of some languages write the others. */
const separators = [",", ";", "\t"] as const
type Separator = typeof separators[number]

const OTHER_SEPARATOR = "seems to have fields between semicolons or tabs: name the columns in the first line, " +
  "that of the codes `code`; or put codes that hold a semicolon in quotes (\")"

/** The fields of a line of CSV (RFC 4180, but for its separator). A quoted field ends in its line. */
const fieldsOf = (text: string, line: number, separator: Separator): ReadonlyArray<string> => {
  if (!text.includes("\"")) return text.split(separator)
  const flaw = (reason: string) => new CodeFileFlaw({ line, reason })
  const fields: Array<string> = []
  let at = 0
  for (;;) {
    if (text[at] === "\"") {
      let field = ""
      for (at++;;) {
        const quote = text.indexOf("\"", at)
        if (quote < 0) throw flaw("has a quote (\") that does not end in it")
        field += text.slice(at, quote)
        at = quote + 1
        if (text[at] !== "\"") break
        field += "\""
        at++
      }
      if (at < text.length && text[at] !== separator) {
        const isOther = separators.some((other) => other === text[at])
        throw flaw(isOther ? OTHER_SEPARATOR : "has text after a quote (\") that ends a field")
      }
      fields.push(field)
    } else {
      const found = text.indexOf(separator, at)
      const end = found < 0 ? text.length : found
      const field = text.slice(at, end)
      if (field.includes("\"")) throw flaw("has a quote (\") within a field that is not quoted")
      fields.push(field)
      at = end
    }
    if (at >= text.length) return fields
    // After the separator; a line that ends with one has an empty last field.
    at++
    if (at === text.length) return [...fields, ""]
  }
}

/** How the lines of a file are read. */
interface Columns {
  readonly separator: Separator
  /** Of the code among the fields. */
  readonly position: number
  /** The first line names the columns, and has no code. */
  readonly isNamed: boolean
  /** The first line has several fields, so the separator is no guess. */
  readonly isSure: boolean
}

/** Fields by a separator that may not be the file's; none if quotes show that it is not. */
const triedFields = (text: string, line: number, separator: Separator): ReadonlyArray<string> => {
  try {
    return fieldsOf(text, line, separator)
  } catch {
    return []
  }
}

/** What the first line says. One that names no column may still show by its fields that tabs separate them. */
const columnsOf = (
  text: string,
  line: number,
  column: string | undefined,
  among: ReadonlyArray<Separator>
): Columns => {
  const name = (column ?? "code").toLowerCase()
  for (const separator of among) {
    const fields = triedFields(text, line, separator)
    const position = fields.findIndex((field) => field.trim().toLowerCase() === name)
    if (position >= 0) return { separator, position, isNamed: true, isSure: fields.length > 1 }
  }
  if (column !== undefined) throw new CodeFileFlaw({ line, reason: `names no column ${JSON.stringify(column)}` })
  const counts = (separator: Separator) => among.includes(separator) && triedFields(text, line, separator).length > 1
  const separator = counts(",") ? "," : counts("\t") ? "\t" : among[0]!
  return { separator, position: 0, isNamed: false, isSure: counts(separator) }
}

/** Takes the code out of each line, in their order; `undefined`: the line has none. */
type TakeCode = (text: string, line: number) => string | undefined

/**
 * `column`: its name in the first line. Without one, a first line with a field `code` names the columns, and otherwise
 * the first field of each line is the code. A line `sep=;` in front, as spreadsheets have it, gives the separator.
 */
const csv = (column: string | undefined): TakeCode => {
  let among: ReadonlyArray<Separator> = separators
  let columns: Columns | undefined
  return (text, line) => {
    if (text.includes("\r")) {
      throw new CodeFileFlaw({ line, reason: "has a carriage return within it: lines end with LF or CRLF" })
    }
    if (columns === undefined) {
      const given = separators.find((separator) => text.toLowerCase() === `sep=${separator}`)
      if (given !== undefined) {
        among = [given]
        return undefined
      }
      columns = columnsOf(text, line, column, among)
      if (columns.isNamed) return undefined
    }
    const { isSure, position, separator } = columns
    const fields = fieldsOf(text, line, separator)
    const code = fields[position]
    if (code === undefined) throw new CodeFileFlaw({ line, reason: `has ${fields.length} fields, and no code` })
    const isQuoted = text.startsWith("\"")
    if (!isSure && among.length > 1 && !isQuoted && /[;\t]/.test(code)) {
      throw new CodeFileFlaw({ line, reason: OTHER_SEPARATOR })
    }
    return code
  }
}

const ndjson = (field: string): TakeCode => (text, line) => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new CodeFileFlaw({ line, reason: "is no JSON" })
  }
  const code = typeof value === "object" && value !== null && Object.hasOwn(value, field)
    ? (value as Readonly<Record<string, unknown>>)[field]
    : value
  if (typeof code === "string") return code
  throw new CodeFileFlaw({ line, reason: `must be a string, or an object whose ${JSON.stringify(field)} is one` })
}

/**
 * Reads the codes of a file, as many at a time as come with one chunk of its bytes: what is held does not grow with the
 * file. A byte-order mark, CRLF, and empty lines are taken; semicolons or tabs between fields are found. Throws
 * `CodeFileFlaw` for what is not UTF-8, for NULs, long lines and whatever its format does not allow.
 */
export async function* readCodes(
  chunks: AsyncIterable<Uint8Array>,
  { column, format }: { readonly format: CodeFileFormat; readonly column: string | undefined }
): AsyncGenerator<CodeLines> {
  const take = format === "csv" ? csv(column) : ndjson(column ?? "code")
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
  let line = 0
  /** The beginning of a line whose end has not come yet. */
  let pending: Uint8Array = new Uint8Array(0)
  let bytes = 0

  const isUtf8 = (text: Uint8Array): boolean => {
    try {
      decoder.decode(text)
      return true
    } catch {
      return false
    }
  }

  const codeIn = (text: string): CodeLine | undefined => {
    line++
    if (text.length > MAX_LINE) throw tooLong(line)
    const content = text.endsWith("\r") ? text.slice(0, -1) : text
    if (content.includes("\0")) throw new CodeFileFlaw({ line, reason: "holds a NUL: is the file UTF-16?" })
    if (content === "") return undefined
    const code = take(content, line)
    return code === undefined ? undefined : { line, code }
  }

  /** The codes of whole lines. No byte of a character of several is a line feed. */
  const codesIn = (whole: Uint8Array): ReadonlyArray<CodeLine> => {
    const isBroken = !isUtf8(whole)
    // Lines before the broken one are looked at first: the flaw of the first line is the one that is reported.
    const text = isBroken ? new TextDecoder("utf-8", { ignoreBOM: true }).decode(whole) : decoder.decode(whole)
    const lines = (line === 0 ? text.replace(/^\ufeff/, "") : text).split("\n")
    if (lines.at(-1) === "") lines.pop()
    const codes: Array<CodeLine> = []
    let start = 0
    for (const one of lines) {
      if (isBroken) {
        const feed = whole.indexOf(LINE_FEED, start)
        const end = feed < 0 ? whole.length : feed
        if (!isUtf8(whole.subarray(start, end))) {
          throw new CodeFileFlaw({ line: line + 1, reason: "has bytes that are not UTF-8" })
        }
        start = end + 1
      }
      const found = codeIn(one)
      if (found !== undefined) codes.push(found)
    }
    return codes
  }

  for await (const chunk of chunks) {
    bytes += chunk.length
    const read = joined(pending, chunk)
    const end = read.lastIndexOf(LINE_FEED) + 1
    // A copy: the chunk may be written again.
    pending = read.slice(end)
    const codes = codesIn(read.subarray(0, end))
    if (pending.length > MAX_LINE * MAX_BYTES) throw tooLong(line + 1)
    if (codes.length > 0) yield { codes, bytes }
  }
  if (pending.length > 0) yield { codes: codesIn(pending), bytes }
}

/** Chunks by their codes alone, so that the same file has the same chunks again. */
export async function* inChunks(
  lines: AsyncIterable<CodeLines>,
  limits: { readonly codes: number; readonly bytes: number }
): AsyncGenerator<CodeLines> {
  let codes: Array<CodeLine> = []
  let size = 0
  let bytes = 0
  for await (const part of lines) {
    bytes = part.bytes
    for (const one of part.codes) {
      // As JSON writes it: with quotes and a comma, and at most six bytes a unit.
      const length = jsonBytes(one.code) + 1
      if (codes.length > 0 && (codes.length >= limits.codes || size + length > limits.bytes)) {
        yield { codes, bytes }
        codes = []
        size = 0
      }
      codes.push(one)
      size += length
    }
  }
  if (codes.length > 0) yield { codes, bytes }
}
