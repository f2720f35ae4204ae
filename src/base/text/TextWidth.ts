import { eastAsianWidth } from "get-east-asian-width"

let segmenter: Intl.Segmenter | undefined

/** Columns that a terminal takes for a text: two for a syllable of 여름 or an emoji, none for a combining accent. */
export const width = (text: string): number => {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  segmenter ??= new Intl.Segmenter()
  let columns = 0
  for (const { segment } of segmenter.segment(text)) {
    columns += segment.includes("\ufe0f") ? 2 : eastAsianWidth(segment.codePointAt(0)!)
  }
  return columns
}

/** Breaks a line between words into lines of so many columns. A word that is longer has a line of its own. */
export const wrap = (text: string, columns: number): ReadonlyArray<string> => {
  if (width(text) <= columns) return [text]
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`
    if (line !== "" && width(longer) > columns) {
      lines.push(line)
      line = word
    } else line = longer
  }
  return [...lines, line]
}
