const two = (value: number): string => String(value).padStart(2, "0")

/** What an input of the type `datetime-local` shows for a time: the browser's own, to the second. */
export const toInput = (epochMillis: number): string => {
  if (!Number.isFinite(epochMillis)) return ""
  const at = new Date(epochMillis)
  const date = `${String(at.getFullYear()).padStart(4, "0")}-${two(at.getMonth() + 1)}-${two(at.getDate())}`
  return `${date}T${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
}

/** RFC 3339 in UTC from such an input; empty if it is empty or no time. */
export const fromInput = (text: string): string => {
  const millis = text === "" ? Number.NaN : new Date(text).getTime()
  return Number.isFinite(millis) ? new Date(millis).toISOString().replace(".000Z", "Z") : ""
}
