import { describe, expect, it } from "vitest"
import {
  CodeFileFlaw,
  type CodeFileFormat,
  type CodeLine,
  inChunks,
  MAX_LINE,
  readCodes
} from "../../src/client/CodeFile.ts"

/** The bytes in pieces of this size, as a stream would bring them. */
async function* pieces(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

const read = async (
  content: string | Uint8Array,
  format: CodeFileFormat = "csv",
  { column, size = 7 }: { readonly column?: string; readonly size?: number } = {}
): Promise<ReadonlyArray<CodeLine>> => {
  const bytes = typeof content === "string" ? Buffer.from(content) : content
  const codes: Array<CodeLine> = []
  for await (const part of readCodes(pieces(bytes, size), { format, column })) codes.push(...part.codes)
  return codes
}

const flawOf = async (...args: Parameters<typeof read>): Promise<string> => {
  const flaw: unknown = await read(...args).then(() => undefined, (error: unknown) => error)
  if (!(flaw instanceof CodeFileFlaw)) throw new Error(`no flaw, but ${String(flaw)}`)
  return `line ${flaw.line} ${flaw.reason}`
}

const lines = (...codes: ReadonlyArray<readonly [line: number, code: string]>): ReadonlyArray<CodeLine> =>
  codes.map(([line, code]) => ({ line, code }))

describe("a file of codes", () => {
  const files: ReadonlyArray<readonly [string, string, CodeFileFormat, string | undefined, ReadonlyArray<CodeLine>]> = [
    ["codes alone", "A\nB\nC\n", "csv", undefined, lines([1, "A"], [2, "B"], [3, "C"])],
    ["no end of the last line", "A\nB", "csv", undefined, lines([1, "A"], [2, "B"])],
    ["a byte-order mark", "\ufeffcode\nA\n", "csv", undefined, lines([2, "A"])],
    ["CRLF and empty lines", "A\r\n\r\n\nB\r\n", "csv", undefined, lines([1, "A"], [4, "B"])],
    ["a header", "id,Code,x\n1,A,\n2,B,y\n", "csv", undefined, lines([2, "A"], [3, "B"])],
    ["a column by name", "a,voucher\n1,A\n2,B\n", "csv", "voucher", lines([2, "A"], [3, "B"])],
    ["quotes", "\"A\"\n\"B,1\",x\n\"C\"\"D\"\n\"\",x\n", "csv", undefined,
      lines([1, "A"], [2, "B,1"], [3, "C\"D"], [4, ""])],
    ["empty fields", "code,x\n,1\nA,\n", "csv", undefined, lines([2, ""], [3, "A"])],
    ["spaces, which the service rejects", " A \n", "csv", undefined, lines([1, " A "])],
    ["codes beyond ASCII", "여름-🎟️\n", "csv", undefined, lines([1, "여름-🎟️"])],
    ["semicolons", "id;Code;x\n1;A,1;\n2;\"B;\"\"2\";y\n", "csv", undefined, lines([2, "A,1"], [3, "B;\"2"])],
    ["semicolons and quotes", "\ufeff\"id\";\"code\"\r\n\"1\";\"A\"\r\n", "csv", undefined, lines([2, "A"])],
    ["semicolons, and a column by name", "a;voucher\n1;A\n", "csv", "voucher", lines([2, "A"])],
    ["tabs", "id\tcode\n1\tA;1\n", "csv", undefined, lines([2, "A;1"])],
    ["tabs without a header", "A;1\tx\n\"B\"\ty\nC\n", "csv", undefined, lines([1, "A;1"], [2, "B"], [3, "C"])],
    ["its separator in front", "sep=;\nA;x\n\"B;1\";y\n", "csv", undefined, lines([2, "A"], [3, "B;1"])],
    ["its separator in front of a header", "SEP=\t\r\nx\tcode\r\n1\tA\r\n", "csv", undefined, lines([3, "A"])],
    ["a separator that leaves semicolons to codes", "sep=,\nA;1\n", "csv", undefined, lines([2, "A;1"])],
    ["codes with semicolons, in quotes", "\"A;1\"\n\"B;2\"\n", "csv", undefined, lines([1, "A;1"], [2, "B;2"])],
    ["codes with semicolons between commas", "code,x\nA;1,y\n", "csv", undefined, lines([2, "A;1"])],
    ["commas, and a tab in another field", "A,x\ty\n", "csv", undefined, lines([1, "A"])],
    ["strings of JSON", "\"A\"\n\"B\\u0041\"\n", "ndjson", undefined, lines([1, "A"], [2, "BA"])],
    ["objects of JSON", "{\"code\":\"A\",\"x\":1}\n{\"code\":\"B\"}", "ndjson", undefined, lines([1, "A"], [2, "B"])],
    ["a field of JSON by name", "{\"v\":\"A\"}\n", "ndjson", "v", lines([1, "A"])],
    ["nothing", "", "csv", undefined, []]
  ]
  it.each(files)("may have %s", async (_name, content, format, column, expected) => {
    for (const size of [1, 2, 3, 5, 1_000]) {
      expect(await read(content, format, { size, ...column === undefined ? {} : { column } })).toEqual(expected)
    }
  })

  const flaws: ReadonlyArray<readonly [string | Uint8Array, CodeFileFormat, RegExp]> = [
    ["A\nB\0C\n", "csv", /^line 2 holds a NUL/],
    [Buffer.from("A\nB\n", "utf16le"), "csv", /^line 1 holds a NUL: is the file UTF-16\?/],
    [Buffer.concat([Buffer.from("A\nB\n"), Buffer.from([0xff, 0x0a])]), "csv", /^line 3 has .* not UTF-8/],
    [Buffer.from("A\n여").subarray(0, 4), "csv", /^line 2 has .* not UTF-8/],
    [Buffer.concat([Buffer.from("A\n\"\n"), Buffer.from([0xff, 0x0a])]), "csv", /^line 2 has a quote/],
    ["A\n\"B\nC\n", "csv", /^line 2 has a quote .* does not end in it/],
    ["A\n\"B\"x,1\n", "csv", /^line 2 has text after a quote/],
    ["A\nB\"x\n", "csv", /^line 2 has a quote .* within a field/],
    ["id,code\n1,A\n2\n", "csv", /^line 3 has 1 fields, and no code/],
    ["A;x\nB;y\n", "csv", /^line 1 seems to have fields between semicolons or tabs/],
    ["A\nB;y\n", "csv", /^line 2 seems to have fields between semicolons/],
    ["A\nB\ty\n", "csv", /^line 2 seems to have fields between semicolons or tabs/],
    ["code\nA;x\n", "csv", /^line 2 seems to have fields between semicolons/],
    ["\"A\";\"x\"\n", "csv", /^line 1 seems to have fields between semicolons/],
    ["id;code\n1;A\n2\n", "csv", /^line 3 has 1 fields, and no code/],
    ["A\rB\rC\r", "csv", /^line 1 has a carriage return within it/],
    ["\"A\"\nB\n", "ndjson", /^line 2 is no JSON/],
    ["\"A\"\n{\"code\":7}\n", "ndjson", /^line 2 must be a string, or an object whose "code" is one/],
    ["null\n", "ndjson", /^line 1 must be a string/]
  ]
  it.each(flaws)("is refused with its line: %j as %s", async (content, format, flaw) => {
    for (const size of [1, 3, 1_000]) expect(await flawOf(content, format, { size })).toMatch(flaw)
  })

  it("is refused where it lacks the column", async () => {
    expect(await flawOf("a,b\n1,2\n", "csv", { column: "code" })).toBe("line 1 names no column \"code\"")
    expect(await flawOf("a;b\n1;2\n", "csv", { column: "code" })).toBe("line 1 names no column \"code\"")
  })

  it("is refused for a line of 10 MB before all of it is read", async () => {
    let given = 0
    async function* endless() {
      yield Buffer.from("A\n")
      for (; given < 10_000_000; given += 65_536) yield Buffer.alloc(65_536, "x")
    }
    const flaw = await (async () => {
      for await (const _ of readCodes(endless(), { format: "csv", column: undefined })) void _
    })().catch((error: unknown) => error)
    expect(flaw).toMatchObject({ line: 2, reason: "has more than 65,536 characters" })
    expect(given).toBeLessThan(6 * MAX_LINE)
  })

  it("has the same chunks however it is read, none of them too large", async () => {
    const content = Array.from({ length: 5_000 }, (_, k) => k % 7 === 0 ? `여름-"${k}"` : `CODE-${k}`)
      .map((code) => `"${code.replaceAll("\"", "\"\"")}"\n`).join("")
    const chunksBy = async (size: number) => {
      const chunks: Array<ReadonlyArray<string>> = []
      const limits = { codes: 1_000, bytes: 9_000 }
      const options = { format: "csv", column: undefined } as const
      for await (const { codes } of inChunks(readCodes(pieces(Buffer.from(content), size), options), limits)) {
        chunks.push(codes.map(({ code }) => code))
      }
      return chunks
    }
    const chunks = await chunksBy(1_000)
    expect(await chunksBy(64)).toEqual(chunks)
    expect(chunks.flat().length).toBe(5_000)
    for (const chunk of chunks) {
      expect(chunk.length).toBeLessThanOrEqual(1_000)
      expect(Buffer.byteLength(JSON.stringify(chunk))).toBeLessThanOrEqual(9_002)
    }
  })
})
