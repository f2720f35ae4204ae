import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"

/** Microseconds of a clock tick, in which Linux counts CPU time: usually 10,000. */
const TICK_MICROS = 1_000_000 / Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }))

/**
 * CPU time that a process has used so far, user and system, all its threads: microseconds. `undefined` when it is gone.
 */
export const cpuMicros = (pid: number): number | undefined => {
  try {
    // The name in parentheses may hold spaces; what follows it does not.
    const fields = Fs.readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ")
    return (Number(fields[11]) + Number(fields[12])) * TICK_MICROS
  } catch {
    return undefined
  }
}

/** Resident memory of a process in MiB. */
export const residentMiB = (pid: number): number => {
  const found = /^VmRSS:\s+(\d+) kB/m.exec(Fs.readFileSync(`/proc/${pid}/status`, "utf8"))
  if (found === null) throw new Error(`process ${pid} tells no VmRSS`)
  return Number(found[1]) / 1_024
}

/** Runs `work` and tells the CPU time that each of some processes used meanwhile, in microseconds. */
export const during = async <A>(
  pids: Readonly<Record<string, number>>,
  work: () => Promise<A>
): Promise<{ readonly result: A; readonly cpu: Record<string, number> }> => {
  const read = () => Object.entries(pids).map(([name, pid]) => {
    const micros = cpuMicros(pid)
    if (micros === undefined) throw new Error(`${name} (process ${pid}) is gone`)
    return [name, micros] as const
  })
  const before = new Map(read())
  const result = await work()
  return { result, cpu: Object.fromEntries(read().map(([name, micros]) => [name, micros - before.get(name)!])) }
}

/** The process that listens on a loopback port, if it can be seen from here: how a given server's CPU time is found. */
export const listenerOf = (port: number): number | undefined => {
  const hex = port.toString(16).toUpperCase().padStart(4, "0")
  const inodes = new Set(
    ["/proc/net/tcp", "/proc/net/tcp6"].filter((file) => Fs.existsSync(file)).flatMap((file) =>
      Fs.readFileSync(file, "utf8").split("\n").map((line) => line.trim().split(/\s+/))
        .filter((fields) => fields[1]?.endsWith(`:${hex}`) === true && fields[3] === "0A").map((fields) =>
          `socket:[${fields[9]}]`
        )
    )
  )
  for (const pid of Fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      for (const fd of Fs.readdirSync(`/proc/${pid}/fd`)) {
        if (inodes.has(Fs.readlinkSync(`/proc/${pid}/fd/${fd}`))) return Number(pid)
      }
    } catch {
      // Another user's process, or one that has just ended.
    }
  }
  return undefined
}
