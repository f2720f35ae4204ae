import { looks } from "./Confusables.ts"

/** What a character of another alphabet looks like, as Unicode has it: case matters. */
const confusables = new Map(
  Object.entries(looks).flatMap(([look, characters]) => Array.from(characters, (one) => [one, look] as const))
)

/**
 * What Unicode does not list: letters that look like another one only in a small size, after case folding, or to a
 * reader who does not expect them; and digits and signs that stand for letters.
 */
const ALSO: Readonly<Record<string, string>> = {
  // Cyrillic
  в: "b", ь: "b", ё: "e", һ: "h", ї: "i", к: "k", ӏ: "l", м: "m", н: "h", т: "t", ц: "u", п: "n", ѓ: "r", ӕ: "ae",
  з: "3",
  // Greek
  β: "b", ε: "e", η: "n", κ: "k", μ: "u", ς: "s", τ: "t", χ: "x", ω: "w", ζ: "z",
  // Armenian
  ց: "g", ա: "w", ք: "p",
  // Latin beyond ASCII
  ł: "l", ø: "o", đ: "d", ħ: "h", ʀ: "r", ß: "ss", æ: "ae", œ: "oe", ŧ: "t", ᴀ: "a", ʙ: "b", ᴅ: "d", ᴇ: "e", ʜ: "h",
  ᴊ: "j", ᴋ: "k", ʟ: "l", ᴍ: "m", ɴ: "n", ᴘ: "p", ᴛ: "t",
  // Digits and signs
  "0": "o", "1": "l", "|": "l", "!": "l", "5": "s", "$": "s", "@": "a"
}

/** What is not seen, or is seen as a space or a line between words. */
const UNSEEN = /[\p{Z}\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\p{M}\p{Pd}\p{Pc}]/gu

const each = (text: string, looksLike: (letter: string) => string | undefined): string =>
  Array.from(text, (letter) => looksLike(letter) ?? letter).join("")

const plain = (text: string): string => text.normalize("NFKD").replace(UNSEEN, "")

/**
 * What a name looks like: two names with the same skeleton can be taken for each other. Letters that differ by case,
 * accents, width or alphabet are the same, and so are `i`, `l` and `1`.
 */
export const of = (name: string): string => {
  // Before case folding, which would lose that a capital Eta looks like H, and after it, for letters without a capital.
  const latin = each(plain(name), (letter) => confusables.get(letter)).toLowerCase()
  const folded = each(plain(latin), (letter) => confusables.get(letter) ?? ALSO[letter]).toLowerCase()
  return each(folded, (letter) => ALSO[letter]).replace(/i/g, "l").replace(/rn/g, "m").replace(/vv/g, "w")
}
