import { randomBytes } from "node:crypto"
import { inject } from "vitest"
import { query, type DatabaseKind } from "./privateServers.ts"

/** What a test needs of servers, private and shared; `privateServers.ts` alone is for what runs outside of Vitest. */
export * from "./privateServers.ts"

declare module "vitest" {
  interface ProvidedContext {
    /** URL of the shared server of each kind that is tested. */
    readonly databases: Readonly<Partial<Record<DatabaseKind, string>>>
    readonly redis: string
  }
}

/** The kinds of which the test run has a shared server: at least one. */
export const availableDatabases = (): ReadonlyArray<DatabaseKind> =>
  Object.keys(inject("databases")).sort() as Array<DatabaseKind>

/**
 * URL of the shared Redis. Others use it too: touch only keys with a prefix or campaign ids of your own, never flush
 * it.
 */
export const sharedRedis = (): string => inject("redis")

/** A fresh, empty database on the shared server of that kind. */
export const databaseOn = async (
  kind: DatabaseKind
): Promise<{ readonly url: string; readonly drop: () => Promise<void> }> => {
  const server = inject("databases")[kind]
  if (server === undefined) {
    throw new Error(`this test run has no ${kind} server; it has: ${availableDatabases().join(", ")}`)
  }
  const name = `coupon_test_${Date.now().toString(36)}_${randomBytes(5).toString("hex")}`
  await query(server, `CREATE DATABASE ${name}`)
  const url = new URL(server)
  url.pathname = `/${name}`
  return {
    url: url.href,
    drop: async () => {
      await query(server, `DROP DATABASE IF EXISTS ${name}`)
    }
  }
}
