import * as Either from "effect/Either"
import { type CodeFormatInput, compile, flawOfSpace, parseCodeFormat } from "$domain/codes/CodeFormat.ts"
import { drawCodes } from "$domain/codes/DrawCodes.ts"

/** Codes of a format, or the rule that it breaks. By the service's own code, so that it says what the service says. */
export type Preview =
  | { readonly _tag: "Codes"; readonly codes: ReadonlyArray<string>; readonly space: number }
  | { readonly _tag: "Flaw"; readonly reason: string }

const SHOWN = 3

export const previewOf = (input: CodeFormatInput, couponLimit: number): Preview => {
  const parsed = parseCodeFormat(input)
  if (Either.isLeft(parsed)) return { _tag: "Flaw", reason: parsed.left.reason }
  const format = parsed.right
  const flaw = Number.isFinite(couponLimit) && couponLimit > 0 ? flawOfSpace(format, couponLimit) : undefined
  if (flaw !== undefined) return { _tag: "Flaw", reason: flaw.reason }
  const draw = drawCodes(format)
  return { _tag: "Codes", codes: Array.from({ length: SHOWN }, draw), space: compile(format).space }
}
