/** A code of a file, and the line that it stands on, from 1. */
export interface Line {
  readonly line: number
  readonly code: string
}

/**
 * Takes text apart, as it comes, into codes: one a line, without what surrounds it. Empty lines and a byte order mark
 * are left out. `end` returns what the last piece has left.
 */
export const make = (): {
  readonly push: (text: string) => ReadonlyArray<Line>
  readonly end: () => ReadonlyArray<Line>
} => {
  let rest = ""
  let line = 0
  const codes = (lines: ReadonlyArray<string>): ReadonlyArray<Line> =>
    lines.flatMap((text) => {
      line++
      const code = text.replace(/^\uFEFF/, "").trim()
      return code === "" ? [] : [{ line, code }]
    })
  return {
    push: (text) => {
      const lines = (rest + text).split(/\r\n|\n|\r(?!$)/)
      rest = lines.pop()!
      return codes(lines)
    },
    end: () => {
      const last = rest
      rest = ""
      return codes(last.split("\r"))
    }
  }
}
