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

// The password ends at the last @ before the path, as in URL. A later @ belongs to a password with an unencoded / or ?:
// then the password's first part would be read as a port and shown in messages.
const PARTS = /^([a-z][a-z0-9+.-]*):\/\/(?:([^/?#]*)@)?([^/?#@]+)(?:\/([^?#@]*))?(?:\?([^#@]*))?$/i
const HOST = /^(\[[0-9a-f:.]+\]|[^:[\]\s]+)(?::(\d{1,5}))?$/i

/**
 * Parses `scheme://user:password@host:port,host:port/path?name=value`: a URL that may have several hosts, which the
 * class `URL` does not support. `undefined` if the text has another form.
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
    // A % without a valid code after it.
    return undefined
  }
}

/** `host:port`, with brackets where an IPv6 address needs them. */
export const showHost = ({ host, port }: HostAddress): string => `${host.includes(":") ? `[${host}]` : host}:${port}`

/** All of them, separated by commas. */
export const showHosts = (hosts: ReadonlyArray<HostAddress>): string => hosts.map(showHost).join(",")
