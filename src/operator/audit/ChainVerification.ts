import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { ChainEvent } from "../../contract/operator/Audit.ts"
import { AuditChain, type ChainHead, type ChainLink } from "../../ports/AuditChain.ts"
import type { LedgerUnavailable } from "../../ports/Ledger.ts"

type Event = typeof ChainEvent.Type
type Flaw = Extract<Event, { readonly _tag: "Flaw" }>

/** Links in one page: some 4 ms of the embedded ledger and of this process, in which no claim is served. */
const PAGE = 250
/** Beyond this many flaws they are only counted. */
const MAX_FLAWS = 1_000
/** Acts that get a place before the verification begins. */
const SEAL = 1_000

const flaw = (sequence: number, kind: Flaw["kind"]): Flaw => ({ _tag: "Flaw", sequence, kind })

/** What is wrong with a link that comes after place `last`. */
const flawsOf = (link: ChainLink, last: number): ReadonlyArray<Flaw> => {
  const { expected, hash, record, sequence } = link
  if (sequence !== last + 1) return [flaw(last + 1, "PlaceMissing")]
  if (record === undefined) return [flaw(sequence, "ActMissing")]
  return expected === hash ? [] : [flaw(sequence, "ActChanged")]
}

interface State {
  readonly last: number
  readonly flaws: number
  /** Acts whose reason has no part in their hash. */
  readonly unsealedReasons: number
  readonly matched: boolean
}

/**
 * Reads the whole chain up to its head. `expected`: a place and its hash as they were elsewhere; a chain that was made
 * anew from changed acts is sound in itself, and differs there.
 */
export const verify = (
  expected: ChainHead | undefined
): Stream.Stream<Event, LedgerUnavailable, AuditChain> =>
  Stream.unwrap(Effect.gen(function*() {
    const chain = yield* AuditChain
    yield* chain.seal(SEAL)
    const head = yield* chain.head
    const begin: State = {
      last: 0,
      flaws: 0,
      unsealedReasons: 0,
      matched: expected === undefined || expected.sequence === 0
    }
    let end = begin
    const pages = Stream.paginateChunkEffect(begin, (state) =>
      Effect.map(chain.links(state.last, PAGE), (page) => {
        const links = page.filter(({ sequence }) => sequence <= head.sequence)
        const found: Array<Event> = []
        let { flaws, last, matched, unsealedReasons } = state
        for (const link of links) {
          for (const one of flawsOf(link, last)) if (++flaws <= MAX_FLAWS) found.push(one)
          last = link.sequence
          if (!link.isReasonSealed) unsealedReasons++
          if (last === expected?.sequence && link.hash === expected.hash) matched = true
        }
        found.push({ _tag: "Progress", acts: last })
        end = { last, flaws, unsealedReasons, matched }
        const isLast = links.length < page.length || page.length < PAGE
        return [Chunk.fromIterable(found), isLast ? Option.none() : Option.some(end)] as const
      }))
    const rest = Stream.unwrap(Effect.gen(function*() {
      const last: Array<Event> = []
      const [tail] = yield* chain.links(Math.max(0, head.sequence - 1), 1)
      if (end.last < head.sequence) last.push(flaw(end.last + 1, "TailMissing"))
      else if (head.sequence > 0 && tail?.hash !== head.hash) last.push(flaw(head.sequence, "TailMissing"))
      if (!end.matched) last.push(flaw(expected!.sequence, "OtherHistory"))
      const { hash, sequence: acts } = head
      const unsealed = yield* chain.unsealed
      const { unsealedReasons } = end
      last.push({ _tag: "Done", acts, hash, flaws: end.flaws + last.length, unsealed, unsealedReasons })
      return Stream.fromIterable(last)
    }))
    return Stream.concat(pages, rest)
  }))
