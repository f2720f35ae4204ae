import type { Request } from "../../rpc/Request.ts"

/** Over TLS the name begins so: then no other host, and no page without TLS, can have set it. */
const SECURE = "__Host-coupon_session"
const PLAIN = "coupon_session"

const TOKEN = /^cps_[\w-]{43}$/

/** The values of the cookies with a name. Node joins several `Cookie` headers. */
const valuesOf = (header: string, name: string): ReadonlyArray<string> =>
  header.split(";").flatMap((pair) => {
    const [key, value] = pair.split("=", 2)
    return key!.trim() === name && value !== undefined ? [value.trim()] : []
  })

/**
 * The token of the session in a request's cookie; `undefined`: there is none, or there are several, of which one may be
 * another site's. `isSecure`: whether the browser came by TLS, where only the cookie of that kind counts.
 */
export const tokenOf = (request: Request, isSecure: boolean): string | undefined => {
  const header = request.headers.cookie
  if (header === undefined) return undefined
  const secure = valuesOf(header, SECURE)
  const values = secure.length > 0 || isSecure ? secure : valuesOf(header, PLAIN)
  return values.length === 1 && TOKEN.test(values[0]!) ? values[0] : undefined
}

const attributes = (isSecure: boolean) => `Path=/; HttpOnly; SameSite=Strict${isSecure ? "; Secure" : ""}`

/** A `Set-Cookie` that keeps the token for so long. */
export const set = (token: string, lifeSeconds: number, isSecure: boolean): string =>
  `${isSecure ? SECURE : PLAIN}=${token}; ${attributes(isSecure)}; Max-Age=${lifeSeconds}`

/** A `Set-Cookie` that removes it. */
export const remove = (isSecure: boolean): string =>
  `${isSecure ? SECURE : PLAIN}=; ${attributes(isSecure)}; Max-Age=0`
