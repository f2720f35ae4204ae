import type { IncomingMessage, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import { protections } from "../../metrics/ProtectionMetrics.ts"
import { requestBegan, requestEnded } from "./ConnectionLimits.ts"
import type { Offences } from "./Offences.ts"

/** Requests of one connection that are begun before their answers are written. */
export const MOST_BEGUN = 8

/**
 * Requests of one connection that are parsed and wait for their turn. Node parses all that one read of a socket brings,
 * up to 64 KiB; a connection that brings more requests than this is cut.
 */
export const MOST_WAITING = 64

/** What Node's parser takes for the start of another protocol: it leaves alone what follows. */
const stopParsing = () => 2

type Serve = (request: IncomingMessage, response: ServerResponse) => void

/** What one connection has unanswered. */
interface Unanswered {
  readonly socket: Socket
  begun: number
  held: boolean
  /** Whether an answer without an end is under way, behind which no other one will ever be written. */
  endless: boolean
  readonly waiting: Array<readonly [IncomingMessage, ServerResponse]>
}

const UNANSWERED = Symbol("unanswered")

/** An answer that is under way. When it is written, Node may have parted its request from the socket already. */
interface Owned extends ServerResponse {
  [UNANSWERED]?: Unanswered
}

interface Counted extends Socket {
  [UNANSWERED]?: Unanswered
  /** Node's own; with `stopParsing` it does not parse the rest of what was read. */
  parser?: { onIncoming?: unknown } | null
}

const stateOf = (socket: Counted): Unanswered => {
  const known = socket[UNANSWERED]
  if (known !== undefined) return known
  const state: Unanswered = { socket, begun: 0, held: false, endless: false, waiting: [] }
  socket[UNANSWERED] = state
  // A resume that was asked for before the hold takes effect after it. Node stops reading at this event.
  socket.on("resume", () => state.held && socket.emit("pause"))
  return state
}

/** Reads nothing more, whatever asks for it meanwhile: each request that is read resumes its socket. */
const hold = (socket: Socket, state: Unanswered) => {
  state.held = true
  socket.pause()
  socket.resume = () => socket
}

/** Not before all but one are answered: the last one's body may be what has still to be read. */
const release = (socket: Socket, state: Unanswered) => {
  state.held = false
  delete (socket as { resume?: unknown }).resume
  socket.resume()
}

/**
 * Says that the answer to a request of HTTP/1.1 lasts. Its client may send nothing more on that connection before that
 * has ended. The connection is read all the same, so that its end is noticed.
 */
export const markEndless = (request: IncomingMessage, response: ServerResponse): void => {
  const state = stateOf(request.socket)
  state.endless = true
  state.waiting.length = 0
  response.once("finish", () => state.endless = false)
}

/**
 * Bounds what one connection over HTTP/1.1 has unanswered: `MOST_BEGUN` requests are begun, and until their answers are
 * written the socket is not read. Clients that wait for their answers notice nothing.
 */
export const make = (serve: Serve, offences: Offences): Serve => {
  const cut = (socket: Counted) => {
    protections.pipelining.add()
    offences.add(socket)
    socket.destroy()
    // 64 KiB of small requests would take 80 ms.
    if (socket.parser?.onIncoming !== undefined) socket.parser.onIncoming = stopParsing
  }
  function answered(this: Owned): void {
    const state = this[UNANSWERED]!
    const { socket } = state
    state.begun--
    requestEnded(socket)
    const next = state.waiting.shift()
    if (next !== undefined) begin(socket, state, next[0], next[1])
    else if (state.held && state.begun <= 1) release(socket, state)
  }
  const begin = (socket: Socket, state: Unanswered, request: IncomingMessage, response: Owned) => {
    if (++state.begun >= MOST_BEGUN && !state.held) hold(socket, state)
    response[UNANSWERED] = state
    response.on("finish", answered)
    requestBegan(socket)
    serve(request, response)
  }
  return (request, response) => {
    const socket: Counted = request.socket
    if (socket.destroyed) return
    const state = stateOf(socket)
    if (state.endless) return cut(socket)
    if (state.begun < MOST_BEGUN) return begin(socket, state, request, response)
    if (state.waiting.length >= MOST_WAITING) return cut(socket)
    state.waiting.push([request, response])
  }
}
