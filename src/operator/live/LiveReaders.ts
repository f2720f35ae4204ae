import type { ServerResponse } from "node:http"
import * as Duration from "effect/Duration"
import type { Live, LiveSale } from "../../contract/Live.ts"
import { mayTouch, type Principal } from "../../domain/Principal.ts"
import { protections } from "../../metrics/ProtectionMetrics.ts"
import type { Response } from "../../rpc/Request.ts"
import { endUnread, keyOf, UNREAD_MILLIS } from "../admission/OperatorSlots.ts"
import { LIFE, visibleTo } from "../OverviewSampler.ts"
import type { Gathered } from "./LiveSamples.ts"
import type { LiveSales } from "./LiveSales.ts"

/** Of all keys, and of one: a hundred consoles may share a key. Each holds a line of some kilobytes at most. */
export const MOST_READERS = 256
export const MOST_OF_A_KEY = 128

/** Lines that are written in a turn of the event loop: claims are not to wait for a hundred. */
const WRITES_A_TURN = 8

/** One open answer. */
export interface Reader {
  readonly response: Response
  readonly principal: Principal
  /** The campaign of which it reads more; `undefined`: none. */
  readonly campaignId: number | undefined
}

/** What a line has besides the samples. */
export type Details = Pick<Live, "auditHead"> & { readonly campaigns: ReadonlyMap<number, Live["campaign"]> }

/** Those who read the stream. All that see the same get the same bytes, which are made once. */
export interface LiveReaders {
  /** `false`: there are as many readers as may be, of the key or of all. */
  readonly add: (reader: Reader) => boolean
  readonly all: () => ReadonlySet<Reader>
  readonly write: (gathered: Gathered, details: Details) => void
  readonly end: (reader: Reader) => void
}

/** Since when all of these count. */
const countedSince = ({ instances }: Gathered): number =>
  Math.min(...instances.map(({ at, uptimeSeconds }) => at - uptimeSeconds * 1_000))

export const make = (sales: Pick<LiveSales, "all" | "news">): LiveReaders => {
  const readers = new Set<Reader>()
  /** Those that have every second of their campaign which was there at the last line. */
  const informed = new WeakSet<Reader>()
  const late = new Map<Reader, NodeJS.Timeout>()

  const ofKey = (principal: Principal) => {
    let count = 0
    for (const reader of readers) if (keyOf(reader.principal) === keyOf(principal)) count++
    return count
  }

  const end = (reader: Reader) => {
    if (!readers.delete(reader)) return
    clearTimeout(late.get(reader))
    late.delete(reader)
    reader.response.end()
  }

  /** While there are any, the next of them are about to be written. */
  const unwritten: Array<readonly [Reader, Buffer]> = []

  const writeSome = () => {
    for (const [reader, line] of unwritten.splice(0, WRITES_A_TURN)) {
      if (readers.has(reader)) (reader.response as ServerResponse).write(line)
    }
    if (unwritten.length > 0) setImmediate(writeSome)
  }

  const lineFor = (reader: Reader, gathered: Gathered, details: Details): Buffer => {
    const { campaignId, principal } = reader
    const saleOf = (id: number): LiveSale | null => {
      const seconds = informed.has(reader) ? sales.news(id) : sales.all(id)
      return seconds === undefined ? null : { since: countedSince(gathered), seconds }
    }
    const live: Live = {
      ...gathered,
      instances: gathered.instances.map(visibleTo(principal)),
      auditHead: details.auditHead,
      ...campaignId === undefined
        ? {}
        : { campaign: details.campaigns.get(campaignId) ?? null, sale: saleOf(campaignId) }
    }
    return Buffer.from(`${JSON.stringify(live)}\n`)
  }

  return {
    all: () => readers,
    end,
    add: (reader) => {
      const { campaignId, principal, response } = reader
      if (readers.size >= MOST_READERS || ofKey(principal) >= MOST_OF_A_KEY) {
        protections.operatorCalls.add()
        return false
      }
      if (campaignId !== undefined && !mayTouch(principal, campaignId)) return false
      readers.add(reader)
      const life = setTimeout(() => end(reader), Duration.toMillis(LIFE)).unref()
      response.once("close", () => {
        clearTimeout(life)
        clearTimeout(late.get(reader))
        late.delete(reader)
        readers.delete(reader)
      })
      return true
    },
    write: (gathered, details) => {
      const lines = new Map<string, Buffer>()
      const isIdle = unwritten.length === 0
      for (const reader of readers) {
        const plain = reader.response as ServerResponse
        // It has not read the line before. This one is left out: the next one replaces it.
        if (plain.writableNeedDrain) {
          informed.delete(reader)
          if (!late.has(reader)) late.set(reader, setTimeout(() => endUnread(reader.response), UNREAD_MILLIS).unref())
          continue
        }
        clearTimeout(late.get(reader))
        late.delete(reader)
        const { campaignId, principal } = reader
        const allowed = principal.campaigns === undefined ? "all" : [...principal.campaigns].join(",")
        const kind = `${campaignId} ${informed.has(reader)} ${allowed}`
        let line = lines.get(kind)
        if (line === undefined) lines.set(kind, line = lineFor(reader, gathered, details))
        informed.add(reader)
        unwritten.push([reader, line])
      }
      if (isIdle) writeSome()
    }
  }
}
