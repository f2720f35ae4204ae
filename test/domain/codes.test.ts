import * as Either from "effect/Either"
import fc from "fast-check"
import { readdirSync, readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import * as CouponCode from "../../src/domain/CouponCode.ts"
import { named } from "../../src/domain/codes/CodeAlphabet.ts"
import { checkOf } from "../../src/domain/codes/CheckCharacter.ts"
import {
  type CodeFormat,
  type CodeFormatInput,
  compile,
  defaultFormat,
  flawOfSpace,
  isDefaultFormat,
  parseCodeFormat
} from "../../src/domain/codes/CodeFormat.ts"
import { normaliseCode, normaliseFor } from "../../src/domain/codes/CodeInput.ts"
import { makeKey, permutation } from "../../src/domain/codes/Permutation.ts"
import { drawCodes } from "../../src/domain/codes/DrawCodes.ts"

const input = (fields: Partial<CodeFormatInput> = {}): CodeFormatInput =>
  ({ alphabet: undefined, characters: "", pattern: "", check: undefined, ...fields })

const format = (fields: Partial<CodeFormatInput> = {}): CodeFormat =>
  Either.getOrThrow(parseCodeFormat(input(fields)))

/** Own alphabets: of any script, also beyond the Basic Multilingual Plane. */
const ownAlphabet = fc.uniqueArray(
  fc.constantFrom(..."0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefgxyz가나다라마바사çñЖΩ漢字+*@☂🎟𝄞ａ１"),
  { minLength: 2, maxLength: 64 }
).map((characters) => characters.join(""))

const anyAlphabet: fc.Arbitrary<Partial<CodeFormatInput>> = fc.oneof(
  fc.constantFrom("HANGUL" as const, "CROCKFORD32" as const, "SAFE20" as const, "DIGITS" as const)
    .map((alphabet) => ({ alphabet })),
  ownAlphabet.map((characters) => ({ alphabet: "OWN" as const, characters }))
)

/** Any format that is accepted. */
const anyFormat: fc.Arbitrary<CodeFormat> = fc.record({
  alphabet: anyAlphabet,
  groups: fc.array(fc.constantFrom("#", "####", "-", "SUMMER-", "\\C", "\\#", "여름", "_", "9", "é"), { maxLength: 8 }),
  check: fc.boolean(),
  end: fc.constantFrom("", "-X", "끝")
}).map(({ alphabet, check, end, groups }) =>
  parseCodeFormat(input({ ...alphabet, pattern: `${groups.join("")}##${check ? "-C" : ""}${end}` }))
).filter(Either.isRight).map(({ right }) => right)

const codeOf = (of: CodeFormat): string => drawCodes(of)()

const RUNS = { numRuns: 300 }

describe("a code format", () => {
  it("is today's by default, code for code", () => {
    expect(isDefaultFormat(format())).toBe(true)
    expect(drawCodes(format())).toBe(CouponCode.generate)
    const { ALPHABET: characters } = CouponCode
    expect(format()).toEqual({ alphabet: "HANGUL", characters, pattern: "##########", check: "NONE" })
  })

  const flawed: ReadonlyArray<readonly [fields: Partial<CodeFormatInput>, field: string, reason: RegExp]> = [
    [{ pattern: "SUMMER" }, ".pattern", /must have a #/],
    [{ pattern: "SALE-C" }, ".pattern", /must have a #/],
    [{ pattern: "COUPON-####" }, ".pattern", /C, the check character, once and after the last #; the letter C is \\C/],
    [{ pattern: "##C##C", alphabet: "DIGITS" }, ".pattern", /once and after/],
    [{ pattern: "#".repeat(64) }, ".pattern", /at most 63 characters, not 64/],
    [{ pattern: "## ##" }, ".pattern", /spaces/],
    [{ pattern: "##\u00a0##" }, ".pattern", /U\+00A0, which cannot be seen/],
    [{ pattern: "##\u200b##" }, ".pattern", /U\+200B, which cannot be seen/],
    [{ pattern: "##\u0000" }, ".pattern", /U\+0000, which cannot be seen/],
    [{ pattern: "##\ud800" }, ".pattern", /well-formed/],
    [{ pattern: "##e\u0301" }, ".pattern", /U\+0301, which combines/],
    [{ pattern: "##\u212b" }, ".pattern", /NFC/],
    [{ pattern: "##'" }, ".pattern", /quote/],
    [{ pattern: "##\\x" }, ".pattern", /backslash/],
    [{ pattern: "##\\" }, ".pattern", /backslash/],
    [{ alphabet: "OWN", characters: "A" }, ".characters", /2 to 64 characters, not 1/],
    [{ alphabet: "OWN", characters: "" }, ".characters", /2 to 64 characters, not 0/],
    [{ characters: "가나다라마바사아자차카타파하".repeat(5) }, ".characters", /2 to 64 characters, not 70/],
    [{ characters: "ABCA" }, ".characters", /"A" twice/],
    [{ characters: "AB\u0301" }, ".characters", /U\+0301, which combines/],
    [{ characters: "e\u0301B" }, ".characters", /combines/],
    [{ characters: "AB-" }, ".characters", /separates/],
    [{ characters: "AB " }, ".characters", /cannot be seen/],
    [{ characters: 'AB"' }, ".characters", /quote/],
    [{ characters: "ㄱB\u212b" }, ".characters", /NFC/],
    [{ alphabet: "DIGITS", characters: "ABC" }, ".characters", /empty for the alphabet DIGITS/],
    // Conjoining Jamo, which become a syllable.
    [{ characters: "\u1100\u1161" }, "", /become another one together/],
    [{ check: "DAMM" }, ".check", /needs a C/],
    [{ pattern: "####C", check: "DAMM" }, ".check", /DAMM does not exist for an alphabet of 38/],
    [{ pattern: "####C", characters: "가나", check: "ISO_7064" }, ".check", /does not exist/],
    [{ pattern: "####C", characters: "가나다라마바" }, ".check", /a check character does not exist/]
  ]
  it.each(flawed)("with %j is rejected by its field %s", (fields, field, reason) => {
    const failure = Either.flip(parseCodeFormat(input(fields))).pipe(Either.getOrThrow)
    expect(failure.field).toBe(`codeFormat${field}`)
    expect(failure.reason).toMatch(reason)
  })

  it("is rejected where it has fewer than a million codes for each coupon", () => {
    const eight = format({ alphabet: "DIGITS", pattern: "########" })
    expect(flawOfSpace(eight, 100)).toBeUndefined()
    expect(flawOfSpace(eight, 101)).toMatchObject({
      field: "codeFormat.pattern",
      reason: expect.stringMatching(/100,000,000 codes, too few for 101 coupons/)
    })
    // The most coupons that a campaign has.
    expect(flawOfSpace(defaultFormat, 10_000_000)).toBeUndefined()
  })

  it("has as many codes as are counted one by one", () => {
    for (
      const of of [
        format({ characters: "AZ", pattern: "#####C", check: "ISO_7064" }),
        format({ characters: "A0Z", pattern: "####C", check: "ISO_7064" }),
        format({ characters: "가나다", pattern: "####C" })
      ]
    ) {
      const codes = new Set(Array.from({ length: 5_000 }, () => codeOf(of)))
      expect(codes.size).toBe(compile(of).space)
    }
  })
})

/** The chi-squared statistic of counts that should all be the same. */
const chiSquared = (counts: ReadonlyArray<number>): number => {
  const mean = counts.reduce((a, b) => a + b, 0) / counts.length
  return counts.reduce((sum, count) => sum + (count - mean) ** 2 / mean, 0)
}

/** Six standard deviations above its mean: by the Wilson-Hilferty cube, less than one run in 10^8 is beyond. */
const bound = (degrees: number): number =>
  degrees * (1 - 2 / (9 * degrees) + 6 * Math.sqrt(2 / (9 * degrees))) ** 3

describe("a drawn code", () => {
  it("matches its pattern, in NFC and of at most 63 code points", () => {
    fc.assert(fc.property(anyFormat, (of) => {
      const { alphabet, elements } = compile(of)
      const code = codeOf(of)
      const characters = Array.from(code)
      expect(characters.length).toBe(elements.length)
      expect(characters.length).toBeLessThanOrEqual(63)
      expect(code.normalize("NFC")).toBe(code)
      elements.forEach((element, index) =>
        element._tag === "Literal"
          ? expect(characters[index]).toBe(element.character)
          : expect(alphabet).toContain(characters[index]))
    }), RUNS)
  })

  it.each([
    ["HANGUL", format()],
    ["CROCKFORD32", format({ alphabet: "CROCKFORD32" })],
    ["SAFE20", format({ alphabet: "SAFE20" })],
    ["DIGITS", format({ alphabet: "DIGITS" })],
    ["own", format({ characters: "가나다라마바사ABCDEFGHIJ☂🎟" })]
  ])("has each character of %s equally often at each position", (_name, of) => {
    const { alphabet } = compile(of)
    const draw = drawCodes(of)
    const counts = Array.from({ length: 10 }, () => new Map(alphabet.map((character) => [character, 0])))
    for (let i = 0; i < 40_000; i++) {
      Array.from(draw()).forEach((character, at) => counts[at]!.set(character, counts[at]!.get(character)! + 1))
    }
    for (const at of counts) expect(chiSquared([...at.values()])).toBeLessThan(bound(alphabet.length - 1))
  })

  it("has neighbours that do not depend on one another", () => {
    const draw = drawCodes(format({ alphabet: "DIGITS" }))
    const pairs = new Array<number>(100).fill(0)
    for (let i = 0; i < 20_000; i++) {
      const code = draw()
      for (let at = 0; at < 9; at += 2) pairs[Number(code.slice(at, at + 2))]!++
    }
    expect(chiSquared(pairs)).toBeLessThan(bound(99))
  })

  it("is one of all that its check allows, equally often", () => {
    const of = format({ characters: "A0Z", pattern: "####C", check: "ISO_7064" })
    const draw = drawCodes(of)
    const counts = new Map<string, number>()
    for (let i = 0; i < 20_000; i++) {
      const code = draw()
      counts.set(code, (counts.get(code) ?? 0) + 1)
    }
    expect(counts.size).toBe(compile(of).space)
    expect(chiSquared([...counts.values()])).toBeLessThan(bound(counts.size - 1))
  })

  it("comes from node:crypto: no file of the domain uses Math.random", () => {
    const directory = new URL("../../src/domain/", import.meta.url)
    const files = readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"))
    expect(files).toContain("codes/DrawCodes.ts")
    for (const file of files) expect(readFileSync(new URL(file, directory), "utf8")).not.toMatch(/Math\s*\.\s*random/)
  })
})

describe("a check character", () => {
  const complete = (algorithm: "ISO_7064" | "DAMM", alphabet: string, body: string): string => {
    const characters = Array.from(alphabet)
    const check = checkOf(algorithm, characters)!
    let state = check.start
    for (const character of body) state = check.step(state, check.values[characters.indexOf(character)]!)
    return `${body}${characters[check.values.indexOf(check.last(state))]!}`
  }

  it("is that of published examples", () => {
    const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    // The Global Release Identifier's standard (MOD 37,36); Damm's thesis and Wikipedia (572 4).
    expect(complete("ISO_7064", alphanumeric, "A12425GABC1234002")).toBe("A12425GABC1234002M")
    expect(complete("DAMM", "0123456789", "572")).toBe("5724")
  })

  const isValid = (of: CodeFormat, code: string): boolean => normaliseCode(of, code) === code

  /** All alphabets for which an algorithm has check characters. */
  const alphabets = (algorithm: "ISO_7064" | "DAMM"): ReadonlyArray<string> => {
    const letters = Array.from({ length: 64 }, (_, index) => String.fromCodePoint(0x4e00 + index)).join("")
    return [
      ...Object.values(named),
      ...Array.from({ length: 63 }, (_, index) => letters.slice(0, index + 2))
    ].filter((alphabet) => checkOf(algorithm, Array.from(alphabet)) !== undefined)
  }

  it.each(["ISO_7064", "DAMM"] as const)("of %s tells every wrong character", (algorithm) => {
    for (const characters of alphabets(algorithm)) {
      const of = format({ alphabet: "OWN", characters, pattern: "#####C", check: algorithm })
      const code = Array.from(codeOf(of))
      code.forEach((right, at) => {
        for (const wrong of characters) {
          expect(isValid(of, code.with(at, wrong).join(""))).toBe(wrong === right)
        }
      })
    }
  })

  it.each([["ISO_7064", 0.98], ["DAMM", 1]] as const)("of %s tells swapped neighbours", (algorithm, share) => {
    for (const characters of alphabets(algorithm)) {
      // Every state and every pair of neighbours, then the last character and its check.
      const alphabet = Array.from(characters)
      const { last, start, states, step, values } = checkOf(algorithm, alphabet)!
      const reachable = new Set([start])
      for (const state of reachable) for (const value of values) reachable.add(step(state, value))
      expect(reachable.size).toBeLessThanOrEqual(states)
      let [swapped, missed] = [0, 0]
      for (const state of reachable) {
        for (const a of values) {
          const check = last(step(state, a))
          if (check !== a && values.includes(check)) {
            swapped++
            if (last(step(state, check)) === a) missed++
          }
          for (const b of values) {
            if (a === b) continue
            swapped++
            if (step(step(state, a), b) === step(step(state, b), a)) missed++
          }
        }
      }
      expect(1 - missed / swapped, `${alphabet.length} characters`).toBeGreaterThanOrEqual(share)
    }
  })

  it("is there for every alphabet but those of two and six characters", () => {
    for (let size = 2; size <= 64; size++) {
      const letters = Array.from({ length: size }, (_, index) => String.fromCodePoint(0x4e00 + index))
      const some = checkOf("DAMM", letters) ?? checkOf("ISO_7064", letters)
      expect(some === undefined, `${size} characters`).toBe(size === 2 || size === 6)
    }
  })
})

describe("input that stands for a code", () => {
  it("is read as the code whatever its case, width, separators and composition", () => {
    const noise = fc.constantFrom("", " ", "-", "\u2013", "\u00a0", "\u3000", "_", ".", "\u200b", "\ufeff", "\n")
    const wide = (text: string): string =>
      text.replace(/[!-~]/g, (character) => String.fromCharCode(character.charCodeAt(0) + 0xfee0))
    fc.assert(
      fc.property(
        anyFormat.filter(({ alphabet }) => alphabet !== "OWN"),
        fc.array(noise, { minLength: 64, maxLength: 64 }),
        fc.constantFrom<(text: string) => string>(
          (text) => text,
          (text) => text.toLowerCase(),
          wide,
          (text) => text.normalize("NFD"),
          (text) => text.normalize("NFKD")
        ),
        (of, noises, change) => {
          const code = codeOf(of)
          const written = Array.from(code).map((character, index) => `${noises[index] ?? ""}${character}`).join("")
          expect(normaliseCode(of, change(written))).toBe(code)
        }
      ),
      RUNS
    )
  })

  it("is read once and for all: a code is its own normal form", () => {
    fc.assert(fc.property(anyFormat, fc.string({ unit: "binary", maxLength: 80 }), (of, text) => {
      const code = codeOf(of)
      expect(normaliseCode(of, code)).toBe(code)
      const read = normaliseCode(of, text)
      if (read !== undefined) expect(normaliseCode(of, read)).toBe(read)
    }), { numRuns: 1_000 })
  })

  it("is one code in NFC and in NFD", () => {
    const code = codeOf(defaultFormat)
    expect(normaliseCode(defaultFormat, code.normalize("NFD"))).toBe(code)
  })

  it.each([
    ["SUMMER-0OIL-abcd", "SUMMER-0011-ABCD"], ["summer 0oil abcd", "SUMMER-0011-ABCD"],
    ["ＳＵＭＭＥＲ－００１１－ＡＢＣＤ", "SUMMER-0011-ABCD"], ["SUMMER-0011-ABC", undefined],
    ["SUMMER-0011-ABCDE", undefined], ["WINTER-0011-ABCD", undefined], ["SUMMER-0011-ABCU", undefined],
    ["", undefined], ["-".repeat(600), undefined]
  ])("%j is %s in SUMMER-####-####", (text, code) => {
    expect(normaliseCode(format({ alphabet: "CROCKFORD32", pattern: "SUMMER-####-####" }), text)).toBe(code)
  })

  it("of a pool is its code in NFC, without spaces around it", () => {
    expect(normaliseFor({ _tag: "Pool" }, " a-1\n")).toBe("a-1")
    expect(normaliseFor({ _tag: "Pool" }, "여".normalize("NFD"))).toBe("여")
    for (const none of ["", "a b", "\u200b", "x".repeat(64), "\ud800"]) {
      expect(normaliseFor({ _tag: "Pool" }, none)).toBeUndefined()
    }
    const digits = { _tag: "Generated", format: format({ alphabet: "DIGITS" }) } as const
    expect(normaliseFor(digits, "01234-56789")).toBe("0123456789")
  })

  it("keeps letters apart that an alphabet has in both cases", () => {
    const of = format({ characters: "aAb", pattern: "###" })
    expect(normaliseCode(of, "aAB")).toBe("aAb")
    expect(normaliseCode(of, "AaB")).toBe("Aab")
  })
})

describe("a permutation by a key", () => {
  it("has each number once, the same again, and another order for another key and chunk", () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 3_000 }), fc.nat(1_000), (size, index) => {
      const key = makeKey()
      const order = [...permutation(key, index, size)]
      expect(order.toSorted((a, b) => a - b)).toEqual(Array.from({ length: size }, (_, item) => item))
      expect([...permutation(key, index, size)]).toEqual(order)
      if (size > 30) {
        expect([...permutation(key, index + 1, size)]).not.toEqual(order)
        expect([...permutation(makeKey(), index, size)]).not.toEqual(order)
      }
    }), RUNS)
  })

  it("puts each item at each place equally often", () => {
    const counts = Array.from({ length: 5 }, () => new Array<number>(5).fill(0))
    const key = makeKey()
    for (let index = 0; index < 10_000; index++) {
      permutation(key, index, 5).forEach((item, place) => counts[item]![place]!++)
    }
    for (const places of counts) expect(chiSquared(places)).toBeLessThan(bound(4))
  })
})
