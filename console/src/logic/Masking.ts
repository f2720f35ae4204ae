const STAR = "*"

/**
 * A user's number as others may see it on a screen: at most the first and the last two digits, and never more than half
 * of it. It has as many characters as the number.
 */
export const maskedUser = (userId: string | bigint): string => {
  const text = String(userId)
  const shown = Math.min(2, Math.floor(text.length / 4))
  return text.slice(0, shown) + STAR.repeat(text.length - 2 * shown) + text.slice(text.length - shown)
}

/** A code as others may see it: the last two characters. A code is as good as money, so less of it than of a user. */
export const maskedCode = (code: string): string => {
  const characters = Array.from(code)
  const shown = characters.length >= 8 ? 2 : 0
  return STAR.repeat(characters.length - shown) + characters.slice(characters.length - shown).join("")
}
