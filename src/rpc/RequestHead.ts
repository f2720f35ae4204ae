import type { Request } from "./Request.ts"

/** The host of a request without one: HTTP/1.0 has no Host header, and HTTP/2 may do without an authority. */
export const NO_HOST = "localhost"

/** Of a host name, an IPv4 or an IPv6 address, with a port or none. */
const AUTHORITY = /^(?:\[[0-9a-f:.]+\]|[a-z0-9._~!$&'()*+,;=%-]+)(?::\d*)?$/i

/** Whether a text is a host of a URL. Remembers the last valid one, because clients mostly send the same. */
export const makeIsHost = (): (host: string) => boolean => {
  let known = ""
  return (host) => {
    if (host === known && host !== "") return true
    if (!AUTHORITY.test(host) || !URL.canParse(`http://${host}`)) return false
    known = host
    return true
  }
}

/** The absolute form of a request target, which every server must take (RFC 9112, section 3.2.2). */
const ABSOLUTE = /^https?:\/\/([^/?#]*)([^#]*)$/i

/** A type of JSON with parameters: what may follow is the charset, which JSON has but one of. */
const JSON_TYPE = /^(application\/(?:(?:connect|grpc|grpc-web)\+)?json)[ \t]*;(.*)$/i
const UTF8 = /^(?:[ \t]*;)*[ \t]*(?:charset=(?:utf-?8|"utf-?8")[ \t]*)?(?:;[ \t]*)*$/i

/** Of HTTP/2 the authority, too. */
const HOST = /^(?:host|:authority)$/i
const AUTHORIZATION = /^authorization$/i

const MALFORMED = "host header is missing or malformed"

/**
 * Normalizes a request's head for the handlers: the path of an absolute target, one host (that of the target if it has
 * one), and a content type of JSON without `charset="utf-8"` in any notation. Returns what is wrong with the head, for
 * an answer of 400; `undefined` if it is valid.
 */
export const make = (): (request: Request) => string | undefined => {
  const isHost = makeIsHost()

  /** The values of headers whose names match. */
  const valuesOf = (raw: ReadonlyArray<string>, name: RegExp) => {
    const values: Array<string> = []
    for (let i = 0; i < raw.length; i += 2) if (name.test(raw[i]!)) values.push(raw[i + 1]!)
    return values
  }

  /** Of two credentials Node keeps the first, another server on the way perhaps the last: none of them is believed. */
  const readAuthorization = (request: Request): string | undefined =>
    request.headers.authorization !== undefined && valuesOf(request.rawHeaders, AUTHORIZATION).length > 1
      ? "there must be one authorization header"
      : undefined

  const readHost = (request: Request): string | undefined => {
    const hosts = valuesOf(request.rawHeaders, HOST)
    if (!hosts.every(isHost)) return MALFORMED
    if (!("stream" in request)) {
      if (hosts.length > 1) return "there must be one host header"
      request.headers.host ??= NO_HOST
      return undefined
    }
    // An authority and a Host header may both be there, if they agree (RFC 9113, section 8.3.1).
    if (hosts.some((host) => host !== hosts[0])) return "there must be one host"
    if (hosts.length === 0) request.headers[":authority"] = NO_HOST
    return undefined
  }

  const readTarget = (request: Request): string | undefined => {
    if (request.url!.startsWith("/") || "stream" in request) return undefined
    const [, authority, path] = ABSOLUTE.exec(request.url!) ?? []
    if (authority === undefined || path === undefined) return undefined
    if (!isHost(authority)) return "the host of the request target is malformed"
    request.headers.host = authority
    request.url = path.startsWith("/") ? path : `/${path}`
    return undefined
  }

  return (request) => {
    const problem = readHost(request) ?? readTarget(request) ?? readAuthorization(request)
    const [, type, parameters] = JSON_TYPE.exec(request.headers["content-type"] ?? "") ?? []
    if (type !== undefined && UTF8.test(parameters!)) request.headers["content-type"] = type.toLowerCase()
    return problem
  }
}
