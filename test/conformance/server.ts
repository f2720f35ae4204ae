// The program that Connect's conformance suite tests: the service's own transport (lane, adapter, HTTP/1.1 and HTTP/2
// on one port) with the suite's service in place of ours. It reads what the suite wants from stdin, answers on stdout
// where it listens, and ends on SIGTERM.
import { create, fromBinary } from "@bufbuild/protobuf"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { readSync, writeSync } from "node:fs"
import * as AppConfig from "../../src/config/AppConfig.ts"
import type { UseCases } from "../../src/rpc/Startup.ts"
import { Startup } from "../../src/rpc/Startup.ts"
import * as Guard from "../../src/security/Guard.ts"
import * as Server from "../../src/http/Server.ts"
import { delimited, routes } from "./conformanceRoutes.ts"
import {
  ServerCompatRequestSchema,
  ServerCompatResponseSchema
} from "./gen/connectrpc/conformance/v1/server_compat_pb.ts"

const read = (length: number): Buffer => {
  const bytes = Buffer.alloc(length)
  for (let at = 0; at < length;) {
    const count = readSync(0, bytes, at, length - at, null)
    if (count === 0) throw new Error("stdin ended early")
    at += count
  }
  return bytes
}

const wanted = fromBinary(ServerCompatRequestSchema, read(read(4).readUInt32BE()))
if (wanted.useTls) throw new Error("this server speaks no TLS: the suite's configuration must not ask for it")

// Never looked at: the conformance routes need no store.
const startup = Layer.succeed(Startup, { current: () => ({ guard: Guard.open }) as UseCases, waitingFor: () => [] })
const config = AppConfig.layerTest({
  PORT: "0",
  HOST: "127.0.0.1",
  MAX_BODY_BYTES: String(wanted.messageReceiveLimit === 0 ? 1_048_576 : wanted.messageReceiveLimit)
})

const announce = Layer.effectDiscard(Effect.map(Server.Listener, ({ host, port }) => {
  writeSync(1, delimited(ServerCompatResponseSchema, create(ServerCompatResponseSchema, { host, port })))
}))

NodeRuntime.runMain(Layer.launch(announce.pipe(
  Layer.provide(Server.layerWith({}, routes)),
  Layer.provide([startup, config]),
  Layer.provide(Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.logfmtLogger)))
)))
