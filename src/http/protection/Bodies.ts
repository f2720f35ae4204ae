import { IncomingMessage } from "node:http"
import type { ServerHttp2Stream } from "node:http2"
import type { Socket } from "node:net"
import { protections } from "../../metrics/ProtectionMetrics.ts"
import type { Shares } from "../../rpc/admission/Shares.ts"
import type { Offences } from "./Offences.ts"

/**
 * Bounds what bodies take while their end is awaited, whatever reads them: their bytes, and the objects that each chunk
 * costs. Over HTTP/1.1 a chunk, and over HTTP/2 a frame, may have one byte.
 */
export interface Bodies {
  /** Node's class of requests over HTTP/1.1, whose bodies are bounded. */
  readonly IncomingMessage: typeof IncomingMessage
  /** Bounds the body of a stream of HTTP/2, whose client is given. */
  readonly guard: (stream: ServerHttp2Stream, client: number) => void
}

/** What a chunk takes besides its bytes: a buffer and its place in a queue. */
const CHUNK_BYTES = 256

/** Bodies as small as those of claims are not counted; their number is bounded. */
const UNCOUNTED_BYTES = 2_048

/** So many chunks are taken of any size; of more, the average has to be as large as this. */
const ANY_CHUNKS = 256
const LEAST_AVERAGE_BYTES = 32

const ignore = () => {}

/** How a body goes on. */
type Verdict = "Taken" | "TinyChunks" | "NoRoom"

interface Meter {
  received: number
  chunks: number
  held: number
}

const METER = Symbol("meter")

type Metered = ServerHttp2Stream & { [METER]?: Meter & { readonly client: number } }

/** `clientOf`: as `ClientAddresses.ofRequest`. */
export const make = (options: {
  readonly clientOf: (request: IncomingMessage) => number
  readonly held: Shares
  readonly offences: Offences
}): Bodies => {
  const { clientOf, held, offences } = options

  const measure = (
    meter: Meter,
    length: number,
    clientOfIt: () => number,
    onEnd: (release: () => void) => void
  ): Verdict => {
    meter.received += length
    meter.chunks++
    if (meter.chunks > ANY_CHUNKS && meter.received < meter.chunks * LEAST_AVERAGE_BYTES) return "TinyChunks"
    const bytes = meter.received + meter.chunks * CHUNK_BYTES
    if (bytes <= UNCOUNTED_BYTES) return "Taken"
    const client = clientOfIt()
    if (!held.take(client, bytes - meter.held)) return "NoRoom"
    if (meter.held === 0) {
      onEnd(() => {
        held.give(client, meter.held)
        meter.held = 0
      })
    }
    meter.held = bytes
    return "Taken"
  }

  const cut = (verdict: Exclude<Verdict, "Taken">, socket: Socket | undefined) => {
    if (verdict === "NoRoom") return protections.bytes.add()
    protections.tinyChunks.add()
    if (socket !== undefined) offences.add(socket)
  }

  class Bounded extends IncomingMessage implements Meter {
    received = 0
    chunks = 0
    held = 0

    /**
     * Node emits the error of a client that left only if there is a listener, and a turn later, when a reader that has
     * finished may have removed the last one: that would end the process.
     */
    override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
      if (error !== null) this.on("error", ignore)
      super._destroy(error, callback)
    }

    /** Node calls this for each chunk that its parser found, and with `null` for the end. */
    override push(chunk: Buffer | null, encoding?: BufferEncoding): boolean {
      if (chunk === null) return super.push(chunk, encoding)
      const verdict = measure(this, chunk.length, () => clientOf(this), (release) => this.once("close", release))
      if (verdict === "Taken") return super.push(chunk, encoding)
      const { socket } = this
      if (socket.destroyed) return false
      cut(verdict, socket)
      socket.destroy()
      return false
    }
  }

  function push(this: Metered, chunk: Buffer | null, encoding?: BufferEncoding): boolean {
    const proto = Object.getPrototypeOf(this) as ServerHttp2Stream
    const meter = this[METER]!
    if (chunk === null) return proto.push.call(this, chunk, encoding)
    const verdict = measure(meter, chunk.length, () => meter.client, (release) => this.once("close", release))
    if (verdict === "Taken") return proto.push.call(this, chunk, encoding)
    if (this.destroyed || this.closed) return false
    const { session } = this
    cut(verdict, session?.socket)
    // Tiny frames are an attack; for want of room, others on the connection, a proxy's perhaps, go on.
    if (verdict === "TinyChunks") session?.destroy()
    else this.destroy()
    return false
  }

  return {
    IncomingMessage: Bounded,
    guard: (stream, client) => {
      const metered = stream as Metered
      metered[METER] = { received: 0, chunks: 0, held: 0, client }
      metered.push = push
    }
  }
}
