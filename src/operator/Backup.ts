import { open } from "node:fs/promises"
import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Actor } from "../domain/Actor.ts"
import { changeBy } from "../domain/ChangeRecord.ts"
import { AuditLog } from "../ports/AuditLog.ts"
import type { CommitInDoubt, LedgerUnavailable } from "../ports/Ledger.ts"
import { type BackupFailed, LedgerBackup, type Snapshot } from "../ports/operation/LedgerBackup.ts"
import { StoreHealth } from "../ports/StoreHealth.ts"
import { Conflict, Unavailable } from "../contract/OperatorErrors.ts"
import type { BackupEvent } from "../contract/operator/Backup.ts"

type Event = typeof BackupEvent.Type
type Failure = Conflict | Unavailable | CommitInDoubt | LedgerUnavailable

/** Bytes in one event: about 1 ms of the event loop. A multiple of 3: only the last chunk has base64 padding. */
const CHUNK_BYTES = 196_608

const unavailable = (message: string) => new Unavailable({ message, retryAfterSeconds: 1 })

const failed = ({ message }: BackupFailed) => unavailable(`no backup was made: ${message}`)

/** Sends the file, as fast as `emit` takes it. */
const send = ({ bytes, file, sha256 }: Snapshot, emit: (event: Event) => Effect.Effect<unknown>) =>
  Effect.acquireUseRelease(
    Effect.promise(() => open(file)),
    (handle) =>
      Effect.gen(function*() {
        yield* emit({ _tag: "Snapshot", bytes, sha256 })
        const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
        for (;;) {
          const { bytesRead } = yield* Effect.promise(() => handle.read(buffer, 0, CHUNK_BYTES))
          if (bytesRead === 0) break
          yield* emit({ _tag: "Chunk", base64: buffer.toString("base64", 0, bytesRead) })
        }
        yield* emit({ _tag: "Done" })
      }),
    (handle) => Effect.promise(() => handle.close())
  )

type Services = AuditLog | LedgerBackup | StoreHealth

/**
 * Copies the embedded ledger and sends the copy, or returns advice on how to back up the database. One copy at a time;
 * it ends with the caller. The audit log has it as done by `actor`.
 */
export const make: Effect.Effect<(actor: Actor) => Stream.Stream<Event, Failure, Services>> = Effect.map(
  Effect.makeSemaphore(1),
  (semaphore) => (actor) =>
    Stream.unwrapScoped(Effect.gen(function*() {
      const way = yield* LedgerBackup
      if (way._tag === "Elsewhere") {
        return Stream.fromEffect(Effect.map(way.advice, (advice): Event => ({ _tag: "Elsewhere", ...advice })))
      }
      const audit = yield* AuditLog
      const { troubles } = yield* StoreHealth
      // The file is read only as fast as the caller takes it.
      const events = yield* Mailbox.make<Event, Failure>(2)
      const work = Effect.gen(function*() {
        const snapshot = yield* Effect.mapError(
          way.take((bytes, of) => void events.unsafeOffer({ _tag: "Copying", bytes, of: Math.max(bytes, of) })),
          failed
        )
        // A copy holds every code: no byte of it is sent before the audit log has its record.
        const facts = { bytes: snapshot.bytes, sha256: snapshot.sha256 }
        const act = { action: "backup.create", campaignId: undefined, before: undefined, after: facts }
        const record = audit.append({ ...changeBy(actor), ...act, outcome: "DONE" })
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
