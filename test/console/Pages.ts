import * as Fs from "node:fs"
import * as Path from "node:path"
import { pathToFileURL } from "node:url"
import { brotliCompressSync, gzipSync } from "node:zlib"
import * as ConsoleMount from "../../src/console/ConsoleMount.ts"
import type { ApiKeyStore } from "../../src/security/ApiKeyStore.ts"
import type { SessionStore } from "../../src/security/sessions/SessionStore.ts"
import { memoryStore, type Secured, startSecured } from "../security/Secured.ts"
import { temporaryDirectory } from "../support/guardian.ts"
import { type Reply, request } from "../transport/Stub.ts"

export const INDEX = "<!doctype html><title>console</title>\n"
export const SCRIPT = `export const text = ${JSON.stringify("issue ".repeat(1_000))}\n`
export const SCRIPT_PATH = "/console/assets/main-DkJtrCB7.js"

/** A build of the console as `scripts/console.mjs` leaves it. */
export const built = (): URL => {
  const folder = temporaryDirectory("console")
  Fs.mkdirSync(Path.join(folder, "assets"))
  Fs.writeFileSync(Path.join(folder, ".built"), "")
  Fs.writeFileSync(Path.join(folder, "index.html"), INDEX)
  const script = Path.join(folder, "assets/main-DkJtrCB7.js")
  Fs.writeFileSync(script, SCRIPT)
  Fs.writeFileSync(`${script}.br`, brotliCompressSync(SCRIPT))
  Fs.writeFileSync(`${script}.gz`, gzipSync(SCRIPT))
  return pathToFileURL(`${folder}/`)
}

/** The real server with the real guard, sessions and console, over use cases that echo. */
export const startConsole = (
  environment: Record<string, string> = {},
  stores: { readonly keys?: ApiKeyStore["Type"]; readonly sessions?: SessionStore["Type"] } = {}
): Promise<Secured> =>
  startSecured(environment, stores.keys ?? memoryStore().store, undefined, undefined, {
    mountsOf: ConsoleMount.make(built()),
    ...stores.sessions === undefined ? {} : { sessions: stores.sessions }
  })

/** What a page of the console at this port sends with each call. */
export const own = (port: number): Record<string, string> => ({
  "content-type": "application/json",
  "x-coupon-console": "1",
  origin: `http://127.0.0.1:${port}`
})

export const signIn = (port: number, key: string, headers: Record<string, string> = {}): Promise<Reply> =>
  request(port, { path: "/console/session", headers: { ...own(port), ...headers }, body: JSON.stringify({ key }) })

/** The cookie of an answer, as a browser sends it back. */
export const cookieOf = ({ headers }: Reply): string => headers["set-cookie"]![0]!.split(";", 1)[0]!

export interface Look {
  readonly open: boolean
  readonly signedIn: boolean
  readonly actor?: string
  readonly role?: string
  readonly expiresAt?: string
}

export const look = async (port: number, cookie?: string): Promise<Look & { readonly reply: Reply }> => {
  const headers = { "x-coupon-console": "1", ...cookie === undefined ? {} : { cookie } }
  const reply = await request(port, { method: "GET", path: "/console/session", headers })
  return { ...JSON.parse(reply.body) as Look, reply }
}
