/**
 * Characters that a displayed name must not hold: the embeddings, overrides and isolates of direction. They reorder
 * the name and the text beside it. The marks LRM, RLM and ALM do neither and are allowed.
 */
const DIRECTION = /[\u202a-\u202e\u2066-\u2069]/u

/** Control characters, and the separators of lines and paragraphs. */
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}]/u

/**
 * A character that is visible by itself. Excludes spaces, control and format characters, marks without a base, what
 * Unicode lets a font ignore (e.g. the Hangul fillers), and the empty Braille pattern.
 */
const VISIBLE = /[^\p{Z}\p{Cc}\p{Cf}\p{M}\p{Default_Ignorable_Code_Point}\u2800]/u

/** Whether the text has a visible character. */
export const isVisible = (text: string): boolean => VISIBLE.test(text)

/** The rule of names that a text breaks, as the end of a sentence that begins with the field; `undefined`: none. */
export const flawOf = (text: string): string | undefined => {
  if (text.trim() === "") return "must not be empty"
  if (!text.isWellFormed() || CONTROL.test(text)) return "must be text without control characters"
  if (DIRECTION.test(text)) return "must not hold characters that override the direction of text"
  return isVisible(text) ? undefined : "must have a character that can be seen"
}
