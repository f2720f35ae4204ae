import { makeRandom } from "./Random.ts"

/** Everything that can go wrong in a run, and what it does. */
export const faultKinds = {
  killApp: "SIGKILL an instance, start another",
  pauseApp: "SIGSTOP an instance",
  stopApp: "SIGTERM an instance under load, start another",
  killDatabase: "SIGKILL the database, restart it on its data",
  pauseDatabase: "SIGSTOP the database",
  emptyRedis: "SIGKILL Redis, which comes back empty",
  flush: "FLUSHALL",
  flushStorm: "FLUSHALL five times in a row",
  loseTail: "snapshot of Redis, some time, SIGKILL, restart from the snapshot",
  evict: "Redis loses one key of each campaign: its terms, its holders or its reservations",
  fullRedis: "Redis refuses to write for want of memory",
  cut: "cut an instance's connections to a store (FIN)",
  reset: "reset an instance's connections to a store (RST)",
  refuse: "a store refuses an instance's connections",
  partition: "silence both ways between an instance and a store",
  swallow: "an instance's requests reach a store, the replies are lost",
  latency: "delay between an instance and a store",
  replyLost: "a group commit reaches the database, its connection dies before the reply",
  lateDelivery: "a group commit's connection dies, and its bytes reach the database later",
  foreignLock: "a foreign transaction holds a campaign's row",
  tableLock: "a foreign session holds the coupons' table, as a change of its columns does",
  backupLock: "a foreign session holds all that the database has, as a backup does",
  readOnly: "the database refuses to write",
  killQuery: "the service's statements are killed, again and again",
  crowd: "foreign connections take all that the database grants",
  disconnects: "clients leave before their answer",
  doubleClicks: "users click twice, with short timeouts, while a foreign transaction holds a campaign's row",
  receivers: "receivers of webhooks fail at random: slow, silent, 500, 429 with Retry-After, connection reset",
  clockJump: "an instance's clock jumps an hour ahead, and later back"
} as const

export type FaultKind = keyof typeof faultKinds

/** One planned fault. */
export interface Fault {
  readonly kind: FaultKind
  /** Milliseconds after the start of the load. */
  readonly at: number
  /** How long it lasts, where it lasts. */
  readonly millis: number
  /** Index of the instance concerned, for faults of one instance. */
  readonly node: number
  /** The store concerned, for faults of the network. */
  readonly store: "sql" | "redis"
}

/** How long each kind lasts, at least and at most, in milliseconds. */
const lengths: Readonly<Record<FaultKind, readonly [number, number]>> = {
  killApp: [0, 500],
  // Longer than a reservation lives, at times.
  pauseApp: [500, 5_500],
  stopApp: [0, 200],
  killDatabase: [0, 500],
  pauseDatabase: [300, 3_500],
  emptyRedis: [0, 1_000],
  flush: [0, 0],
  flushStorm: [20, 150],
  loseTail: [200, 1_000],
  evict: [0, 0],
  fullRedis: [200, 2_500],
  cut: [0, 0],
  reset: [0, 0],
  refuse: [300, 2_500],
  partition: [300, 3_500],
  swallow: [300, 3_500],
  latency: [500, 3_000],
  replyLost: [50, 300],
  lateDelivery: [100, 3_000],
  foreignLock: [1_000, 4_000],
  tableLock: [300, 4_000],
  backupLock: [300, 4_000],
  readOnly: [300, 2_500],
  killQuery: [300, 1_500],
  crowd: [500, 2_000],
  disconnects: [500, 2_000],
  // Longer than REQUEST_TIMEOUT, so that both kinds of timeout pass.
  doubleClicks: [3_200, 4_500],
  receivers: [2_000, 5_000],
  clockJump: [500, 3_000]
}

const all = Object.keys(faultKinds) as Array<FaultKind>

/** Pause between the starts of two faults, on average: many overlap with the one before. */
const EVERY_MILLIS = 1_300

/** Pause between the starts of two faults of a run that has one of every kind in its time. */
export const oneOfEach = (seconds: number): number => (seconds * 1_000) / all.length

/**
 * The faults of a run, which its seed and length decide. A long run has every kind; of short ones, consecutive seeds
 * take turns, so that some runs together have all.
 */
export const schedule = (
  seed: number,
  seconds: number,
  nodes: number,
  everyMillis: number = EVERY_MILLIS
): ReadonlyArray<Fault> => {
  const random = makeRandom(seed)
  const count = Math.max(1, Math.floor((seconds * 1_000) / everyMillis))
  const kinds = Array.from({ length: count }, (_, k) => all[(seed * count + k) % all.length]!)
  // A turn of seeds decides which; chance decides the order.
  for (let k = kinds.length - 1; k > 0; k--) {
    const other = random.integer(0, k)
    const kind = kinds[k]!
    kinds[k] = kinds[other]!
    kinds[other] = kind
  }
  return kinds.map((kind, k) => ({
    kind,
    at: Math.round((k + random.next()) * everyMillis),
    millis: random.integer(...lengths[kind]),
    node: random.integer(0, nodes - 1),
    store: random.pick(["sql", "redis"] as const)
  }))
}

const ofNetwork: ReadonlySet<FaultKind> = new Set(["cut", "reset", "refuse", "partition", "swallow", "latency"])
const ofInstance: ReadonlySet<FaultKind> = new Set([
  ...ofNetwork, "killApp", "pauseApp", "stopApp", "replyLost", "lateDelivery", "clockJump", "crowd"
])

/** A planned fault in one line. */
export const show = ({ at, kind, millis, node, store }: Fault): string =>
  [
    `${(at / 1_000).toFixed(2).padStart(6)} s  ${kind}`,
    ...ofInstance.has(kind) ? [`instance ${node}`] : [],
    ...ofNetwork.has(kind) ? [store] : [],
    ...millis > 0 ? [`${millis} ms`] : []
  ].join("  ")
