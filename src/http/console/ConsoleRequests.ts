import type { BlockList } from "node:net"
import * as CredentialMetrics from "../../metrics/CredentialMetrics.ts"
import * as ClientAddress from "../../rpc/admission/ClientAddress.ts"
import type { Request } from "../../rpc/Request.ts"
import * as SessionCookie from "./SessionCookie.ts"

/**
 * The header that every call of the console has, with the value `1`. No form and no link can send it, and no page of
 * another origin: it takes a preflight, and `Cors` allows it to none.
 */
export const HEADER = "x-coupon-console"

/** Types that no form can send. A body of any other type is none of the console's. */
const OWN_TYPE = /^application\/(json|proto|connect\+json|connect\+proto|ndjson)(;|$)/i

const isSameOrigin = (origin: string, host: string): boolean => {
  if (!URL.canParse(origin)) return false
  const page = new URL(origin)
  const own = `${page.protocol}//${host}`
  return URL.canParse(own) && page.host === new URL(own).host
}

/** Tells the console's requests from those that another page makes a browser send along with its cookies. */
export interface ConsoleRequests {
  /** Whether the browser came by TLS: to this port, to a trusted proxy in front, or as it says itself by `Origin`. */
  readonly isSecure: (request: Request) => boolean
  /** The token in the request's cookie, as `SessionCookie.tokenOf` has it. It proves nothing about who sent it. */
  readonly tokenOf: (request: Request) => string | undefined
  /** Why a request is not one that the console's own page has sent; `undefined`: it is. */
  readonly foreignness: (request: Request) => string | undefined
  /**
   * Puts the cookie of a call of the console in the place of its header `Authorization`, which all guards read.
   * Returns why the call is rejected; `undefined`: it is not. A call without the console's header is left as it is.
   */
  readonly authorize: (request: Request) => string | undefined
}

/** `tls`: whether this port speaks TLS itself. */
export const make = (trusted: BlockList, tls: boolean): ConsoleRequests => {
  const isFromTrusted = ClientAddress.makeIsFromTrusted(trusted)

  const isSecure = (request: Request): boolean =>
    tls || request.headers.origin?.startsWith("https://") === true ||
    (request.headers["x-forwarded-proto"] === "https" && isFromTrusted(request))

  const tokenOf = (request: Request) => SessionCookie.tokenOf(request, isSecure(request))

  const foreignness = (request: Request): string | undefined => {
    const { headers } = request
    if (headers[HEADER] !== "1") return `a call of the console has the header ${HEADER}: 1`
    const site = headers["sec-fetch-site"]
    const { origin } = headers
    // A page cannot set either of them. Browsers send the first one to origins with TLS and to loopback.
    if (site !== undefined) {
      if (site !== "same-origin") return "the call comes from a page of another site"
    } else if (origin !== undefined) {
      const host = headers.host ?? headers[":authority"]
      if (!isSameOrigin(origin, String(host))) return "the call comes from a page of another origin"
    } else if (request.method !== "GET" && request.method !== "HEAD") return "the call does not say where it comes from"
    return request.method === "POST" && !OWN_TYPE.test(headers["content-type"] ?? "")
      ? "the content type is none that the console sends"
      : undefined
  }

  return {
    isSecure,
    tokenOf,
    foreignness: (request) => {
      const reason = foreignness(request)
      if (reason !== undefined) CredentialMetrics.rejections.cross_site.add()
      return reason
    },
    authorize: (request) => {
      const { headers } = request
      if (headers[HEADER] !== "1") return undefined
      const token = tokenOf(request)
      if (token === undefined) return undefined
      const reason = request.method === "POST" ? foreignness(request) : "the console sends its calls by POST"
      if (reason !== undefined) {
        CredentialMetrics.rejections.cross_site.add()
        return reason
      }
      if (headers.authorization !== undefined) return "send the cookie of a session, or an Authorization header"
      headers.authorization = `Bearer ${token}`
      return undefined
    }
  }
}
