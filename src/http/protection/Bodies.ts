import { IncomingMessage } from "node:http"
import { constants, type ServerHttp2Stream } from "node:http2"
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
  /**
   * Bounds the body of a stream of HTTP/2, whose client is given. Where there is no room for it, the stream is ended;
   * of one that is `proxied` nothing is read until there is. Its client would open another as soon as this one ended,
   * and the connection, which carries others, cannot be ended.
   */
  readonly guard: (stream: ServerHttp2Stream, client: number, proxied: boolean) => void
}

/** What a chunk takes besides its bytes: a buffer and its place in a queue. */
const CHUNK_BYTES = 256

/** Bodies as small as those of claims are not counted; their number is bounded. */
const UNCOUNTED_BYTES = 2_048

/** So many chunks are taken of any size; of more, the average has to be as large as this. */
const ANY_CHUNKS = 256
const LEAST_AVERAGE_BYTES = 32

/** How often room is looked for anew. */
const WAIT_MILLIS = 50

/** Of a stream that waits. A proxy's chunks are longer, so that fewer of them fill its window. */
const MOST_LATE = 64

const ignore = () => {}

/** How a body goes on. */
type Verdict = "Taken" | "TinyChunks" | "NoRoom"

interface Meter {
  received: number
  chunks: number
  held: number
}

const METER = Symbol("meter")

/** A chunk, or the end of the body. */
type Late = readonly [chunk: Buffer | null, encoding: BufferEncoding | undefined]

interface StreamMeter extends Meter {
  readonly client: number
  readonly proxied: boolean
  /** What arrived while there was no room: at most the stream's window. `null`: its end. */
  readonly late: Array<Late>
}

type Metered = ServerHttp2Stream & { [METER]?: StreamMeter }

/** `clientOf`: as `ClientAddresses.ofRequest`. */
export const make = (options: {
  readonly clientOf: (request: IncomingMessage) => number
  readonly held: Shares
  readonly offences: Offences
}): Bodies => {
  const { clientOf, held, offences } = options

  const areTiny = (meter: Meter) =>
    meter.chunks > ANY_CHUNKS && meter.received < meter.chunks * LEAST_AVERAGE_BYTES

  /** Takes the room for all that was received. */
  const hasRoom = (meter: Meter, clientOfIt: () => number, onEnd: (release: () => void) => void) => {
    const bytes = meter.received + meter.chunks * CHUNK_BYTES
    if (bytes <= UNCOUNTED_BYTES) return true
    const client = clientOfIt()
    if (!held.take(client, bytes - meter.held)) return false
    if (meter.held === 0) {
      onEnd(() => {
        held.give(client, meter.held)
        meter.held = 0
      })
    }
    meter.held = bytes
    return true
  }

  const measure = (
    meter: Meter,
    length: number,
    clientOfIt: () => number,
    onEnd: (release: () => void) => void
  ): Verdict => {
    meter.received += length
    meter.chunks++
    if (areTiny(meter)) return "TinyChunks"
    return hasRoom(meter, clientOfIt, onEnd) ? "Taken" : "NoRoom"
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

  const waiting = new Set<Metered>()
  let timer: NodeJS.Timeout | undefined

  const pushOf = (stream: Metered) => (Object.getPrototypeOf(stream) as ServerHttp2Stream).push

  const onEndOf = (stream: Metered) => (release: () => void) => stream.once("close", release)

  /** Goes on with streams for which there is room by now. */
  const goOn = () => {
    timer = undefined
    for (const stream of waiting) {
      const meter = stream[METER]!
      if (stream.destroyed) {
        waiting.delete(stream)
        continue
      }
      if (!hasRoom(meter, () => meter.client, onEndOf(stream))) continue
      waiting.delete(stream)
      const [first, ...more] = meter.late.splice(0)
      // The first was counted when it came.
      pushOf(stream).call(stream, ...first!)
      for (const [chunk, encoding] of more) stream.push(chunk, encoding)
    }
    if (waiting.size > 0) goOnLater()
  }

  const goOnLater = () => {
    timer ??= setTimeout(goOn, WAIT_MILLIS).unref()
  }

  const wait = (stream: Metered, ...late: Late) => {
    stream[METER]!.late.push(late)
    waiting.add(stream)
    goOnLater()
  }

  function push(this: Metered, chunk: Buffer | null, encoding?: BufferEncoding): boolean {
    const meter = this[METER]!
    if (waiting.has(this)) {
      if (meter.late.push([chunk, encoding]) > MOST_LATE) this.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)
      return false
    }
    if (chunk === null) return pushOf(this).call(this, chunk, encoding)
    const verdict = measure(meter, chunk.length, () => meter.client, onEndOf(this))
    if (verdict === "Taken") return pushOf(this).call(this, chunk, encoding)
    if (this.destroyed || this.closed) return false
    const { session } = this
    cut(verdict, session?.socket)
    // Tiny frames are an attack; for want of room, others on the connection go on.
    if (verdict === "NoRoom") {
      if (meter.proxied) wait(this, chunk, encoding)
      else this.destroy()
    } else if (meter.proxied) this.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)
    else session?.destroy()
    return false
  }

  return {
    IncomingMessage: Bounded,
    guard: (stream, client, proxied) => {
      const metered = stream as Metered
      metered[METER] = { received: 0, chunks: 0, held: 0, client, proxied, late: [] }
      metered.push = push
    }
  }
}
