import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { readFileSync } from "node:fs"
import type * as net from "node:net"
import { createSecureContext } from "node:tls"
import type { AppConfig } from "../../config/AppConfig.ts"

/** HOST and PORT cannot be listened on; `message` says what to do. */
export class ListenFailed extends Data.TaggedError("ListenFailed")<{
  readonly message: string
  readonly cause: unknown
}> {}

/** Listens on the address. `reusePort`: other sockets of this process will listen there too. */
export const listen = (
  server: net.Server,
  { host, port, reusePort, setting }: {
    readonly host: string
    readonly port: number
    readonly reusePort: boolean
    /** That names the port. */
    readonly setting: "PORT" | "ADMIN_PORT"
  }
): Effect.Effect<net.AddressInfo, ListenFailed> =>
  Effect.async<net.AddressInfo, ListenFailed>((resume) => {
    const onError = (cause: NodeJS.ErrnoException) => {
      const why = cause.code === "EADDRINUSE"
        ? `something else listens there; stop it, or set ${setting} to another one (0 picks a free one)`
        : cause.code === "EACCES"
        ? `this user may not; set ${setting} to 1024 or more`
        : cause.code === "EADDRNOTAVAIL" || cause.code === "ENOTFOUND"
        ? `this machine has no such address; set ${setting === "PORT" ? "HOST" : "ADMIN_HOST"}`
        : cause.message
      resume(Effect.fail(new ListenFailed({ message: `cannot listen on ${host} port ${port}: ${why}`, cause })))
    }
    server.once("error", onError)
    // A burst of new connections waits here while the process is busy; the kernel caps it at somaxconn.
    server.listen({ host, port, backlog: 4_096, reusePort }, () => {
      server.removeListener("error", onError)
      resume(Effect.succeed(server.address() as net.AddressInfo))
    })
  })

/** A certificate and its key, in PEM. */
export interface Credentials {
  readonly cert: Buffer
  readonly key: Buffer
}

/** The contents of TLS_CERT_FILE and TLS_KEY_FILE; `undefined`: the port speaks plain HTTP. */
export const credentials = (config: AppConfig["Type"]): Effect.Effect<Credentials | undefined, ListenFailed> => {
  if (Option.isNone(config.tlsCertFile) || Option.isNone(config.tlsKeyFile)) return Effect.succeed(undefined)
  const [certFile, keyFile] = [config.tlsCertFile.value, config.tlsKeyFile.value]
  return Effect.try({
    try: () => {
      const pair = { cert: readFileSync(certFile), key: readFileSync(keyFile) }
      // Fails at the start, with a clear message, instead of at the first connection.
      createSecureContext(pair)
      return pair
    },
    catch: (cause) =>
      new ListenFailed({ message: `TLS_CERT_FILE and TLS_KEY_FILE cannot be used: ${(cause as Error).message}`, cause })
  })
}
