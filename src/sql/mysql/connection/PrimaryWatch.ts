import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { rootMessage } from "../../../base/RootMessage.ts"
import type { HostAddress } from "../../../config/StoreUrl.ts"
import { showHost } from "../../../config/StoreUrl.ts"
import type { Endpoint } from "./MySqlUrl.ts"
import * as ControlConnection from "./ControlConnection.ts"
import type { MySqlSockets } from "./MySqlSockets.ts"
import { choose, finding, type Finding, type GroupMember } from "./PrimaryChoice.ts"
import { mysqlErrno } from "../MySqlFailure.ts"

/** Pause between two rounds of questions while nothing is wrong. */
const INTERVAL = "500 millis"

/** Between rounds in any case: connections that break all at once ask for one round. */
const LEAST_INTERVAL = "50 millis"

/** May not read the table; see below. */
const DENIED = new Set([1_044, 1_142, 1_143])

const MEMBERS = "SELECT @@server_uuid AS self, member_id AS id, member_state AS state, member_role AS role " +
  "FROM performance_schema.replication_group_members WHERE member_id <> ''"

/** Asks one server, over a connection that it keeps. */
const makeProbe = (endpoint: Endpoint, host: HostAddress) => {
  const control = ControlConnection.make(endpoint, host)
  /**
   * A user who may not see a group is no proof that there is none, and outside its group a member is not to be written
   * to.
   */
  const membersOf = async (version: string): Promise<ControlConnection.ControlRows> => {
    if (/mariadb/i.test(version)) return []
    return control.ask(MEMBERS).catch((error: unknown): ControlConnection.ControlRows => {
      if (!DENIED.has(mysqlErrno(error) ?? 0)) throw error
      throw new Error(
        "its user lacks SELECT on performance_schema.replication_group_members, as in deploy/mysql-grants.sql"
      )
    })
  }
  const ask = async (): Promise<Finding> => {
    try {
      const [state] = await control.ask("SELECT @@global.read_only AS readOnly, VERSION() AS version")
      const rows = await membersOf(String(state?.["version"]))
      const members = rows as unknown as ReadonlyArray<GroupMember>
      return finding(String(rows[0]?.["self"]), Number(state?.["readOnly"]) !== 0, members)
    } catch (error) {
      return { _tag: "Away", cause: rootMessage(error) }
    }
  }
  return { ask, drop: control.drop }
}

const describe = (found: Finding): string => {
  switch (found._tag) {
    case "Away":
      return `away (${found.cause})`
    case "Member":
      return `member of a group, ${found.state.toLowerCase()}`
    case "ReadOnly":
      return "read-only"
    case "Writable":
      return "writable"
    case "Primary":
      return "primary of its group"
  }
}

/**
 * Leads the sockets to whichever server of the endpoint takes writes, and keeps watching: twice a second, and whenever
 * `suspicions` has something. Returns when every server was asked once. One connection a server, beside the pool's.
 */
export const run = (
  endpoint: Endpoint,
  sockets: MySqlSockets,
  suspicions: Queue.Dequeue<void>
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { hosts } = endpoint
    const probes = hosts.map((host) => makeProbe(endpoint, host))
    yield* Effect.addFinalizer(() => Effect.sync(() => probes.forEach(({ drop }) => drop())))
    let current: number | undefined
    let logged: string | undefined

    const round = Effect.gen(function*() {
      const findings = yield* Effect.promise(() => Promise.all(probes.map(({ ask }) => ask())))
      const { primary, trouble } = choose(findings, current)
      const state = trouble ?? `the primary is ${showHost(hosts[primary!]!)}`
      sockets.lead(primary === undefined ? undefined : hosts[primary], trouble === undefined, state)
      current = primary
      if (state === logged) return
      logged = state
      const servers = hosts.map((host, index) => `${showHost(host)} ${describe(findings[index]!)}`).join(", ")
      yield* trouble === undefined
        ? Effect.logInfo(`MySQL: ${state}`)
        : Effect.logWarning(`MySQL: ${state}: ${servers}`)
    })

    yield* round
    yield* Effect.raceFirst(Queue.take(suspicions), Effect.sleep(INTERVAL)).pipe(
      Effect.zipRight(round),
      Effect.zipRight(Effect.sleep(LEAST_INTERVAL)),
      Effect.forever,
      Effect.forkScoped
    )
  })
