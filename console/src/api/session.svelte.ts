import { allows, parse, type Role } from "$domain/Role.ts"
import { Failure } from "./Failure.ts"
import { refusalOf } from "./refusal.ts"
import { consoleHeader, TIMEOUT_MILLIS } from "./transport.ts"

/** What `GET /console/session` answers. */
export interface SessionFacts {
  /** Administration is open: no key is needed. */
  readonly open: boolean
  readonly signedIn: boolean
  /** The name of the key. */
  readonly actor?: string
  readonly role?: string
  readonly expiresAt?: string
  readonly production: boolean
  readonly version: string
  readonly serverTime: string
}

const PATH = "/console/session"

const request = async (method: "GET" | "POST" | "DELETE", body?: unknown): Promise<Response> => {
  try {
    return await fetch(PATH, {
      method,
      headers: { ...consoleHeader, ...body === undefined ? {} : { "content-type": "application/json" } },
      ...body === undefined ? {} : { body: JSON.stringify(body) },
      signal: AbortSignal.timeout(TIMEOUT_MILLIS)
    })
  } catch (cause) {
    throw new Failure(cause instanceof DOMException && cause.name === "TimeoutError" ? "TIMED_OUT" : "UNREACHABLE")
  }
}

class Session {
  facts = $state.raw<SessionFacts>()
  failure = $state.raw<Failure>()
  signOutFailure = $state.raw<Failure>()
  /** The session ended while the page was open: why the sign-in is shown. */
  ended = $state(false)

  /** Whether there is anything to show: a session, or open administration. */
  readonly entered = $derived(this.facts !== undefined && (this.facts.open || this.facts.signedIn))
  readonly role = $derived<Role | undefined>(
    this.facts === undefined ? undefined : this.facts.role === undefined
      ? this.facts.open ? "ADMIN" : undefined
      : parse(this.facts.role)
  )

  /** Whether this caller may do what needs the role. What it may not is not shown, and the server refuses it too. */
  may(required: Role): boolean {
    return this.role !== undefined && allows(this.role, required)
  }

  async load(): Promise<void> {
    try {
      const response = await request("GET")
      if (!response.ok) throw refusalOf(response)
      this.facts = await response.json() as SessionFacts
      this.failure = undefined
    } catch (cause) {
      this.failure = cause instanceof Failure ? cause : new Failure("UNEXPECTED_ANSWER")
    }
  }

  async signIn(key: string): Promise<void> {
    const response = await request("POST", { key })
    if (!response.ok) throw refusalOf(response)
    this.facts = await response.json() as SessionFacts
    this.ended = false
  }

  /** The session may be alive still: the page does not look as if it were not. */
  async signOut(): Promise<void> {
    this.signOutFailure = undefined
    try {
      const response = await request("DELETE")
      if (!response.ok && response.status !== 401) throw refusalOf(response)
    } catch (cause) {
      this.signOutFailure = cause instanceof Failure ? cause : new Failure("UNEXPECTED_ANSWER")
      return
    }
    this.ended = false
    if (this.facts !== undefined) this.facts = { ...this.facts, signedIn: false }
  }

  /** A call was answered with UNAUTHENTICATED: the session has ended, or its key has. */
  expire(): void {
    if (this.facts?.signedIn !== true) return
    this.ended = true
    this.signOutFailure = undefined
    this.facts = { ...this.facts, signedIn: false }
  }
}

export const session = new Session()
