import * as Either from "effect/Either"
import { InvalidArgument } from "../InvalidArgument.ts"
import { parseIsoDuration } from "./IsoDuration.ts"

/** How long after a redemption it can be undone, unless the campaign says otherwise. */
export const DEFAULT_UNDO_WINDOW_MILLIS = 86_400_000

const FIELD = "undoWindow"

/** Reads `PT24H` or `P7D`, a day being 24 hours; empty: the default. */
export const parseUndoWindow = (text: string): Either.Either<number, InvalidArgument> =>
  text === ""
    ? Either.right(DEFAULT_UNDO_WINDOW_MILLIS)
    : Either.flatMap(parseIsoDuration(FIELD, text), ({ days, months, seconds }) =>
      months === 0
        ? Either.right((days * 86_400 + seconds) * 1_000)
        : Either.left(
          new InvalidArgument({ field: FIELD, reason: "must be of weeks, days, hours, minutes and seconds" })
        ))

/** In ISO 8601, of hours, minutes and seconds: `PT24H`. */
export const formatUndoWindow = (millis: number): string => {
  const seconds = Math.floor(millis / 1_000)
  const parts = [[Math.floor(seconds / 3_600), "H"], [Math.floor(seconds / 60) % 60, "M"], [seconds % 60, "S"]] as const
  return `PT${parts.filter(([count]) => count > 0).map(([count, unit]) => `${count}${unit}`).join("")}`
}
