import * as Redacted from "effect/Redacted"
import { InvalidConfiguration } from "../config/AppConfig.ts"
import { parse, showHosts, type HostAddress } from "../config/StoreUrl.ts"

/** The content of `REDIS_URL`. */
export interface RedisTarget {
  /** `Single`: one server. `Sentinel`: the hosts are sentinels. `Cluster`: the hosts are some of its nodes. */
  readonly topology: "Single" | "Sentinel" | "Cluster"
  readonly hosts: ReadonlyArray<HostAddress>
  readonly tls: boolean
  readonly username: string | undefined
  readonly password: Redacted.Redacted<string> | undefined
  readonly database: number
  /** What the sentinels call the primary; empty without them. */
  readonly primary: string
  readonly sentinelUsername: string | undefined
  readonly sentinelPassword: Redacted.Redacted<string> | undefined
}

const topologies: {
  readonly [scheme: string]: readonly [RedisTarget["topology"], tls: boolean, defaultPort: number]
} = {
  "redis": ["Single", false, 6_379],
  "rediss": ["Single", true, 6_379],
  "redis+sentinel": ["Sentinel", false, 26_379],
  "rediss+sentinel": ["Sentinel", true, 26_379],
  "redis+cluster": ["Cluster", false, 6_379],
  "rediss+cluster": ["Cluster", true, 6_379]
}

/**
 * Reads `redis://user:password@host:6379/0`, `redis+sentinel://user:password@host:26379,host:26379/primary/0` (with
 * `?sentinel-username=…&sentinel-password=…` where sentinels ask for them) or
 * `redis+cluster://user:password@host:6379,host:6379`. With `rediss` each speaks TLS. Throws `InvalidConfiguration`,
 * which never repeats the URL: it may hold a password.
 */
export const parseUrl = (url: Redacted.Redacted<string>): RedisTarget => {
  const refuse = (reason: string) => new InvalidConfiguration(`REDIS_URL: ${reason}`)
  const text = Redacted.value(url)
  const scheme = text.slice(0, text.indexOf(":")).toLowerCase()
  if (!Object.hasOwn(topologies, scheme)) {
    throw refuse(`must begin with one of ${Object.keys(topologies).map((one) => `${one}://`).join(", ")}`)
  }
  const [topology, tls, defaultPort] = topologies[scheme]!
  const parsed = parse(text, defaultPort)
  if (parsed === undefined) throw refuse("is not a URL with a host")
  const { hosts, parameters, password, path, username } = parsed
  if (topology === "Single" && hosts.length > 1) {
    throw refuse("names several hosts; write redis+sentinel:// or redis+cluster://")
  }
  const segments = path === "" ? [] : path.split("/")
  const primary = topology === "Sentinel" ? segments.shift() ?? "" : ""
  if (topology === "Sentinel" && primary === "") {
    throw refuse("must name the primary, as in redis+sentinel://host:26379/mymaster")
  }
  const [database = "0", ...rest] = segments
  if (!/^\d{1,5}$/.test(database) || rest.length > 0) throw refuse("has a path that is no number of a database")
  if (topology === "Cluster" && database !== "0") throw refuse("names a database, of which a cluster has only 0")
  for (const name of parameters.keys()) {
    if (topology !== "Sentinel" || !/^sentinel-(?:username|password)$/.test(name)) {
      throw refuse(`has an unknown parameter ${name}`)
    }
  }
  const secret = (value: string | null) => value === null || value === "" ? undefined : Redacted.make(value)
  return {
    topology,
    hosts,
    tls,
    username: username === "" ? undefined : username,
    password: secret(password),
    database: Number(database),
    primary,
    sentinelUsername: parameters.get("sentinel-username") ?? undefined,
    sentinelPassword: secret(parameters.get("sentinel-password"))
  }
}

/** Where it leads, for messages. */
export const showTarget = ({ hosts, primary, topology }: RedisTarget): string =>
  topology === "Sentinel" ? `${primary} of sentinels ${showHosts(hosts)}` : showHosts(hosts)
