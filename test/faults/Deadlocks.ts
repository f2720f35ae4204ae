/** Has a database server write each deadlock to its log. */
export const deadlockArgs = {
  mysql: ["--innodb-print-all-deadlocks=ON", "--log-error-verbosity=3"],
  mariadb: ["--innodb-print-all-deadlocks=ON"]
} as const

/** Deadlocks, by the tables whose rows were waited for. */
export type Deadlocks = Readonly<Record<string, number>>

/** Counts the deadlocks in the log of a server, which it is given as it comes. */
export const makeDeadlockCounter = () => {
  const counts: Record<string, number> = {}
  let tables: Set<string> | undefined
  let isWaiting = false
  let rest = ""

  const end = () => {
    if (tables === undefined) return
    const kind = [...tables].sort().join(" + ")
    counts[kind] = (counts[kind] ?? 0) + 1
    tables = undefined
  }

  const readLine = (line: string) => {
    if (/\*\*\* \(1\) TRANSACTION/.test(line)) {
      end()
      tables = new Set()
    } else if (/\*\*\* WE ROLL BACK TRANSACTION/.test(line)) end()
    else if (/\*\*\* .*WAITING FOR THIS LOCK/.test(line)) isWaiting = true
    else if (isWaiting) {
      const table = /^(?:RECORD LOCKS|TABLE LOCK) .*table `[^`]+`\.`([^`]+)`/.exec(line)?.[1]
      if (table === undefined) return
      tables?.add(table)
      isWaiting = false
    }
  }

  return {
    read: (text: string): void => {
      const lines = (rest + text).split("\n")
      rest = lines.pop()!
      for (const line of lines) readLine(line)
    },
    /** Those that are complete. */
    found: (): Deadlocks => ({ ...counts })
  }
}
