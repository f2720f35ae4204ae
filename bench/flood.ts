// A load that does not wait, as a process of its own: node bench/flood.ts
// '{"port":…,"path":…,"campaignId":…,"firstUser":…, "connections":…,"seconds":…,"rate":…}'. Request i is due at i /
// rate and names a user of its own. If no connection is free then, it is not sent: a client whose connection is
// refused, as there are no more than so many. What was sent is awaited to the end. Prints one line of JSON
// (`FloodResult`); the numbers of the users who were answered OK go to standard error, four bytes each.
import * as Net from "node:net"
import type { FloodOptions, FloodResult } from "./overload.ts"
import { quantiles } from "./Quantiles.ts"
import { startTicker } from "./Ticker.ts"

const { campaignId, connections, firstUser, path, port, rate, seconds } = JSON.parse(process.argv[2]!) as FloodOptions
const head = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\nContent-Length: `

const latencies: { ok: Array<number>; refused: Array<number> } = { ok: [], refused: [] }
const winners: Array<number> = []
const perSecond: FloodResult["perSecond"] = []
const statuses: Record<string, number> = {}
let [due, sent, answered] = [0, 0, 0]
let failure: string | undefined
let closing = false
let start = 0

const secondOf = (now: number) => {
  const second = Math.floor((now - start) / 1_000)
  while (perSecond.length <= second) perSecond.push({ ok: 0, refused: 0 })
  return perSecond[second]!
}

const idle: Array<(user: number) => void> = []
let finish: () => void = () => {}

const connect = () =>
  new Promise<Net.Socket>((resolve, reject) => {
    const socket = Net.connect(port, "127.0.0.1").setNoDelay(true)
    let text = ""
    let [asked, sentAt] = [0, 0]
    const send = (user: number) => {
      asked = user
      sentAt = performance.now()
      sent++
      const body = `{"campaignId":${campaignId},"userId":${firstUser + user}}`
      socket.write(`${head}${body.length}\r\n\r\n${body}`)
    }
    socket.on("data", (chunk) => {
      text = text === "" ? chunk.toString("latin1") : text + chunk.toString("latin1")
      const end = text.indexOf("\r\n\r\n")
      if (end < 0) return
      const from = text.search(/\r\ncontent-length: /i)
      if (text.length < end + 4 + parseInt(text.slice(from + 18, end), 10)) return
      const now = performance.now()
      const status = text.slice(9, 12)
      text = ""
      answered++
      statuses[status] = (statuses[status] ?? 0) + 1
      if (status === "200") {
        latencies.ok.push(now - sentAt)
        winners.push(asked)
        secondOf(now).ok++
      } else {
        latencies.refused.push(now - sentAt)
        secondOf(now).refused++
      }
      idle.push(send)
      if (closing && answered === sent) finish()
    })
    socket.once("connect", () => {
      idle.push(send)
      resolve(socket)
    })
    socket.on("error", (error) => {
      failure ??= error.message
      reject(error)
    })
    socket.on("close", () => {
      if (!closing || answered < sent) failure ??= "a connection was closed before its answer"
      if (failure !== undefined) finish()
    })
  })

const sockets: Array<Net.Socket> = []
for (let i = 0; i < connections; i += 100) {
  sockets.push(...await Promise.all(Array.from({ length: Math.min(100, connections - i) }, connect)))
}
const cpuBefore = process.cpuUsage()
start = performance.now()
const ticks = startTicker(1_000, start)
await new Promise<void>((resolve) => {
  finish = resolve
  ticks.on("message", () => {
    if (closing) return
    const now = Math.min(performance.now() - start, seconds * 1_000)
    const until = Math.floor(now * rate / 1_000)
    // Those who are due together are sent together; a user without a connection is gone.
    // The connection that has rested longest is next, so that none is closed for being silent.
    while (due < until && idle.length > 0) idle.shift()!(due++)
    due = until
    if (now < seconds * 1_000 && failure === undefined) return
    closing = true
    if (answered === sent || failure !== undefined) resolve()
  })
})
const cpu = process.cpuUsage(cpuBefore)
void ticks.terminate()
for (const socket of sockets) socket.destroy()
if (failure !== undefined) {
  console.error(failure)
  process.exit(1)
}
const result: FloodResult = {
  seconds,
  due,
  sent,
  statuses,
  ok: quantiles(latencies.ok),
  refused: quantiles(latencies.refused),
  // What came after the end is no full second's.
  perSecond: perSecond.slice(0, seconds),
  cpuMicros: cpu.user + cpu.system
}
await new Promise((resolve) => process.stderr.write(Buffer.from(Uint32Array.from(winners).buffer), resolve))
process.stdout.write(`${JSON.stringify(result)}\n`)
