import * as Redacted from "effect/Redacted"
import * as Net from "node:net"
import { InvalidConfiguration } from "../../../config/AppConfig.ts"
import { parse, showHosts, type HostAddress } from "../../../config/StoreUrl.ts"

/** Where the database is and how to reach it; the parts of `MYSQL_URL`. */
export interface Endpoint {
  /** Servers that hold the same data. Of several, one at a time takes writes. */
  readonly hosts: ReadonlyArray<HostAddress>
  readonly database: string
  readonly username: string
  readonly password: Redacted.Redacted
  readonly ssl: {
    readonly rejectUnauthorized: boolean
    readonly verifyIdentity: boolean
    readonly ca?: string
  } | undefined
}

const sslModes: { readonly [mode: string]: Endpoint["ssl"] } = {
  DISABLED: undefined,
  REQUIRED: { rejectUnauthorized: false, verifyIdentity: false },
  VERIFY_CA: { rejectUnauthorized: true, verifyIdentity: false },
  VERIFY_IDENTITY: { rejectUnauthorized: true, verifyIdentity: true }
}

const DEFAULT_PORT = 3_306

/**
 * Takes `mysql://user:password@host:port,host:port/database?ssl-mode=REQUIRED` apart (`ssl-mode` is DISABLED unless
 * given, REQUIRED, VERIFY_CA or VERIFY_IDENTITY, as mysql's own clients have it; `ca`: certificates to trust instead of
 * Node's, in PEM). Throws `InvalidConfiguration`, which never repeats the URL: it may hold a password.
 */
export const parseUrl = (
  url: Redacted.Redacted<string>,
  options: { readonly name?: string; readonly ca?: string | undefined } = {}
): Endpoint => {
  const refuse = (reason: string) => new InvalidConfiguration(`${options.name ?? "MYSQL_URL"}: ${reason}`)
  const parsed = parse(Redacted.value(url), DEFAULT_PORT)
  if (parsed === undefined) throw refuse("is not a URL with a host")
  const { hosts, parameters, password, path, username } = parsed
  if (path === "" || path.includes("/")) {
    throw refuse("must name a database, as in mysql://user:password@host:3306/coupon")
  }
  for (const name of parameters.keys()) {
    if (name !== "ssl-mode") throw refuse(`has an unknown parameter ${name}; the only one is ssl-mode`)
  }
  const mode = (parameters.get("ssl-mode") ?? "DISABLED").toUpperCase()
  if (!Object.hasOwn(sslModes, mode)) throw refuse(`ssl-mode must be one of ${Object.keys(sslModes).join(", ")}`)
  const ssl = sslModes[mode]
  // The driver would compare the certificate with "localhost".
  if (ssl?.verifyIdentity === true && hosts.some(({ host }) => Net.isIP(host) !== 0)) {
    throw refuse("VERIFY_IDENTITY needs hosts by name, not by address; VERIFY_CA does not")
  }
  return {
    hosts,
    database: path,
    username,
    password: Redacted.make(password),
    ssl: ssl === undefined || options.ca === undefined ? ssl : { ...ssl, ca: options.ca }
  }
}

/** `host:port` of `MYSQL_URL`, or several of them, for messages. */
export const address = (url: Redacted.Redacted<string>): string =>
  showHosts(parse(Redacted.value(url), DEFAULT_PORT)?.hosts ?? [])
