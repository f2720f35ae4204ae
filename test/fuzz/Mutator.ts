import { deflateSync, gzipSync } from "node:zlib"

/** A small generator of numbers (mulberry32), so that a seed tells the whole run. */
export const randomOf = (seed: number) => {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = (n: number) => Math.floor(next() * n)
  const pick = <A>(all: ReadonlyArray<A>): A => all[below(all.length)]!
  return { next, below, pick, chance: (p: number) => next() < p }
}
export type Random = ReturnType<typeof randomOf>

/** A request before it is written in a version of HTTP. */
export interface Asked {
  readonly method: string
  readonly path: string
  readonly headers: ReadonlyArray<readonly [string, string]>
  readonly body: Buffer
}

const INTERESTING = [
  "0", "-1", "1", "9007199254740993", "9223372036854775807", "9223372036854775808", "1e400", "null", "true", "{}", "[]",
  "\"\"", "\"\\u0000\"", "\"\\ud800\"", "NaN", "\"__proto__\"", "\"constructor\"", "1.5", "\"2025-13-45T99:99:99Z\"",
  "\"' OR 1=1 --\"", "\"../../etc/passwd\""
]

/** Bytes that are nearly what they were. */
export const mutateBytes = (random: Random, bytes: Buffer): Buffer => {
  const copy = Buffer.from(bytes)
  switch (random.below(9)) {
    case 0:
      return copy
    case 1: // flip bits
      for (let n = 1 + random.below(4); n > 0 && copy.length > 0; n--) {
        copy[random.below(copy.length)]! ^= 1 << random.below(8)
      }
      return copy
    case 2: // cut
      return copy.subarray(0, random.below(copy.length + 1))
    case 3: // repeat a part
      return Buffer.concat([copy, copy.subarray(random.below(copy.length + 1))])
    case 4: // insert rubbish
      return Buffer.concat([
        copy.subarray(0, copy.length / 2),
        Buffer.from(Array.from({ length: random.below(32) }, () => random.below(256))),
        copy.subarray(copy.length / 2)
      ])
    case 5: // another value in place of a number or string
      return Buffer.from(
        copy.toString("latin1").replace(
          /\d+|"[^"]*"/g,
          (value) => random.chance(0.4) ? random.pick(INTERESTING) : value
        ),
        "latin1"
      )
    case 6: // nested deeply
      return Buffer.from(
        "[".repeat(random.below(3_000)) + copy.toString("latin1") + "]".repeat(random.below(3_000)),
        "latin1"
      )
    case 7: // large
      return Buffer.alloc(random.below(70_000), random.pick(["a", "{", "\u0000", "\u00ff", "[", "\"", " "]))
    default: // an envelope's length that lies
      if (copy.length >= 5) copy.writeUInt32BE(random.pick([0, 1, 0x7fffffff, 0xffffffff, copy.length]), 1)
      return copy
  }
}

const VALUES = [
  "",
  "0",
  "-1",
  "1",
  "99999999999",
  "gzip",
  "br",
  "deflate",
  "identity",
  "x".repeat(4_000),
  "\u00e9\u00ff",
  "application/json",
  "application/grpc",
  "application/grpc-web+json",
  "application/connect+proto",
  "1S",
  "1n",
  "99999999H",
  "Bearer ",
  "Bearer cpn_",
  `Bearer cpn_0123456789abcdef_${"A".repeat(43)}`,
  "Basic x",
  "Bearer a.b.c",
  "trailers",
  "*/*",
  "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  "1;q=x",
  "null"
]

const NAMES = [
  "content-type", "content-encoding", "accept-encoding", "connect-timeout-ms", "connect-protocol-version",
  "grpc-timeout", "grpc-encoding", "grpc-accept-encoding", "authorization", "te", "origin", "accept", "x-grpc-web",
  "traceparent", "tracestate", "x-forwarded-for", "cookie", "range", "if-none-match", "access-control-request-method",
  "x-user-agent", "host"
]

const QUERIES = [
  "connect=v1&encoding=json&message=%7B%7D", "connect=v1&encoding=proto&base64=1&message=CAEQAQ", "message=%",
  "encoding=json", "connect=v2&message=x&compression=gzip"
]

/** A request that is nearly what it was. */
export const mutate = (random: Random, asked: Asked): Asked => {
  let { body, headers, method, path } = asked
  for (let n = 1 + random.below(3); n > 0; n--) {
    switch (random.below(8)) {
      case 0:
      case 1:
      case 2:
        body = mutateBytes(random, body)
        break
      case 3:
        headers = [...headers.filter(([name]) => !random.chance(0.2) || name === "host"), [
          random.pick(NAMES),
          random.pick(VALUES)
        ]]
        break
      case 4:
        headers = headers.map(([name, value]) => [name, random.chance(0.3) ? random.pick(VALUES) : value] as const)
        break
      case 5:
        method = random.pick(["POST", "GET", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "POST"])
        break
      case 6:
        path = random.pick([
          path.slice(0, random.below(path.length) + 1),
          `${path}/`,
          `${path}?${random.pick(QUERIES)}`,
          path.toLowerCase(), `/..${path}`, `http://x${path}`, `HTTPS://[::1]:0${path}?`, `http://u@${path}`, "http:",
          "//", "/%00", "/operator/rpc", "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch2",
          "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "*"
        ])
        break
      default: {
        const pack = random.pick([gzipSync, deflateSync])
        body = random.chance(0.5) ? pack(body) : mutateBytes(random, pack(body))
        headers = [...headers, [random.pick(["content-encoding", "grpc-encoding"]), "gzip"]]
      }
    }
  }
  return { method, path, headers, body }
}
