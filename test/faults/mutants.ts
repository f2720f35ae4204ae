import { makeLoad } from "../e2e/load.ts"
import { query, type DatabaseKind } from "../support/privateServers.ts"
import { openClaims, verdict } from "./judge.ts"
import { applied, mutations, type Mutation, type MutationName } from "./mutations.ts"
import { startRig, startServers, until, type Servers } from "./Rig.ts"
import { scenarios } from "./scenarios.ts"

/** What became of a mutant. */
export interface Death {
  readonly name: MutationName
  readonly what: string
  readonly scenario: string
  /** Names of the checks that noticed it; none: it survived. */
  readonly killedBy: ReadonlyArray<string>
  readonly violations: ReadonlyArray<string>
  /** Whether the program itself passes the same scenario: if not, the death proves nothing. */
  readonly soundly: boolean
}

/** The instances must come to rest, and slots of dead ones become free, sooner than in a random run. */
const impatient = {
  REQUEST_TIMEOUT: "1 second",
  MYSQL_REPLY_TIMEOUT: "1500 millis",
  RESERVATION_TIMEOUT: "1500 millis",
  AUDIT_INTERVAL: "500 millis",
  COLD_WAIT: "500 millis"
}

/** Plays the mutation's scenario on the mutated program, or on the program as it is; returns the violations. */
const play = async (
  servers: Servers,
  mutation: Mutation & { readonly name: MutationName },
  mutated: boolean
): Promise<ReadonlyArray<string>> => {
  const scenario = scenarios[mutation.name]
  const env = {
    ...impatient,
    ...scenario.env,
    ...mutated ? { MUTANT: mutation.name, NODE_DISABLE_COMPILE_CACHE: "1" } : {}
  }
  const rig = await startRig(servers, {
    nodes: [env, env],
    preload: [...mutated ? ["mutantHook.ts"] : [], ...scenario.preload ?? []]
  })
  const load = makeLoad()
  try {
    const [a, b] = [rig.nodes[0]!, rig.nodes[1]!]
    for (const patch of mutated ? mutation.patches : []) {
      if (!await until(() => rig.nodes.every((node) => node.logs().includes(applied(patch))), 2_000)) {
        throw new Error(`the mutant ${mutation.name} was not loaded: ${patch.file}`)
      }
    }
    if (scenario.prepare !== undefined) await query(rig.databaseUrl, ...scenario.prepare)
    const isOff = scenario.env?.["EVENT_STREAM"] === "off"
    const stores = isOff ? { ...rig.stores, eventStream: "off" as const } : rig.stores
    const meanwhile = await scenario.play({ rig, load, a, b })
    return [
      ...meanwhile ?? [],
      ...await verdict(stores, load.history, { restMillis: 6_000 }),
      ...await openClaims(rig.urls(), 6_000)
    ]
  } finally {
    load.close()
    await rig.stop()
  }
}

const checksOf = (violations: ReadonlyArray<string>): ReadonlyArray<string> =>
  [...new Set(violations.map((text) => /^\w+/.exec(text)?.[0] ?? text))].sort()

/** Plays each mutant's scenario without it and with it. */
export const runMutants = async (
  database: DatabaseKind,
  say: (line: string) => void,
  only?: string
): Promise<ReadonlyArray<Death>> => {
  const chosen = mutations.filter(({ name }) => only === undefined || name === only)
  if (chosen.length === 0) {
    throw new Error(`no mutant ${only}; there are: ${mutations.map(({ name }) => name).join(", ")}`)
  }
  const servers = await startServers(database)
  const deaths: Array<Death> = []
  try {
    for (const mutation of chosen) {
      const start = performance.now()
      const control = await play(servers, mutation, false)
      const violations = await play(servers, mutation, true)
      const death = {
        name: mutation.name,
        what: mutation.what,
        scenario: scenarios[mutation.name].what,
        killedBy: checksOf(violations),
        violations,
        soundly: control.length === 0
      }
      deaths.push(death)
      const took = `${((performance.now() - start) / 1_000).toFixed(1)} s`
      say(
        `${mutation.name}: ${violations.length === 0 ? "SURVIVED" : `killed by ${death.killedBy.join(", ")}`} (${took})`
      )
      for (const violation of violations.slice(0, 3)) say(`    ${violation}`)
      for (const violation of control.slice(0, 3)) say(`  BUT without the mutant: ${violation}`)
    }
    return deaths
  } finally {
    await servers.stop()
  }
}
