/** The name of a value of an enum of the contract, e.g. `OPEN`; its number, if a later version has made it. */
export const nameOf = (values: Readonly<Record<string, number>>, value: number): string =>
  Object.keys(values).find((name) => values[name] === value) ?? String(value)
