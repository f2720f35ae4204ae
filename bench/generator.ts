// A load generator that runs as a process of its own, so that its CPU time can be separated from the service's:
//   node bench/generator.ts
//   '{"port":…,"path":…,"campaignId":…,"firstUser":…,"users":0,"connections":…,"seconds":…,"rate":…}'
// With a `rate` it is an open loop: request i is due at start + i / rate, whatever the service does, and its latency
// counts from that moment, not from when it was sent: no coordinated omission. Without one it is a closed loop: every
// connection asks again as soon as it is answered. `users` > 0 repeats that many users; else every request names a new
// one. Prints one line of JSON. What is under way when the time is up is awaited and counted, so the numbers are exact.
import * as Net from "node:net"
import type { GeneratorOptions, GeneratorResult } from "./Load.ts"
import { quantiles } from "./Quantiles.ts"
import { startTicker } from "./Ticker.ts"

const options = JSON.parse(process.argv[2]!) as GeneratorOptions
const { bodies, campaignId, connections, firstUser, kind, path, port, rate, seconds, users } = options

const head = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\nContent-Length: `
let asked = 0
const request = () => {
  const user = firstUser + (users > 0 ? asked % users : asked)
  const id = kind === "redeem" ? `,"requestId":"bench-${user}"` : ""
  const body = bodies === undefined
    ? `{"campaignId":${campaignId},"userId":${user}${id}}`
    : bodies[asked % bodies.length]!
  asked++
  return `${head}${Buffer.byteLength(body)}\r\n\r\n${body}`
}

const total = rate === undefined ? 0 : Math.round(rate * seconds)
const latencies = new Float64Array(rate === undefined ? 0 : total)
const lateness = new Float64Array(rate === undefined ? 0 : total)
const statuses: Record<string, number> = {}
let answered = 0
let failure: string | undefined
let closing = false

/** One connection, one request at a time. `answer` is called when the response is complete. */
interface Client {
  readonly send: (answer: () => void) => void
  readonly close: () => void
}

const connect = (): Promise<Client> =>
  new Promise((resolve, reject) => {
    const socket = Net.connect(port, "127.0.0.1").setNoDelay(true)
    let text = ""
    let waiting: (() => void) | undefined
    socket.on("data", (chunk) => {
      text = text === "" ? chunk.toString("latin1") : text + chunk.toString("latin1")
      const end = text.indexOf("\r\n\r\n")
      if (end < 0) return
      const length = /\r\ncontent-length: (\d+)/i.exec(text)
      if (length === null) {
        failure ??= `an answer without content-length: ${text.slice(0, end)}`
        socket.destroy()
        return
      }
      if (text.length < end + 4 + Number(length[1])) return
      const status = text.slice(9, 12)
      text = ""
      statuses[status] = (statuses[status] ?? 0) + 1
      answered++
      const answer = waiting!
      waiting = undefined
      answer()
    })
    socket.once("connect", () =>
      resolve({
        send: (answer) => {
          waiting = answer
          socket.write(request())
        },
        close: () => socket.destroy()
      }))
    socket.on("error", (error) => {
      failure ??= error.message
      reject(error)
    })
    socket.on("close", () => {
      if (!closing) failure ??= "a connection was closed before its answer"
    })
  })

const clients = await Promise.all(Array.from({ length: connections }, connect))
const cpuBefore = process.cpuUsage()
const start = performance.now()

const closedLoop = () =>
  new Promise<void>((resolve) => {
    const end = start + seconds * 1_000
    let open = clients.length
    for (const client of clients) {
      const next = () => {
        if (performance.now() < end && failure === undefined) client.send(next)
        else if (--open === 0) resolve()
      }
      next()
    }
  })

/** Until the ticking thread has started. */
const TICKER_START_MILLIS = 100

const openLoop = (perSecond: number) =>
  new Promise<void>((resolve) => {
    const idle = [...clients]
    const due: Array<number> = []
    let scheduled = 0
    let begun = 0
    // Ticks between the moments when requests are due would make them late.
    const origin = performance.now() + TICKER_START_MILLIS
    const ticks = startTicker(Math.min(perSecond, 2_000), origin)
    const send = (client: Client, at: number) => {
      const i = begun++
      lateness[i] = performance.now() - at
      client.send(() => {
        latencies[i] = performance.now() - at
        const next = due.shift()
        if (next !== undefined) send(client, next)
        else idle.push(client)
        if (answered === total) finish()
      })
    }
    const finish = () => {
      void ticks.terminate()
      resolve()
    }
    ticks.on("message", () => {
      if (failure !== undefined) finish()
      const now = performance.now()
      for (; scheduled < total; scheduled++) {
        const at = origin + scheduled * 1_000 / perSecond
        if (at > now) break
        // The one that has rested longest: all stay in use, as of many users, and none is closed for idleness.
        const client = idle.shift()
        // No client is free: it waits, and the wait counts.
        if (client === undefined) due.push(at)
        else send(client, at)
      }
    })
  })

await (rate === undefined ? closedLoop() : openLoop(rate))
const elapsed = (performance.now() - start) / 1_000
const cpu = process.cpuUsage(cpuBefore)
closing = true
for (const client of clients) client.close()
if (failure !== undefined) {
  console.error(failure)
  process.exit(1)
}
const result: GeneratorResult = {
  seconds: elapsed,
  requests: answered,
  statuses,
  cpuMicros: cpu.user + cpu.system,
  latencyMillis: quantiles(latencies),
  latenessMillis: quantiles(lateness)
}
console.log(JSON.stringify(result))
