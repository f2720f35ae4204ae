import * as ActReason from "./audit/ActReason.ts"
import type { Principal } from "./Principal.ts"

/** Where a request came from. All are worked out when they are first asked for, and then stay the same. */
export interface RequestSource {
  /** The client's IP address, behind trusted proxies the one that they name; empty if the connection is gone. */
  readonly address: () => string
  /** 1 to 64 visible ASCII characters: the caller's X-Request-Id, or one of ours. The answer carries it, too. */
  readonly requestId: () => string
  /** Why it was made, as `ActReason.normalize` has it, if the caller says so. */
  readonly reason: () => string | undefined
}

/** The source of what no client asked for. */
export const noSource: RequestSource = { address: () => "", requestId: () => "", reason: () => undefined }

/** Who did something, as the audit log has it. `undefined`: not known, as in rows of earlier versions. */
export interface Actor {
  /** `Principal.name`. Cut off after 200 characters. */
  readonly name: string
  /** The id of a stored API key. */
  readonly keyId: string | undefined
  readonly role: string | undefined
  /** The client's IP address. */
  readonly address: string | undefined
  readonly requestId: string | undefined
  /** Why, as `ActReason.normalize` has it. `undefined`: the caller gave no reason. */
  readonly reason: string | undefined
}

/** An actor of whom only the name is known. */
export const named = (name: string): Actor => ({
  name,
  keyId: undefined,
  role: undefined,
  address: undefined,
  requestId: undefined,
  reason: undefined
})

/** The caller of a request. `reason`: what the request itself says, unless its header says why. */
export const of = ({ keyId, name, role }: Principal, source: RequestSource, reason = ""): Actor => ({
  name,
  keyId,
  role,
  address: source.address() || undefined,
  requestId: source.requestId() || undefined,
  reason: source.reason() ?? ActReason.normalize(reason)
})
