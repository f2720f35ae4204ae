import { refusalTag } from "../logic/RefusalTag.ts"
import { Failure } from "./Failure.ts"

/** The failure of an answer that is none of success. `message`: that of its body. */
export const refusalOf = ({ headers, status }: Response, message?: string): Failure => {
  const tag = refusalTag(status, message)
  return tag === undefined
    ? new Failure("UNEXPECTED_ANSWER", { reason: `HTTP ${status}` })
    : new Failure(tag, { retryAfterSeconds: Number(headers.get("retry-after") ?? 1) })
}
