/** Hands a file to the browser. CSV begins with a byte order mark, without which spreadsheets take Hangul for Latin. */
export const saved = (parts: ReadonlyArray<Blob | string>, name: string, type: string): void => {
  const url = URL.createObjectURL(new Blob([...type.startsWith("text/csv") ? ["\uFEFF"] : [], ...parts], { type }))
  const link = document.createElement("a")
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}
