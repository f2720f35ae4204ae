/** Frames of HTTP/2 (RFC 9113), written by hand: an attacker sends what no client library lets it send. */

/** The first bytes of a client. */
export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

const END_STREAM = 1
const END_HEADERS = 4

/** A frame of this type, with these flags, on this stream. */
export const frame = (type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer => {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** What a connection begins with: the preface and empty SETTINGS, or such with one setting. */
export const hello = (setting?: readonly [id: number, value: number]): Buffer => {
  if (setting === undefined) return Buffer.concat([PREFACE, frame(4, 0, 0)])
  const payload = Buffer.alloc(6)
  payload.writeUInt16BE(setting[0], 0)
  payload.writeUInt32BE(setting[1], 2)
  return Buffer.concat([PREFACE, frame(4, 0, 0, payload)])
}

/** SETTINGS_INITIAL_WINDOW_SIZE. */
export const WINDOW = 4

const text = (value: string) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)])

/** `:method POST`, `:scheme http`, `:path`, `:authority`, and further headers; no value is longer than 126 bytes. */
export const headers = (
  stream: number,
  path: string,
  more: Readonly<Record<string, string>> = {},
  flags = 0
): Buffer => {
  const rest = Object.entries(more).map(([name, value]) => Buffer.concat([Buffer.from([0]), text(name), text(value)]))
  const block = Buffer.concat([Buffer.from([0x83, 0x86, 0x04]), text(path), Buffer.from([0x01]), text("x"), ...rest])
  return frame(1, END_HEADERS | flags, stream, block)
}

export const data = (stream: number, body: string, flags = END_STREAM): Buffer =>
  frame(0, flags, stream, Buffer.from(body))

/** RST_STREAM with CANCEL. */
export const reset = (stream: number): Buffer => frame(3, 0, stream, Buffer.from([0, 0, 0, 8]))

/** WINDOW_UPDATE by 0, which is an error of the stream: the server has to reset it. */
export const badWindow = (stream: number): Buffer => frame(8, 0, stream, Buffer.alloc(4))
