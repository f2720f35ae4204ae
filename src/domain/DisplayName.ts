/**
 * What a name that people read must not hold, as Unicode has it. The embeddings, overrides and isolates of direction make a
 * name show as another one, and turn the text beside it; the marks LRM, RLM and ALM, which do neither, may stand.
 */
const DIRECTION = /[\u202a-\u202e\u2066-\u2069]/u

/** Controls, and the two separators that end a line or a paragraph. */
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}]/u

/**
 * A character that can be seen by itself: no space, no control or format character, no mark without its base, nothing that
 * Unicode has a font ignore (the Hangul fillers are among those), and not the empty Braille pattern.
 */
const VISIBLE = /[^\p{Z}\p{Cc}\p{Cf}\p{M}\p{Default_Ignorable_Code_Point}\u2800]/u

/** Whether there is anything to see. */
export const isVisible = (text: string): boolean => VISIBLE.test(text)

/** Which rule of names a text breaks, as the end of a sentence that the field begins; `undefined`: none. */
export const flawOf = (text: string): string | undefined => {
  if (text.trim() === "") return "must not be empty"
  if (!text.isWellFormed() || CONTROL.test(text)) return "must be text without control characters"
  if (DIRECTION.test(text)) return "must not hold characters that override the direction of text"
  return isVisible(text) ? undefined : "must have a character that can be seen"
}
