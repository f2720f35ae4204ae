/**
 * Letters of other alphabets that look like Latin ones, after case folding: the common ones of Unicode's confusables
 * (UTS #39). What is left of fullwidth, mathematical and other forms, NFKC has made Latin before.
 */
const LOOK_ALIKES: Readonly<Record<string, string>> = {
  // Cyrillic
  а: "a", в: "b", ь: "b", ԁ: "d", е: "e", ё: "e", һ: "h", і: "i", ї: "i", ј: "j", к: "k", ӏ: "l", м: "m", н: "h",
  о: "o", р: "p", ԛ: "q", г: "r", ѕ: "s", т: "t", ц: "u", ѵ: "v", ѡ: "w", ԝ: "w", х: "x", у: "y", ү: "y", с: "c",
  п: "n", ѓ: "r", ӕ: "ae", з: "3",
  // Greek
  α: "a", β: "b", ϲ: "c", ε: "e", η: "n", ι: "i", κ: "k", μ: "u", ν: "v", ο: "o", ρ: "p", σ: "o", ς: "s", τ: "t",
  υ: "u", χ: "x", ω: "w", γ: "y", ζ: "z", ϳ: "j",
  // Armenian
  օ: "o", ո: "n", ս: "u", հ: "h", ց: "g", յ: "j", ա: "w", զ: "q", ք: "p",
  // Latin beyond ASCII
  ı: "i", ł: "l", ø: "o", đ: "d", ħ: "h", ɑ: "a", ɡ: "g", ɩ: "i", ɪ: "i", ʀ: "r", ꜱ: "s", ʏ: "y", ß: "ss", æ: "ae",
  œ: "oe", ŧ: "t", ᴀ: "a", ʙ: "b", ᴄ: "c", ᴅ: "d", ᴇ: "e", ʜ: "h", ᴊ: "j", ᴋ: "k", ʟ: "l", ᴍ: "m", ɴ: "n", ᴏ: "o",
  ᴘ: "p", ᴛ: "t", ᴜ: "u", ᴠ: "v", ᴡ: "w", ᴢ: "z",
  // Digits and signs
  "0": "o", "1": "l", "|": "l", "!": "l", "5": "s", "$": "s", "@": "a"
}

/** What is not seen, or is seen as a space or a line between words. */
const UNSEEN = /[\p{Z}\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\p{M}\p{Pd}\p{Pc}]/gu

/**
 * What a name looks like: two names with the same skeleton can be taken for each other. Letters that differ by case,
 * accents, width or alphabet are the same, and so are `i`, `l` and `1`.
 */
export const of = (name: string): string => {
  const plain = name.normalize("NFKD").replace(UNSEEN, "").toLowerCase().normalize("NFKD").replace(UNSEEN, "")
  const latin = Array.from(plain, (letter) => LOOK_ALIKES[letter] ?? letter).join("")
  return latin.replace(/i/g, "l").replace(/rn/g, "m").replace(/vv/g, "w")
}
