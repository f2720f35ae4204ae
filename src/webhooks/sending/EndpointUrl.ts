import * as Either from "effect/Either"
import { InvalidArgument } from "../../domain/InvalidArgument.ts"

const MAX_LENGTH = 2_048

const reject = (reason: string) => Either.left(new InvalidArgument({ field: "url", reason }))

/**
 * Reads an endpoint's URL and returns it in the form of browsers: there a host in decimal or octal digits has become
 * the address that it stands for. Whether its addresses may be called is another question (`AddressRules`).
 */
export const parse = (text: string, allowHttp: boolean): Either.Either<URL, InvalidArgument> => {
  if (text.length > MAX_LENGTH) return reject(`must have at most ${MAX_LENGTH} characters`)
  // The parser drops line breaks and tabs silently.
  const isUrl = !/[\u0000-\u0020\u007f]/.test(text) && URL.canParse(text)
  if (!isUrl) return reject("must be a URL such as https://shop.example/hook")
  const url = new URL(text)
  if (url.protocol !== "https:" && url.protocol !== "http:") return reject("must begin with https://")
  if (url.protocol === "http:" && !allowHttp) {
    return reject("must begin with https://; WEBHOOK_ALLOW_HTTP=on allows http://, for a network of your own")
  }
  if (url.username !== "" || url.password !== "") return reject("must not hold a user or password")
  if (url.port === "0") return reject("must not have the port 0")
  if (url.hash !== "") return reject("must not have a fragment")
  return Either.right(url)
}
