import type { Request, Response } from "../rpc/Request.ts"

/**
 * Other things served on the same port, by path prefix (`/metrics`: it and all below `/metrics/`); the longest prefix wins.
 * `draining` is aborted when the server begins to drain, which waits for answers that are still being written.
 */
export type Mounts = Readonly<Record<string, (request: Request, response: Response, draining: AbortSignal) => void>>
