import { open } from "node:fs/promises"
import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { AdminAudit } from "../ports/AuditLog.ts"
import type { CommitInDoubt, LedgerUnavailable } from "../ports/Ledger.ts"
import { type BackupFailed, LedgerBackup, type Snapshot } from "../ports/LedgerBackup.ts"
import { StoreHealth } from "../ports/StoreHealth.ts"
import { Conflict, Unavailable } from "../contract/OperatorErrors.ts"
import type { BackupEvent } from "../contract/OperatorRpcs.ts"

type Event = typeof BackupEvent.Type
type Failure = Conflict | Unavailable | CommitInDoubt | LedgerUnavailable

/** Bytes of one event: about a millisecond of the event loop. A multiple of 3, so that base64 needs no padding but at the end. */
const CHUNK_BYTES = 196_608

const refused = (message: string) => new Unavailable({ message, retryAfterSeconds: 1 })

const failed = ({ message }: BackupFailed) => refused(`no backup was made: ${message}`)

/** Hands the file on, as fast as `tell` takes it. */
const send = ({ bytes, file, sha256 }: Snapshot, tell: (event: Event) => Effect.Effect<unknown>) =>
  Effect.acquireUseRelease(
    Effect.promise(() => open(file)),
    (handle) =>
      Effect.gen(function*() {
        yield* tell({ _tag: "Snapshot", bytes, sha256 })
        const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
        for (;;) {
          const { bytesRead } = yield* Effect.promise(() => handle.read(buffer, 0, CHUNK_BYTES))
          if (bytesRead === 0) break
          yield* tell({ _tag: "Chunk", base64: buffer.toString("base64", 0, bytesRead) })
        }
        yield* tell({ _tag: "Done" })
      }),
    (handle) => Effect.promise(() => handle.close())
  )

/** Copies the embedded ledger and sends it, or says how the database is backed up. One copy at a time; it ends with the caller. */
export const make: Effect.Effect<() => Stream.Stream<Event, Failure, AdminAudit | LedgerBackup | StoreHealth>> = Effect.map(
  Effect.makeSemaphore(1),
  (semaphore) => () =>
    Stream.unwrapScoped(Effect.gen(function*() {
      const way = yield* LedgerBackup
      if (way._tag === "Elsewhere") {
        return Stream.fromEffect(Effect.map(way.advice, (advice): Event => ({ _tag: "Elsewhere", ...advice })))
      }
      const audit = yield* AdminAudit
      const { troubles } = yield* StoreHealth
      // The file is read only as fast as the caller takes it.
      const events = yield* Mailbox.make<Event, Failure>(2)
      const work = Effect.gen(function*() {
        const snapshot = yield* Effect.mapError(
          way.take((bytes, of) => void events.unsafeOffer({ _tag: "Copying", bytes, of: Math.max(bytes, of) })),
          failed
        )
        // Whoever holds a copy holds every code: nothing leaves before the record of it is there.
        const facts = { bytes: snapshot.bytes, sha256: snapshot.sha256 }
        const record = audit.append({ action: "backup.create", campaignId: undefined, before: undefined, after: facts })
        yield* troubles().length === 0 ? record : Effect.ignore(record)
        yield* Effect.annotateLogs(Effect.logWarning("an operator takes a backup of the ledger"), facts)
        yield* send(snapshot, (event) => events.offer(event))
      }).pipe(
        Effect.scoped,
        semaphore.withPermitsIfAvailable(1),
        Effect.flatMap(Option.match({
          onNone: () => Effect.fail(new Conflict({ message: "this instance is making another backup" })),
          onSome: Effect.succeed
        }))
      )
      yield* Effect.forkScoped(Mailbox.into(work, events))
      return Mailbox.toStream(events)
    }))
)
