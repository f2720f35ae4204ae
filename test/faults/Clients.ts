import { setTimeout as pause } from "node:timers/promises"
import type { LoadGenerator, Wish } from "../e2e/load.ts"
import { OPEN, type Attempt } from "../invariants/History.ts"
import { makeRandom } from "./Random.ts"

/** A campaign and how many of the claims are for it. */
export interface Demand {
  readonly campaignId: number
  readonly weight: number
}

/** Users who claim without end, as a seed decides. */
export interface Clients {
  /** From now on a third of the requests is abandoned before its answer, or no longer. */
  readonly leaveEarly: (does: boolean) => void
  /**
   * From now on each claim is made twice, 3 ms apart, at one instance, or no longer; half of the second ones have short
   * timeouts.
   */
  readonly doubleClick: (does: boolean) => void
  /** Resolves when every client has its last answer. */
  readonly stop: () => Promise<void>
}

const HOT_USERS = 40
const HOT_SHARE = 0.15
const PAIRED_SHARE = 0.1
const RETRIES = 6

/**
 * Pause between two claims of a client, on average half of it: 40 clients then ask some 2,000 times a second while all
 * is well.
 */
const THINK_MILLIS = 40

export const askAgain = ({ outcome }: Attempt): boolean =>
  OPEN.has(outcome) || outcome === "UNAVAILABLE" || outcome === "OVERLOADED"

/**
 * Starts that many clients. 15 % of the claims are of few, hot users, the rest of a new one each; 10 % are made at two
 * instances at once. Every other client asks again, elsewhere, after an answer that leaves its claim open.
 */
export const startClients = (
  load: LoadGenerator,
  urls: () => ReadonlyArray<string>,
  demands: ReadonlyArray<Demand>,
  count: number,
  seed: number
): Clients => {
  let stopping = false
  let leaving = false
  let clickingTwice = false
  const total = demands.reduce((sum, { weight }) => sum + weight, 0)

  const run = async (client: number) => {
    const random = makeRandom(seed * 1_000 + client + 1)
    const patient = client % 2 === 0
    let newUser = (client + 1) * 1_000_000

    const campaign = () => {
      let left = random.next() * total
      return (demands.find(({ weight }) => (left -= weight) < 0) ?? demands[0]!).campaignId
    }
    const claim = async (wish: Wish, url: string): Promise<Attempt> => {
      if (!leaving || !random.chance(1 / 3)) return load.claim(url, wish)
      const leave = new AbortController()
      const timer = setTimeout(() => leave.abort(), random.integer(0, 8))
      const attempt = await load.claim(url, wish, leave.signal)
      clearTimeout(timer)
      return attempt
    }
    const insist = async (wish: Wish, first: number) => {
      for (let attempt = 0; attempt <= (patient ? RETRIES : 0); attempt++) {
        const all = urls()
        const url = all[(first + attempt) % all.length]!
        const second = clickingTwice
          ? pause(3).then(() =>
            claim(random.chance(1 / 2) ? { ...wish, timeoutMillis: random.integer(1, 60) } : wish, url)
          )
          : undefined
        const answer = await claim(wish, url)
        await second
        if (!askAgain(answer)) return
        await pause(random.integer(10, 60))
      }
    }

    while (!stopping) {
      const userId = random.chance(HOT_SHARE) ? random.integer(1, HOT_USERS) : newUser++
      const wish = { campaignId: campaign(), userId }
      const first = random.integer(0, 2)
      await Promise.all(
        random.chance(PAIRED_SHARE) ? [insist(wish, first), insist(wish, first + 1)] : [insist(wish, first)]
      )
      await pause(random.next() * THINK_MILLIS)
    }
  }

  const done = Promise.all(Array.from({ length: count }, (_, client) => run(client)))
  return {
    leaveEarly: (does) => {
      leaving = does
    },
    doubleClick: (does) => {
      clickingTwice = does
    },
    stop: async () => {
      stopping = true
      await done
    }
  }
}
