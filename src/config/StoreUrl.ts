/** Where a store listens. */
export interface HostAddress {
  readonly host: string
  readonly port: number
}

export const sameHost = (one: HostAddress | undefined, other: HostAddress | undefined): boolean =>
  one?.host === other?.host && one?.port === other?.port

/** The parts of a store's URL, decoded. */
export interface StoreUrl {
  /** In lower case, without the colon. */
  readonly scheme: string
  readonly username: string
  readonly password: string
  /** At least one. */
  readonly hosts: ReadonlyArray<HostAddress>
  /** Without the slash at its beginning. */
  readonly path: string
  readonly parameters: URLSearchParams
}

// The last @ before the path ends the password, as in URL. An @ after that is of a password with an unencoded / or ?, whose first part
// would be taken for a port and shown.
const PARTS = /^([a-z][a-z0-9+.-]*):\/\/(?:([^/?#]*)@)?([^/?#@]+)(?:\/([^?#@]*))?(?:\?([^#@]*))?$/i
const HOST = /^(\[[0-9a-f:.]+\]|[^:[\]\s]+)(?::(\d{1,5}))?$/i

/**
 * Takes `scheme://user:password@host:port,host:port/path?name=value` apart: a URL, but for the several hosts, of which the class
 * `URL` knows nothing. `undefined` if it is not of this form.
 */
export const parse = (text: string, defaultPort: number): StoreUrl | undefined => {
  const [, scheme, userinfo = "", authority, path = "", query = ""] = PARTS.exec(text.trim()) ?? []
  if (scheme === undefined || authority === undefined) return undefined
  const hosts: Array<HostAddress> = []
  for (const part of authority.split(",")) {
    const [, host, port] = HOST.exec(part) ?? []
    if (host === undefined || Number(port ?? defaultPort) > 65_535) return undefined
    hosts.push({ host: host.replace(/^\[(.*)\]$/, "$1"), port: Number(port ?? defaultPort) })
  }
  const colon = userinfo.indexOf(":")
  try {
    return {
      scheme: scheme.toLowerCase(),
      username: decodeURIComponent(colon < 0 ? userinfo : userinfo.slice(0, colon)),
      password: decodeURIComponent(colon < 0 ? "" : userinfo.slice(colon + 1)),
      hosts,
      path: decodeURIComponent(path),
      parameters: new URLSearchParams(query)
    }
  } catch {
    // A % that begins no code.
    return undefined
  }
}

/** `host:port`, with brackets where an IPv6 address needs them. */
export const showHost = ({ host, port }: HostAddress): string => `${host.includes(":") ? `[${host}]` : host}:${port}`

/** All of them, separated by commas. */
export const showHosts = (hosts: ReadonlyArray<HostAddress>): string => hosts.map(showHost).join(",")
