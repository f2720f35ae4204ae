import * as Either from "effect/Either"
import * as DisplayName from "../DisplayName.ts"
import { InvalidArgument } from "../InvalidArgument.ts"

/** The caller's own name for a request, by which it may be repeated. Compared byte by byte. */
export type RequestId = string

/** In Unicode code points: every column of request ids holds as many, be it VARCHAR(64) or VARBINARY(256). */
export const MAX_REQUEST_ID_LENGTH = 64

const reject = (reason: string) => Either.left(new InvalidArgument({ field: "requestId", reason }))

/** Validates a request id as a client sent it. */
export const parse = (text: string): Either.Either<RequestId, InvalidArgument> => {
  const { length } = Array.from(text)
  return length >= 1 && length <= MAX_REQUEST_ID_LENGTH
    ? Either.right(text)
    : reject(`must be 1 to ${MAX_REQUEST_ID_LENGTH} characters`)
}

/**
 * As `parse`, for requests that the ledger stores as text: without control characters, because libSQL would store the
 * text before a NUL alone, which names another request.
 */
export const parseText = (text: string): Either.Either<RequestId, InvalidArgument> =>
  Either.flatMap(parse(text), (id) => {
    const flaw = DisplayName.flawOf(id)
    return flaw === undefined ? Either.right(id) : reject(flaw)
  })
