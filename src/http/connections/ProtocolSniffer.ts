import type { Socket } from "node:net"

/** How every HTTP/2 connection begins (RFC 9113, section 3.4); no HTTP/1.1 request can. */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n")

/**
 * Reads just enough of a new connection to tell HTTP/2 from HTTP/1.1, puts it back, and hands the socket on. A client
 * that does not say enough within `timeoutMillis` is cut off. `decided` is not called for a socket that closes before.
 *
 * Node's HTTP/1.1 parser reads an untouched handle natively, without JavaScript per chunk; a socket that was read from
 * and unshifted keeps that, so the cost is once a connection, not once a request.
 */
export const sniff = (socket: Socket, timeoutMillis: number, decided: (protocol: "http1" | "http2") => void): void => {
  let seen = 0
  const timer = setTimeout(() => socket.destroy(), timeoutMillis)
  const done = () => {
    clearTimeout(timer)
    socket.removeListener("data", onData)
    socket.removeListener("end", onEnd)
    socket.removeListener("close", done)
  }
  const chunks: Array<Buffer> = []
  const decide = (protocol: "http1" | "http2") => {
    done()
    socket.pause()
    socket.unshift(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks))
    // The server that takes the socket handles its errors.
    socket.removeListener("error", onError)
    decided(protocol)
    // HTTP/2 takes the handle over; HTTP/1.1 waits for the stream that was paused here.
    if (protocol === "http1") socket.resume()
  }
  const onData = (chunk: Buffer) => {
    chunks.push(chunk)
    const compared = Math.min(chunk.length, PREFACE.length - seen)
    if (chunk.compare(PREFACE, seen, seen + compared, 0, compared) !== 0) return decide("http1")
    seen += compared
    if (seen === PREFACE.length) decide("http2")
  }
  const onEnd = () => socket.destroy()
  const onError = () => socket.destroy()
  socket.on("data", onData)
  socket.on("end", onEnd)
  socket.on("close", done)
  socket.on("error", onError)
}
