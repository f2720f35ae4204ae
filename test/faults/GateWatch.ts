import * as Net from "node:net"

/** Listens to all that Redis does (MONITOR, which shows the commands of scripts too), through its deaths. */
export interface GateWatch {
  /** G7: reservations that were overwritten while they lived. */
  readonly violations: () => ReadonlyArray<string>
  /** Users that ever joined a campaign's issued set (G1: each must hold a coupon). */
  readonly joined: (campaignId: number) => ReadonlySet<string>
  /** Reservations seen. */
  readonly reservations: () => number
  readonly stop: () => void
}

const RETRY_MILLIS = 30

const LINE = /^\+[\d.]+ \[\d+ [^\]]*\] "(\w+)"(.*)$/
const WORD = /"((?:[^"\\]|\\.)*)"/g
/** Whatever the deployment's prefix is. */
const KEY = /(?:^|:)\{c(\d+)\}:([mipe])$/

/** Watches the Redis on that loopback port until stopped. */
export const watchGate = (port: number): GateWatch => {
  const pending = new Map<string, Map<string, string>>()
  const joined = new Map<number, Set<string>>()
  const violations: Array<string> = []
  let reservations = 0
  let stopped = false
  let socket: Net.Socket | undefined

  const understand = (line: string) => {
    const match = LINE.exec(line)
    if (match === null) return
    const command = match[1]!.toUpperCase()
    if (command === "FLUSHALL") return pending.clear()
    if (command !== "HSET" && command !== "HDEL" && command !== "SADD" && command !== "UNLINK") return
    const [key, ...words] = Array.from(match[2]!.matchAll(WORD), ([, word]) => word!)
    if (command === "UNLINK") {
      for (const gone of [key!, ...words]) pending.delete(gone)
      return
    }
    const found = KEY.exec(key ?? "")
    if (found === null) return
    const campaignId = Number(found[1])
    if (command === "SADD" && found[2] === "i") {
      let users = joined.get(campaignId)
      if (users === undefined) joined.set(campaignId, users = new Set())
      for (const user of words) if (user !== "#") users.add(user)
    }
    if (found[2] !== "p") return
    let users = pending.get(key!)
    if (users === undefined) pending.set(key!, users = new Map())
    if (command === "HDEL") for (const user of words) users.delete(user)
    if (command !== "HSET") return
    for (let k = 0; k < words.length; k += 2) {
      const [user, value] = [words[k]!, words[k + 1]!]
      const before = users.get(user)
      reservations++
      if (before !== undefined && before !== value) {
        violations.push(
          `G7 campaign ${campaignId}: the reservation ${before} of user ${user} was overwritten by ${value}`
        )
      }
      users.set(user, value)
    }
  }

  const open = () => {
    if (stopped) return
    const current = Net.connect(port, "127.0.0.1")
    socket = current
    let rest = ""
    current.setEncoding("latin1")
    current.once("connect", () => current.write("MONITOR\r\n"))
    current.on("data", (chunk: string) => {
      const lines = (rest + chunk).split("\r\n")
      rest = lines.pop()!
      for (const line of lines) understand(line)
    })
    current.on("error", () => {})
    // What another Redis holds, an empty or an older one, is unknown; what it receives from now on is known.
    current.once("close", () => {
      pending.clear()
      setTimeout(open, RETRY_MILLIS).unref()
    })
  }
  open()
  return {
    violations: () => violations,
    joined: (campaignId) => joined.get(campaignId) ?? new Set(),
    reservations: () => reservations,
    stop: () => {
      stopped = true
      socket?.destroy()
    }
  }
}
