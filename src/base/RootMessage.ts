/** The message of the innermost cause of an error: the store's, or the driver's. */
export const rootMessage = (cause: unknown): string => {
  const inner = cause instanceof Error && cause.cause !== undefined ? rootMessage(cause.cause) : ""
  if (inner !== "") return inner
  // An AggregateError (one attempt an address) has no message of its own, but a code.
  if (!(cause instanceof Error)) return String(cause)
  return cause.message || String((cause as NodeJS.ErrnoException).code ?? cause.name)
}
