import { Redis } from "ioredis"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import { setTimeout as pause } from "node:timers/promises"
import type { Attempt } from "../invariants/History.ts"
import { freePort, startRedis, startSentinel, type RedisServer } from "../support/privateServers.ts"

/** Repeats a question until its answer is the wanted one; fails with what it was about. */
export const eventually = async <A>(
  what: string,
  ask: () => Promise<A> | A,
  holds: (answer: A) => boolean,
  millis = 60_000
): Promise<A> => {
  const end = Date.now() + millis
  for (;;) {
    const answer = await Promise.resolve().then(ask).catch((error: unknown) => error as A)
    if (!(answer instanceof Error) && holds(answer)) return answer
    if (Date.now() > end) throw new Error(`${what}: it did not come true within ${millis} ms; last ${String(answer)}`)
    await pause(10)
  }
}

/** Several servers that are stopped together. */
export interface Topology {
  /** For the tests, without a user. */
  readonly url: string
  /** For `REDIS_URL`: as the user of `deploy/redis-users.acl`. */
  readonly servingUrl: string
  readonly stop: () => Promise<void>
}

export interface Sentinels extends Topology {
  /** The servers, the first primary first. */
  readonly servers: ReadonlyArray<RedisServer>
  readonly sentinels: ReadonlyArray<RedisServer>
  /** The port of the primary as the sentinels have it. */
  readonly primaryPort: () => Promise<number>
}

const stopAll = async (servers: ReadonlyArray<RedisServer>) => {
  await Promise.all(servers.map((server) => server.stop()))
}

/** A primary, two replicas in step with it, and three sentinels who know of all of them. */
export const startSentinels = async (): Promise<Sentinels> => {
  const started: Array<RedisServer> = []
  const keep = (server: RedisServer) => {
    started.push(server)
    return server
  }
  try {
    const primary = keep(await startRedis({ args: ["--repl-diskless-sync-delay", "0", ...servingUser()] }))
    const replicas = await Promise.all(
      [1, 2].map(async () =>
        keep(
          await startRedis({
            args: ["--replicaof", `127.0.0.1 ${primary.port}`, "--repl-diskless-sync-delay", "0", ...servingUser()]
          })
        )
      )
    )
    const target = { name: "mymaster", port: primary.port, downAfterMillis: 2_000 }
    const sentinels = await Promise.all([1, 2, 3].map(async () => keep(await startSentinel(target))))
    const ask = async <A>(sentinel: RedisServer, ...words: ReadonlyArray<string>): Promise<A> => {
      const client = new Redis(sentinel.url, { retryStrategy: null, lazyConnect: true })
      client.on("error", () => {})
      try {
        return await client.call("SENTINEL", ...words) as A
      } finally {
        client.disconnect()
      }
    }
    for (const sentinel of sentinels) {
      await eventually("a sentinel that knows the others", async () => [
        (await ask<Array<unknown>>(sentinel, "replicas", "mymaster")).length,
        (await ask<Array<unknown>>(sentinel, "sentinels", "mymaster")).length
      ], ([known, others]) => known === 2 && others === 2)
      await eventually("a quorum", () => ask<string>(sentinel, "ckquorum", "mymaster"), (text) => text.startsWith("OK"))
    }
    await eventually("replicas in step", () => primary.command("WAIT", "2", "1000"), (reply) => reply === ":2")
    const url = `redis+sentinel://${sentinels.map(({ port }) => `127.0.0.1:${port}`).join(",")}/mymaster`
    return {
      servers: [primary, ...replicas],
      sentinels,
      url,
      servingUrl: asServingUser(url),
      primaryPort: async () =>
        Number((await ask<[string, string]>(sentinels[0]!, "get-master-addr-by-name", "mymaster"))[1]),
      stop: () => stopAll(started)
    }
  } catch (error) {
    await stopAll(started)
    throw error
  }
}

export interface ClusterNodes extends Topology {
  /** The primaries at first. */
  readonly nodes: ReadonlyArray<RedisServer>
  /** Of each of `nodes`, if asked for. */
  readonly replicas: ReadonlyArray<RedisServer>
  /** Moves the slot of a campaign's keys to another node, a key at a time, as `redis-cli --cluster reshard` does. */
  readonly moveSlot: (slot: number, to: RedisServer) => Promise<void>
  /** The node that serves a slot. */
  readonly ownerOf: (slot: number) => Promise<RedisServer>
  /**
   * Until every node serves its slots: for two seconds after a restart it refuses to, and ioredis does not repeat a
   * MULTI that was refused.
   */
  readonly inOrder: () => Promise<void>
}

const SLOTS = 16_384

/** Three primaries that share the slots, each with a replica or with none. */
export const startRedisCluster = async (options: { readonly replicas?: boolean } = {}): Promise<ClusterNodes> => {
  const nodes: Array<RedisServer> = []
  const replicas: Array<RedisServer> = []
  try {
    const buses: Array<number> = []
    const startNode = async () => {
      const bus = await freePort()
      // The usual bus port, 10,000 above, may not exist.
      const args = [
        "--cluster-enabled", "yes", "--cluster-port", String(bus), "--cluster-node-timeout", "3000",
        "--repl-diskless-sync-delay", "0", ...servingUser()
      ]
      return { bus, node: await startRedis({ args }) }
    }
    for (let k = 0; k < 3; k++) {
      const { bus, node } = await startNode()
      buses.push(bus)
      nodes.push(node)
    }
    for (const [k, node] of nodes.entries()) {
      const [from, to] = [Math.floor(SLOTS * k / 3), Math.floor(SLOTS * (k + 1) / 3) - 1]
      await node.command("CLUSTER", "ADDSLOTSRANGE", String(from), String(to))
      await node.command("CLUSTER", "SET-CONFIG-EPOCH", String(k + 1))
    }
    for (const [k, node] of nodes.entries()) {
      if (k > 0) await nodes[0]!.command("CLUSTER", "MEET", "127.0.0.1", String(node.port), String(buses[k]))
    }

    const clients = nodes.map((node) => new Redis(node.url))
    for (const client of clients) client.on("error", () => {})
    const inOrder = async () => {
      const known = `cluster_known_nodes:${nodes.length + replicas.length}`
      for (const client of clients) {
        await eventually("a cluster in order", () => client.cluster("INFO"), (info) =>
          info.includes("cluster_state:ok") && info.includes(known) && info.includes("cluster_slots_assigned:16384"))
      }
    }
    await inOrder()
    const ids = await Promise.all(clients.map((client) => client.cluster("MYID")))
    for (const id of options.replicas === true ? ids : []) {
      const { node: replica } = await startNode()
      replicas.push(replica)
      await replica.command("CLUSTER", "MEET", "127.0.0.1", String(nodes[0]!.port), String(buses[0]))
      await eventually("a replica", () => replica.command("CLUSTER", "REPLICATE", id), (reply) => reply === "+OK")
    }
    if (replicas.length > 0) {
      // A failover takes a majority of the primaries, all of whom must have heard of the replicas.
      await inOrder()
      for (const [k, node] of nodes.entries()) {
        await eventually("a replica in step", () => node.command("WAIT", "1", "1000"), (reply) => reply === ":1")
        const seen = () => clients[k]!.cluster("NODES") as Promise<string>
        await eventually("replicas known as such", seen, (text) => text.match(/ (?:myself,)?slave /g)?.length === 3)
      }
    }
    const ownerOf = async (slot: number) => {
      const ranges = await clients[0]!.cluster("SLOTS") as unknown as ReadonlyArray<[number, number, [string, number]]>
      const port = ranges.find(([from, to]) => from <= slot && slot <= to)![2][1]
      return nodes.find((node) => node.port === port)!
    }
    const url = `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(",")}`
    return {
      nodes,
      replicas,
      url,
      servingUrl: asServingUser(url),
      ownerOf,
      inOrder,
      moveSlot: async (slot, to) => {
        const from = await ownerOf(slot)
        const [source, target] = [nodes.indexOf(from), nodes.indexOf(to)]
        await clients[target]!.call("CLUSTER", "SETSLOT", String(slot), "IMPORTING", ids[source]!)
        await clients[source]!.call("CLUSTER", "SETSLOT", String(slot), "MIGRATING", ids[target]!)
        for (;;) {
          const keys = await clients[source]!.call("CLUSTER", "GETKEYSINSLOT", String(slot), "1") as ReadonlyArray<
            string
          >
          if (keys.length === 0) break
          await clients[source]!.call("MIGRATE", "127.0.0.1", String(to.port), keys[0]!, "0", "5000")
        }
        for (const k of [target, source, ...nodes.keys()]) {
          await clients[k]!.call("CLUSTER", "SETSLOT", String(slot), "NODE", ids[target]!)
        }
      },
      stop: async () => {
        for (const client of clients) client.disconnect()
        await stopAll([...nodes, ...replicas])
      }
    }
  } catch (error) {
    await stopAll([...nodes, ...replicas])
    throw error
  }
}

/** Longest time without an OK from a moment on, in milliseconds: what clients saw of a failover. */
export const silence = (history: ReadonlyArray<Attempt>, from: number): number => {
  const times = [
    from,
    ...history.filter(({ answeredAt, outcome }) => outcome === "OK" && answeredAt >= from).map(({ answeredAt }) =>
      answeredAt
    )
  ]
  return Math.round(Math.max(...times.slice(1).map((time, k) => time - times[k]!)))
}

const PASSWORD = "a/b@c:d"

/** The lines of the ACL file that is deployed, with a password, as words. */
export const aclLines = (password: string): ReadonlyArray<ReadonlyArray<string>> =>
  Fs.readFileSync(new URL("../../deploy/redis-users.acl", import.meta.url), "utf8")
    .replace("@SHA256_OF_PASSWORD@", createHash("sha256").update(password).digest("hex"))
    .trim()
    .split("\n")
    .map((line) => line.split(" "))

/** Options of `redis-server` that add the serving user of that file; the tests' own, who may do everything, stays. */
export const servingUser = (): ReadonlyArray<string> =>
  ["--user", ...aclLines(PASSWORD).find(([, name]) => name === "coupon")!.slice(1)]

/** The URL for the serving user. */
export const asServingUser = (url: string): string => url.replace("//", `//coupon:${encodeURIComponent(PASSWORD)}@`)
