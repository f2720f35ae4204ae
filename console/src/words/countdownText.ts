import { clockText, DAY, partsOf } from "../logic/Countdown.ts"
import * as m from "../paraglide/messages.js"

/** `03:04:05`, and with days `2 d 03:04:05`: `2:03:04:05` could be read as anything. */
export const countdownText = (millis: number): string => {
  const { days } = partsOf(millis)
  return days === 0 ? clockText(millis) : m.common_days({ count: days, clock: clockText(millis - days * DAY) })
}
