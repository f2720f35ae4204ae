import { setTimeout as pause } from "node:timers/promises"
import * as MySql from "mysql2/promise"
import type { FaultProxy, Held } from "../support/FaultProxy.ts"
import { foreignSession, holdingRow } from "../support/foreignSession.ts"
import { isGroupCommit } from "../support/groupCommit.ts"
import { gateKey } from "../support/privateServers.ts"
import type { Clients } from "./Clients.ts"
import type { EventReaders } from "./events/EventReaders.ts"
import { SERVICE_USER, type Rig } from "./Rig.ts"
import type { Fault, FaultKind } from "./Schedule.ts"

/** What a fault may act on. */
export interface Scene {
  readonly rig: Rig
  readonly clients: Clients
  /** The campaigns under load; the first is asked for most. */
  readonly campaignIds: ReadonlyArray<number>
  readonly readers: Pick<EventReaders, "failReceivers" | "treated">
  /** Receives what must never happen, whatever the fault. */
  readonly violation: (text: string) => void
}

/** How long a fault waits for the traffic that it needs. */
const PATIENCE_MILLIS = 3_000

/** Something held, or `undefined` if nothing came in time: then whatever comes later is let go. */
const caught = async (holding: Promise<Held>, millis: number): Promise<Held | undefined> => {
  const patience = new AbortController()
  const held = await Promise.race([
    holding,
    pause(millis, undefined, { signal: patience.signal }).catch(() => undefined)
  ])
  patience.abort()
  if (held === undefined) void holding.then((late) => late.release())
  return held
}

/** Holds for a while whatever comes, then destroys what was held. */
const silence = async (holdings: ReadonlyArray<Promise<Held>>, millis: number): Promise<void> => {
  await pause(millis)
  // Where nothing came, nothing was held: the first to come loses its connection.
  for (const holding of holdings) void holding.then((held) => held.drop())
}

/** An instance that ended where it should have waited; nothing that follows means anything. */
export class InstanceLost extends Error {}

/** Brings an instance back, which waits for its stores, whatever has become of them. */
const startAgain = async ({ rig }: Scene, node: number): Promise<void> => {
  try {
    await rig.nodes[node]!.start()
  } catch (error) {
    throw new InstanceLost(`instance ${node} did not come up again`, { cause: error })
  }
}

/** What a foreign session imposes with these statements, for a while. */
const imposed = (rig: Rig, statements: ReadonlyArray<string>, millis: number, end: string): Promise<void> =>
  foreignSession(rig.databaseUrl, async (connection) => {
    for (const statement of statements) await connection.query(statement)
    await pause(millis)
    await connection.query(end)
  })

type Inject = (scene: Scene, fault: Fault) => Promise<boolean | void>

const proxyOf = ({ rig }: Scene, { node, store }: Fault): FaultProxy => rig.nodes[node]![store]

/** Each fault from its beginning to its end; `false`: there was nothing to do it to. */
const injections: Readonly<Record<FaultKind, Inject>> = {
  killApp: async (scene, { millis, node }) => {
    await scene.rig.nodes[node]!.instance().kill()
    await pause(millis)
    await startAgain(scene, node)
  },
  pauseApp: async ({ rig }, { millis, node }) => {
    const instance = rig.nodes[node]!.instance()
    instance.pause()
    await pause(millis)
    instance.resume()
  },
  stopApp: async (scene, { millis, node }) => {
    const code = await scene.rig.nodes[node]!.instance().stop()
    if (code !== 0) scene.violation(`drain: instance ${node} ended with exit code ${code} after SIGTERM`)
    await pause(millis)
    await startAgain(scene, node)
  },
  killDatabase: async ({ rig }, { millis }) => {
    await rig.database.kill()
    await pause(millis)
    await rig.database.restart()
  },
  pauseDatabase: async ({ rig }, { millis }) => {
    rig.database.pause()
    await pause(millis)
    rig.database.resume()
  },
  emptyRedis: async ({ rig }, { millis }) => {
    await rig.killRedisForGood()
    await pause(millis)
    await rig.redis.restart()
  },
  flush: ({ rig }) => rig.redis.flushAll(),
  flushStorm: async ({ rig }, { millis }) => {
    for (let time = 0; time < 5; time++) {
      await rig.redis.flushAll()
      await pause(millis)
    }
  },
  loseTail: async ({ rig }, { millis }) => {
    await rig.redis.save()
    await pause(millis)
    await rig.redis.kill()
    await rig.redis.restart()
  },
  cut: async (scene, fault) => proxyOf(scene, fault).cut(),
  reset: async (scene, fault) => proxyOf(scene, fault).reset(),
  refuse: async (scene, fault) => {
    const proxy = proxyOf(scene, fault)
    proxy.refuse()
    proxy.cut()
    await pause(fault.millis)
    proxy.accept()
  },
  partition: (scene, fault) => {
    const proxy = proxyOf(scene, fault)
    return silence([proxy.holdRequests(), proxy.holdReplies()], fault.millis)
  },
  swallow: (scene, fault) => silence([proxyOf(scene, fault).holdReplies()], fault.millis),
  latency: async (scene, fault) => {
    const proxy = proxyOf(scene, fault)
    proxy.delay(40 + fault.millis / 10)
    await pause(fault.millis)
    proxy.delay(0)
  },
  replyLost: async ({ rig }, { millis, node }) => {
    const held = await caught(rig.nodes[node]!.sql.holdReplies(isGroupCommit), PATIENCE_MILLIS)
    if (held === undefined) return false
    // The first bytes of the reply come before the commit.
    await pause(millis)
    held.drop()
    return true
  },
  lateDelivery: async ({ rig }, { millis, node }) => {
    const held = await caught(rig.nodes[node]!.sql.holdRequests(isGroupCommit), PATIENCE_MILLIS)
    if (held === undefined) return false
    held.sever()
    await pause(millis)
    held.release()
    return true
  },
  evict: async ({ campaignIds, rig }, { node }) => {
    // An instance is as good a choice of a key as any. Not the events: they could not be published again.
    for (const campaignId of campaignIds) {
      await rig.redis.command("UNLINK", await gateKey(rig.databaseUrl, campaignId, ["m", "i", "p"][node]!))
    }
  },
  fullRedis: async ({ rig }, { millis }) => {
    await rig.redis.command("CONFIG", "SET", "maxmemory", "1")
    await pause(millis)
    await rig.redis.command("CONFIG", "SET", "maxmemory", "0")
  },
  foreignLock: ({ campaignIds, rig }, { millis }) =>
    imposed(rig, holdingRow(campaignIds[0]!), millis, "ROLLBACK"),
  tableLock: ({ rig }, { millis }) => imposed(rig, ["LOCK TABLES coupons WRITE"], millis, "UNLOCK TABLES"),
  backupLock: ({ rig }, { millis }) => imposed(rig, ["FLUSH TABLES WITH READ LOCK"], millis, "UNLOCK TABLES"),
  readOnly: ({ rig }, { millis }) => imposed(rig, ["SET GLOBAL read_only = 1"], millis, "SET GLOBAL read_only = 0"),
  killQuery: ({ rig }, { millis }) =>
    foreignSession(rig.databaseUrl, async (connection) => {
      let killed = false
      for (const end = performance.now() + millis; performance.now() < end; await pause(3)) {
        const [running] = await connection.query<Array<MySql.RowDataPacket>>(
          `SELECT id FROM information_schema.processlist WHERE user = '${SERVICE_USER}' AND command = 'Query'`
        )
        for (const { id } of running) {
          // It may have ended meanwhile.
          killed = await connection.query(`KILL QUERY ${id}`).then(() => true, () => killed)
        }
      }
      return killed
    }),
  crowd: async ({ rig }, { millis, node }) => {
    const foreign: Array<MySql.Connection> = []
    const grab = async () => {
      try {
        for (;;) {
          const connection = await MySql.createConnection({ uri: rig.databaseUrl, connectTimeout: PATIENCE_MILLIS })
          connection.on("error", () => {})
          foreign.push(connection)
        }
      } catch (error) {
        return (error as { readonly code?: unknown }).code === "ER_CON_COUNT_ERROR"
      }
    }
    try {
      const full = await grab()
      // What an instance had becomes free, and is taken too.
      rig.nodes[node]!.sql.cut()
      await grab()
      await pause(millis)
      return full
    } finally {
      for (const connection of foreign) connection.destroy()
    }
  },
  disconnects: async ({ clients }, { millis }) => {
    clients.leaveEarly(true)
    await pause(millis)
    clients.leaveEarly(false)
  },
  doubleClicks: async ({ campaignIds, clients, rig }, { millis }) => {
    clients.doubleClick(true)
    try {
      await imposed(rig, holdingRow(campaignIds[0]!), millis, "ROLLBACK")
    } finally {
      clients.doubleClick(false)
    }
  },
  receivers: async ({ readers }, { millis }) => {
    const requests = () => Object.values(readers.treated()).reduce((sum, count) => sum + count, 0)
    const before = requests()
    readers.failReceivers(true)
    await pause(millis)
    readers.failReceivers(false)
    return requests() > before
  },
  clockJump: async ({ rig }, { millis, node }) => {
    const { pid } = rig.nodes[node]!.instance()
    process.kill(pid, "SIGUSR2")
    await pause(millis)
    process.kill(pid, "SIGUSR2")
  }
}

/** What a fault needs for itself while it lasts, so that two faults at once add up and do not undo one another. */
export const resourcesOf = ({ kind, node, store }: Fault): ReadonlyArray<string> => {
  switch (kind) {
    case "killApp":
    case "pauseApp":
    case "stopApp":
    case "clockJump":
      return [`app ${node}`]
    case "killDatabase":
    case "pauseDatabase":
      return ["sql"]
    case "foreignLock":
    case "tableLock":
    case "backupLock":
    case "readOnly":
    case "killQuery":
    case "crowd":
      return ["sql", "connections"]
    case "emptyRedis":
    case "flush":
    case "flushStorm":
    case "loseTail":
    case "evict":
    case "fullRedis":
      return ["redis"]
    case "replyLost":
    case "lateDelivery":
      return [`sql of ${node}`, `app ${node}`, "sql"]
    case "cut":
    case "reset":
    case "refuse":
    case "partition":
    case "swallow":
    case "latency":
      return [`${store} of ${node}`]
    case "disconnects":
      return ["clients"]
    case "doubleClicks":
      return ["clients", "sql", "connections"]
    case "receivers":
      return ["receivers"]
  }
}

/** Does a fault and undoes it; resolves with whether it came to anything. */
export const inject = async (scene: Scene, fault: Fault): Promise<boolean> =>
  (await injections[fault.kind](scene, fault)) !== false
