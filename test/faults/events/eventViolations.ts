import type { Mode, Receiver } from "./Receivers.ts"
import type { Watcher } from "./Watcher.ts"

/** An event as the ledger has it. */
export interface LoggedEvent {
  readonly sequence: number
  readonly type: string
  readonly firstNumber: number
  readonly lastNumber: number
  /** When it happened, as epoch milliseconds. */
  readonly at: number
}

/** The ids under which a campaign's events after a sequence come to a receiver, in their order. */
const expectedIds = (
  mode: Mode,
  campaignId: number,
  log: ReadonlyArray<LoggedEvent>,
  afterSequence: number
): ReadonlyArray<string> =>
  log.filter(({ sequence }) => sequence > afterSequence).flatMap(({ firstNumber, lastNumber, sequence, type }) =>
    mode === "RANGE" || type !== "coupon.issued"
      ? [`${campaignId}-${sequence}`]
      : Array.from(
        { length: lastNumber - firstNumber + 1 },
        (_, k) => `${campaignId}-${sequence}-${firstNumber + k}`
      ))

type Received = Pick<Receiver, "mode" | "accepted">

const acceptedOf = ({ accepted }: Received, campaignId: number): ReadonlyArray<string> =>
  accepted.flat().filter((id) => id.startsWith(`${campaignId}-`))

/** Which events of a campaign no request that was answered 2xx has brought: one line, or none. */
export const missing = (
  receiver: Received,
  campaignId: number,
  log: ReadonlyArray<LoggedEvent>,
  afterSequence: number
): ReadonlyArray<string> => {
  const had = new Set(acceptedOf(receiver, campaignId))
  const expected = expectedIds(receiver.mode, campaignId, log, afterSequence)
  const absent = expected.filter((id) => !had.has(id))
  return absent.length === 0
    ? []
    : [`E3 campaign ${campaignId}: ${absent.length} of ${expected.length} events did not come to the endpoint ` +
      `${receiver.mode}, the first of them ${absent[0]}`]
}

/**
 * E3 but for what is missing: each event that comes for the first time comes after those before it. What had come
 * before may come again, as may events from before `afterSequence`.
 */
export const deliveryViolations = (
  receiver: Received,
  campaignId: number,
  log: ReadonlyArray<LoggedEvent>,
  afterSequence: number
): ReadonlyArray<string> => {
  const places = new Map(
    expectedIds(receiver.mode, campaignId, log, afterSequence).map((id, place) => [id, place] as const)
  )
  const earlier = new Set(expectedIds(receiver.mode, campaignId, log.filter(({ sequence }) =>
    sequence <= afterSequence), 0))
  const say = (text: string) => [`E3 campaign ${campaignId}: the endpoint ${receiver.mode} received ${text}`]
  let next = 0
  for (const id of acceptedOf(receiver, campaignId)) {
    if (earlier.has(id)) continue
    const place = places.get(id)
    if (place === undefined) return say(`${id}, which the log does not have`)
    if (place > next) return say(`${id} before ${[...places.keys()][next]}`)
    if (place === next) next++
  }
  return []
}

/** E4 but for what is missing: each event is what the log has under its sequences. */
export const watchViolations = (
  { campaignId, events }: Pick<Watcher, "campaignId" | "events">,
  log: ReadonlyArray<LoggedEvent>
): ReadonlyArray<string> =>
  events.flatMap(({ firstNumber, firstSequence, lastNumber, sequence, type }) => {
    const covered = log.slice(firstSequence - 1, sequence)
    const [first, last] = [covered[0], covered.at(-1)]
    const isSame = first?.sequence === firstSequence && last?.sequence === sequence &&
      first.firstNumber === firstNumber && last.lastNumber === lastNumber &&
      covered.every((event) => event.type === type && (type === "coupon.issued" || covered.length === 1))
    return isSame
      ? []
      : [`E4 campaign ${campaignId}: a watcher received ${firstSequence} to ${sequence} as ${type} ${firstNumber} to ` +
        `${lastNumber}, which the log does not have`]
  }).slice(0, 3)
