type Value = string | number | bigint

/** A field as RFC 4180 has it. A formula of a spreadsheet becomes a text, since codes may begin like one. */
const field = (value: Value): string => {
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll("\"", "\"\"")}"` : text
}

/** Rows as CSV, each with its end of line. */
export const csvOf = (rows: ReadonlyArray<ReadonlyArray<Value>>): string =>
  rows.map((row) => `${row.map(field).join(",")}\r\n`).join("")
