import * as CouponCode from "../CouponCode.ts"
import { type CodeFormat, compile, type CompiledFormat, isDefaultFormat } from "./CodeFormat.ts"
import { nextByte } from "./RandomBytes.ts"

/** Draws codes of one format from the operating system's CSPRNG; every code of the format is equally likely. */
export type DrawCode = () => string

const make = ({ alphabet, byValue, check, elements }: CompiledFormat): DrawCode => {
  const size = alphabet.length
  // Larger bytes are drawn again: up to a multiple of the size, every character is equally likely.
  const fair = 256 - (256 % size)
  // A code is the same few code points, some of which are drawn: one array for all of them.
  const points = elements.map((element) => element._tag === "Literal" ? element.character.codePointAt(0)! : 0)
  const alphabetPoints = alphabet.map((character) => character.codePointAt(0)!)
  const randoms = elements.flatMap(({ _tag }, index) => _tag === "Random" ? [index] : [])
  const checkAt = elements.findIndex(({ _tag }) => _tag === "Check")
  const fill = (): boolean => {
    let state = check === undefined ? 0 : check.start
    for (let at = 0; at < randoms.length; at++) {
      let byte = nextByte()
      while (byte >= fair) byte = nextByte()
      const symbol = byte % size
      points[randoms[at]!] = alphabetPoints[symbol]!
      if (check !== undefined) state = check.step(state, check.values[symbol]!)
    }
    if (check === undefined) return true
    const character = byValue.get(check.last(state))
    if (character === undefined) return false
    points[checkAt] = character.codePointAt(0)!
    return true
  }
  return () => {
    // A code whose check character is none of the alphabet is drawn again as a whole.
    while (!fill());
    return String.fromCodePoint(...points)
  }
}

const drawers = new WeakMap<CompiledFormat, DrawCode>()

/** What draws codes of a format. The ledger's unique key makes codes unique within a campaign. */
export const drawCodes = (format: CodeFormat): DrawCode => {
  if (isDefaultFormat(format)) return CouponCode.generate
  const compiled = compile(format)
  const known = drawers.get(compiled)
  if (known !== undefined) return known
  const draw = make(compiled)
  drawers.set(compiled, draw)
  return draw
}
