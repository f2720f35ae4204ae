import type { Request, Response } from "../rpc/Request.ts"
import * as BrowserHeaders from "./BrowserHeaders.ts"

/** Answers a request. `draining` is aborted when the server begins to drain, which waits for open answers. */
export type Handler = (request: Request, response: Response, draining: AbortSignal) => void

/** A handler with the headers for browsers that its answers have. */
export interface Mount {
  readonly handler: Handler
  readonly headers: BrowserHeaders.BrowserHeaders
}

/**
 * What the port serves besides RPCs, by path prefix (`/metrics`: that path and all below `/metrics/`); the longest
 * prefix wins. A handler alone has the headers of the API (`BrowserHeaders.api`).
 */
export type Mounts = Readonly<Record<string, Handler | Mount>>

/** A mount in its full form. */
export const mountOf = (mount: Handler | Mount): Mount =>
  typeof mount === "function" ? { handler: mount, headers: BrowserHeaders.api } : mount

/** Finds the mount of a path, if there is one. */
export const finder = (mounts: Mounts): (path: string) => Mount | undefined => {
  const sorted = Object.entries(mounts)
    .sort(([a], [b]) => b.length - a.length)
    .map(([prefix, mount]) => ({ prefix, below: `${prefix}/`, mount: mountOf(mount) }))
  return (path) => sorted.find(({ below, prefix }) => path === prefix || path.startsWith(below))?.mount
}
