import type { FailureMessage } from "../../../src/contract/FailureTable.ts"

/** By their status: the answers of the operator plane, of proxies and of the API have different bodies. */
const byStatus: Readonly<Record<number, FailureMessage>> = {
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  429: "RATE_LIMITED",
  503: "UNAVAILABLE"
}

/** What an answer says that is none of success; `undefined`: nothing of this service. `message`: that of its body. */
export const refusalTag = (status: number, message = ""): FailureMessage | undefined => {
  const [tag = ""] = message.split(":", 1)
  return /^[A-Z_]+$/.test(tag) ? tag as FailureMessage : byStatus[status]
}
