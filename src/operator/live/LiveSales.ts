import { added, MAX_SALE_SECONDS, type SaleSecond } from "../../domain/sale/SaleSecond.ts"

/** What an instance wants of the others: a campaign's seconds from this one on (Unix time). */
export type Want = readonly [campaignId: number, from: number]

/** What it gets of one of them. */
export type Part = readonly [campaignId: number, seconds: ReadonlyArray<SaleSecond>]

/** Of so many campaigns at a time an instance adds up the seconds; each takes up to 100 kB an instance. */
export const MAX_WATCHED = 16

/** At most so many seconds go into one notice, of all campaigns that are wanted: 200 kB. */
export const MAX_POSTED = 4_000

/** Seconds that may still grow, or that an instance has not posted yet. */
const RECENT_SECONDS = 10

/**
 * For so long an instance asks for all that the others remember: an idle one looks every 5 s. So many campaigns at a
 * time: a notice has no place for more.
 */
const ASKED_MILLIS = 10_000
const MAX_ASKED = 4

/** For so long the seconds of a campaign are kept without a reader. */
const LEFT_MILLIS = 60_000

interface Watched {
  readonly ofInstances: Map<string, Map<number, SaleSecond>>
  /** Until when all is wanted of the others; `undefined`: it has not been asked for. */
  askedUntil: number | undefined
  readAt: number
  /** Seconds that have changed since the last line. */
  readonly changed: Set<number>
}

/** The seconds of the campaigns that are watched here, added up over the instances. */
export interface LiveSales {
  /** Notes which campaigns have readers. `now`: epoch milliseconds. */
  readonly watch: (campaignIds: ReadonlySet<number>, now: number) => void
  readonly wants: (now: number) => ReadonlyArray<Want>
  /** Takes what an instance has counted, in place of what it had for the same seconds. */
  readonly take: (instance: string, parts: ReadonlyArray<Part>) => void
  /** Every second that is known of a campaign, oldest first; `undefined`: its seconds are not added up. */
  readonly all: (campaignId: number) => ReadonlyArray<SaleSecond> | undefined
  /** Those that have changed since `settle`. */
  readonly news: (campaignId: number) => ReadonlyArray<SaleSecond> | undefined
  readonly settle: () => void
}

const isSame = (a: SaleSecond | undefined, b: SaleSecond): boolean =>
  a?.length === b.length && b.every((value, k) => value === a[k])

const isId = (value: unknown): value is number => Number.isSafeInteger(value)

/** Seconds as another instance, perhaps of another version, has sent them. */
const isSecond = (value: unknown): value is SaleSecond =>
  Array.isArray(value) && value.length > 1 && value.length <= 32 && value.every((one) => Number.isFinite(one))

/** The parts that fit into one notice. `since`: what this instance remembers of a campaign. */
export const partsOf = (
  wants: ReadonlyArray<Want>,
  since: (campaignId: number, second: number) => ReadonlyArray<SaleSecond>
): ReadonlyArray<Part> => {
  const from = new Map<number, number>()
  for (const [campaignId, second] of wants) {
    if (isId(campaignId) && isId(second)) from.set(campaignId, Math.min(second, from.get(campaignId) ?? Infinity))
  }
  let left = MAX_POSTED
  return Array.from(from).flatMap(([campaignId, second]): ReadonlyArray<Part> => {
    const seconds = since(campaignId, second)
    if (seconds.length === 0 || seconds.length > left) return []
    left -= seconds.length
    return [[campaignId, seconds]]
  })
}

export const make = (): LiveSales => {
  const watched = new Map<number, Watched>()

  const merged = (of: Watched, seconds: Iterable<number>): ReadonlyArray<SaleSecond> =>
    Array.from(new Set(seconds)).sort((a, b) => a - b).slice(-MAX_SALE_SECONDS).flatMap((second) => {
      const parts = Array.from(of.ofInstances.values(), (own) => own.get(second)).filter((one) => one !== undefined)
      return parts.length === 0 ? [] : [parts.reduce(added)]
    })

  const put = (of: Watched, instance: string, seconds: ReadonlyArray<SaleSecond>) => {
    let own = of.ofInstances.get(instance)
    if (own === undefined) of.ofInstances.set(instance, own = new Map())
    for (const one of seconds) {
      const second = one[0]!
      if (isSame(own.get(second), one)) continue
      own.set(second, one)
      of.changed.add(second)
    }
    const over = own.size - MAX_SALE_SECONDS
    if (over > 0) for (const second of [...own.keys()].sort((a, b) => a - b).slice(0, over)) own.delete(second)
  }

  return {
    watch: (campaignIds, now) => {
      for (const campaignId of campaignIds) {
        const known = watched.get(campaignId)
        if (known !== undefined) known.readAt = now
        else if (watched.size < MAX_WATCHED) {
          watched.set(campaignId, { ofInstances: new Map(), askedUntil: undefined, readAt: now, changed: new Set() })
        }
      }
      for (const [campaignId, { readAt }] of watched) if (now - readAt > LEFT_MILLIS) watched.delete(campaignId)
    },
    wants: (now) => {
      let asking = 0
      for (const { askedUntil } of watched.values()) if (askedUntil !== undefined && askedUntil > now) asking++
      return Array.from(watched, ([campaignId, of]): Want => {
        if (of.askedUntil === undefined && asking < MAX_ASKED) {
          asking++
          of.askedUntil = now + ASKED_MILLIS
        }
        const isAsked = of.askedUntil !== undefined && of.askedUntil > now
        return [campaignId, isAsked ? 0 : Math.floor(now / 1_000) - RECENT_SECONDS]
      })
    },
    take: (instance, parts) => {
      for (const [campaignId, seconds] of parts) {
        const of = watched.get(campaignId)
        if (of !== undefined && Array.isArray(seconds)) put(of, instance, seconds.filter(isSecond))
      }
    },
    all: (campaignId) => {
      const of = watched.get(campaignId)
      return of && merged(of, Array.from(of.ofInstances.values()).flatMap((own) => [...own.keys()]))
    },
    news: (campaignId) => {
      const of = watched.get(campaignId)
      return of && merged(of, of.changed)
    },
    settle: () => {
      for (const { changed } of watched.values()) changed.clear()
    }
  }
}
