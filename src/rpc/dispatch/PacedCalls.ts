import * as Effect from "effect/Effect"
import { Overloaded } from "../../domain/Failure.ts"

/** Runs a few calls at a time, those of each client in turn. */
export interface PacedCalls {
  /** Runs the work when it is its client's turn; `Overloaded`: too many wait. */
  readonly run: <A, E>(client: number, work: Effect.Effect<A, E>) => Effect.Effect<A, E | Overloaded>
}

/** Each reads from the ledger. In the process that does one thing at a time, so a group commit waits for so many. */
const AT_ONCE = 8

/** Calls that wait, of one client and of all. */
const MOST_OF_A_CLIENT = 256
const MOST_WAITING = 2_048

const tooMany = new Overloaded({ retryAfterSeconds: 1 })

/** A call that waits, runs, or is over. */
interface Ticket {
  state: "Waiting" | "Running" | "Over"
  start: () => void
}

export const make = (): PacedCalls => {
  const queues = new Map<number, Array<Ticket>>()
  let [running, waiting] = [0, 0]

  const reserve = (ticket: Ticket) => {
    running++
    ticket.state = "Running"
  }

  /** The call that has waited longest of the client whose turn it is. */
  const shift = (): Ticket | undefined => {
    for (const [client, queue] of queues) {
      // Behind those who have not had a turn.
      queues.delete(client)
      const ticket = queue.shift()
      if (queue.length > 0) queues.set(client, queue)
      waiting--
      return ticket
    }
    return undefined
  }

  const end = (ticket: Ticket) => {
    const wasRunning = ticket.state === "Running"
    ticket.state = "Over"
    if (!wasRunning) return
    running--
    for (let next = shift(); next !== undefined; next = shift()) {
      // One whose caller left has its place in the queue still.
      if (next.state !== "Waiting") continue
      reserve(next)
      // Fibers follow each other without an end of the event loop's turn, and an embedded ledger answers at once.
      setImmediate(next.start)
      return
    }
  }

  const wait = (client: number, ticket: Ticket): Effect.Effect<void, Overloaded> =>
    Effect.async<void, Overloaded>((resume) => {
      ticket.start = () => resume(Effect.void)
      if (running < AT_ONCE) {
        reserve(ticket)
        return ticket.start()
      }
      const queue = queues.get(client)
      if (waiting >= MOST_WAITING || (queue !== undefined && queue.length >= MOST_OF_A_CLIENT)) {
        return resume(Effect.fail(tooMany))
      }
      waiting++
      if (queue === undefined) queues.set(client, [ticket])
      else queue.push(ticket)
    })

  return {
    run: (client, work) =>
      Effect.suspend(() => {
        const ticket: Ticket = { state: "Waiting", start: () => {} }
        return Effect.ensuring(Effect.zipRight(wait(client, ticket), work), Effect.sync(() => end(ticket)))
      })
  }
}
