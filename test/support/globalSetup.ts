import { execFileSync } from "node:child_process"
import type { TestProject } from "vitest/node"
import { bundle } from "./Instance.ts"
import { removeDirectory, temporaryDirectory } from "./guardian.ts"
import { install, installable, say } from "./install.ts"
import { shareRun } from "./onceARun.ts"
import { databasePrograms, query, startDatabase, startRedis, type DatabaseKind } from "./privateServers.ts"

const hasRedis = (): boolean => {
  try {
    execFileSync("redis-server", ["--version"], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

const describe = async (url: string): Promise<{ readonly kind: DatabaseKind; readonly version: string }> => {
  const [row] = await query(url, "SELECT VERSION() AS version")
  const text = String(row?.["version"])
  return { kind: /mariadb/i.test(text) ? "mariadb" : "mysql", version: /^\d+\.\d+/.exec(text)?.[0] ?? text }
}

/**
 * Provides the servers that tests share: those whose URLs are in the environment, else private ones. The variables have
 * the names that the service itself reads, so they are taken out of the environment here: a service under test is
 * given its servers by its test or has none.
 */
export default async (project: TestProject): Promise<() => Promise<void>> => {
  // Once, before test files side by side would.
  bundle()
  const directory = temporaryDirectory("run")
  shareRun(directory)
  const take = (name: string): string | undefined => {
    const value = process.env[name]
    delete process.env[name]
    return value === undefined || value.trim() === "" ? undefined : value.trim()
  }
  const given = [["MYSQL_URL", take("MYSQL_URL")], ["MARIADB_URL", take("MARIADB_URL")]] as const
  const givenRedis = take("REDIS_URL")

  const missing = [
    ...Object.keys(databasePrograms()).length === 0 ? ["mariadb-server-core", "mariadb-client-core"] : [],
    ...hasRedis() ? [] : ["redis-server"]
  ]
  if (missing.length > 0) {
    if (installable()) install(missing)
    const still = [
      ...Object.keys(databasePrograms()).length === 0 ? ["a MySQL or MariaDB server (mysqld, mariadbd)"] : [],
      ...hasRedis() ? [] : ["a Redis server (redis-server)"]
    ]
    if (still.length > 0) {
      throw new Error(
        `The tests start private servers and find no program for ${still.join(" and ")} on the PATH.\n` +
          `Install them, on Debian or Ubuntu with: apt-get install ${missing.join(" ")}\n` +
          "(as root, `npm test` does so itself)"
      )
    }
  }

  const databases: Partial<Record<DatabaseKind, string>> = {}
  const shown: Array<string> = []
  const stops: Array<() => Promise<void>> = []
  const stop = async () => {
    await Promise.all(stops.map((one) => one()))
    removeDirectory(directory)
  }
  try {
    for (const [name, url] of given) {
      if (url === undefined) continue
      const { kind, version } = await describe(url).catch((cause: unknown) => {
        // The URL may hold a password: only where it points is said.
        throw new Error(
          `${name} names a server at ${URL.canParse(url) ? new URL(url).host : "?"} that does not answer`,
          { cause }
        )
      })
      databases[kind] = url
      shown.push(`${kind} ${version} (${name})`)
    }
    for (
      const [kind, program] of Object.entries(databasePrograms()) as Array<[DatabaseKind, { readonly version: string }]>
    ) {
      if (databases[kind] !== undefined) continue
      const server = await startDatabase(kind)
      stops.push(server.stop)
      databases[kind] = server.url
      shown.push(`${kind} ${program.version} (private)`)
    }
    let redis = givenRedis
    if (redis === undefined) {
      const server = await startRedis()
      stops.push(server.stop)
      redis = server.url
    }
    project.provide("databases", databases)
    project.provide("redis", redis)
    say(`ledger tests on: ${shown.sort().join(", ")}`)
    say(`gate tests on: redis (${givenRedis === undefined ? "private" : "REDIS_URL"})`)
    const crash = Object.entries(databasePrograms()).map(([kind, { version }]) => `${kind} ${version}`).sort()
    say(`crash tests on: ${crash.join(", ")} (private)`)
  } catch (error) {
    await stop()
    throw error
  }
  return stop
}
