import type { Request } from "../rpc/Request.ts"

/** Hands over a body of at most so many bytes when it is complete, else `undefined` once. The rest is dropped. */
export const read = (request: Request, mostBytes: number, done: (body: string | undefined) => void): void => {
  const chunks: Array<Buffer> = []
  let bytes = 0
  let isOver = false
  const finish = (body: string | undefined) => {
    if (isOver) return
    isOver = true
    done(body)
  }
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes <= mostBytes) chunks.push(chunk)
    else finish(undefined)
  })
  // A stream of HTTP/2 that is reset in the middle of its body ends as one that is complete.
  request.once("end", () => {
    if (!request.aborted) finish(Buffer.concat(chunks).toString())
  })
}
