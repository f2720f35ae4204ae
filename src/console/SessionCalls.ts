import type { ServerResponse } from "node:http"
import * as Effect from "effect/Effect"
import type { AppConfig } from "../config/AppConfig.ts"
import { VERSION } from "../config/Version.ts"
import * as Actor from "../domain/Actor.ts"
import { InvalidArgument, Unavailable } from "../domain/Failure.ts"
import { anonymousAdmin, type Principal } from "../domain/Principal.ts"
import type { EpochMillis } from "../domain/Time.ts"
import type { ConsoleRequests } from "../http/console/ConsoleRequests.ts"
import * as SessionCookie from "../http/console/SessionCookie.ts"
import type { Request, Response } from "../rpc/Request.ts"
import type { Startup, UseCases } from "../rpc/Startup.ts"
import type { Rejection } from "../security/Guard.ts"
import type { KeysUnavailable } from "../security/ApiKeys.ts"
import { LIFE_MILLIS } from "../security/sessions/Sessions.ts"

/** Who uses the console, as its page is informed. */
export interface SessionState {
  /** Whether administration needs no key: all who reach the port may administer. */
  readonly open: boolean
  readonly signedIn: boolean
  /** The name of the key, as the audit log has it. */
  readonly actor?: string
  readonly role?: string
  readonly keyId?: string
  /** The campaigns that the key is limited to. */
  readonly campaigns?: ReadonlyArray<number>
  /** RFC 3339. */
  readonly expiresAt?: string
  readonly production: boolean
  readonly version: string
  readonly serverTime: string
  /** Whether the stores were reached. */
  readonly ready: boolean
  readonly waitingFor: ReadonlyArray<string>
}

export type SessionFailure = Rejection | InvalidArgument

/** The calls at `/console/session`. Each sets the cookie of its answer, if that changes. */
export interface SessionCalls {
  readonly look: (request: Request, response: Response, source: Actor.RequestSource) => Call<SessionState>
  /** `key`: an API key, as the body has it. Ends the session that the cookie named until now. */
  readonly signIn: (
    request: Request,
    response: Response,
    source: Actor.RequestSource,
    key: unknown
  ) => Call<SessionState>
  readonly signOut: (request: Request, response: Response, source: Actor.RequestSource) => Call<void>
}

type Call<A> = Effect.Effect<A, SessionFailure>

const unavailable = ({ cause }: KeysUnavailable) => new Unavailable({ retryAfterSeconds: 1, cause })
const notReady = new Unavailable({ retryAfterSeconds: 1 })

const MOST_KEY_LENGTH = 1_024

const holderOf = ({ campaigns, keyId, name, role }: Principal, endsAt: EpochMillis) => ({
  signedIn: true,
  actor: name,
  role,
  ...keyId === undefined ? {} : { keyId },
  ...campaigns === undefined ? {} : { campaigns: [...campaigns] },
  expiresAt: new Date(endsAt).toISOString()
})

export const make = (
  config: AppConfig["Type"],
  startup: Startup["Type"],
  requests: ConsoleRequests
): SessionCalls => {
  const setCookie = (response: Response, cookie: string) =>
    void (response as ServerResponse).setHeader("Set-Cookie", cookie)

  const state = (open: boolean, holder: Partial<SessionState> = {}): SessionState => ({
    open,
    signedIn: false,
    ...open ? { actor: anonymousAdmin.name, role: anonymousAdmin.role } : {},
    ...holder,
    production: config.production,
    version: VERSION,
    serverTime: new Date().toISOString(),
    ready: startup.current() !== undefined && startup.waitingFor().length === 0,
    waitingFor: startup.waitingFor()
  })

  const isOpen = ({ apiKeys }: UseCases) =>
    config.mayOpenAdministration
      ? Effect.map(apiKeys.configured, (configured) => !configured)
      : Effect.succeed(false)

  /** Ends the session of a token, as its holder. */
  const end = ({ apiKeys, sessions }: UseCases, token: string, source: Actor.RequestSource) =>
    Effect.gen(function*() {
      const session = yield* sessions.find(token, source.address)
      if (session === undefined) return
      const found = yield* apiKeys.holder(session.keyId, source.address)
      // Its key may be revoked: the session ends all the same.
      const holder: Principal = typeof found === "string"
        ? { name: "unauthenticated", role: "NONE", ...session.keyId === undefined ? {} : { keyId: session.keyId } }
        : found
      yield* sessions.end(session.id, Actor.of(holder, source))
    })

  return {
    look: (request, response, source) =>
      Effect.gen(function*() {
        const useCases = startup.current()
        if (useCases === undefined) return state(false)
        const open = yield* isOpen(useCases)
        const token = requests.tokenOf(request)
        if (token === undefined) return state(open)
        const session = yield* useCases.sessions.find(token, source.address)
        const holder = session === undefined
          ? undefined
          : yield* useCases.apiKeys.holder(session.keyId, source.address)
        if (session !== undefined && typeof holder === "object") {
          return state(open, holderOf(holder, session.endsAt))
        }
        setCookie(response, SessionCookie.remove(requests.isSecure(request)))
        return state(open)
      }).pipe(Effect.mapError(unavailable)),

    signIn: (request, response, source, key) =>
      Effect.gen(function*() {
        if (typeof key !== "string" || key.trim() === "" || key.length > MOST_KEY_LENGTH) {
          return yield* new InvalidArgument({ field: "key", reason: "must be an API key" })
        }
        const useCases = startup.current()
        if (useCases === undefined) return yield* notReady
        const principal = yield* useCases.guard.signIn({
          authorization: `Bearer ${key.trim()}`,
          source,
          call: "SignIn",
          touches: "own"
        })
        const { session, token } = yield* useCases.sessions.start(principal, Actor.of(principal, source)).pipe(
          Effect.catchTag("KeysUnavailable", (failure) => Effect.fail(unavailable(failure)))
        )
        const former = requests.tokenOf(request)
        if (former !== undefined) yield* Effect.ignore(end(useCases, former, source))
        const isSecure = requests.isSecure(request)
        setCookie(response, SessionCookie.set(token, LIFE_MILLIS / 1_000, isSecure))
        const open = yield* Effect.orElseSucceed(isOpen(useCases), () => false)
        return state(open, holderOf(principal, session.endsAt))
      }),

    signOut: (request, response, source) =>
      Effect.gen(function*() {
        const useCases = startup.current()
        if (useCases === undefined) return yield* notReady
        const token = requests.tokenOf(request)
        if (token !== undefined) yield* Effect.mapError(end(useCases, token, source), unavailable)
        setCookie(response, SessionCookie.remove(requests.isSecure(request)))
      })
  }
}
