/** How long clients may take, in milliseconds. */
export interface Patience {
  /** For a connection's first bytes, a TLS handshake, and the headers of any request. */
  readonly headers: number
  /** For a whole request: headers and at most 1 MiB of body. */
  readonly request: number
  /** Between two requests on a connection of HTTP/1.1. */
  readonly keepAlive: number
  /** For an HTTP/2 connection without a byte. Then the server sends GOAWAY. */
  readonly http2Idle: number
  /** For a client to take 64 KiB of an answer. */
  readonly reading: number
}

export const DEFAULT_PATIENCE: Patience = {
  headers: 10_000,
  request: 30_000,
  // Longer than the 60 s that load balancers keep an idle connection: the side that opened it closes it.
  keepAlive: 65_000,
  http2Idle: 300_000,
  reading: 30_000
}
