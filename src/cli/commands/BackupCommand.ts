import { createHash } from "node:crypto"
import { once } from "node:events"
import { existsSync } from "node:fs"
import * as Fs from "node:fs/promises"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { BackupEvent } from "../../contract/operator/Backup.ts"
import { CliFailure, usage } from "../CliFailure.ts"
import { withOperator } from "./Commands.ts"
import * as Connection from "../Connection.ts"
import * as Output from "../Output.ts"

type Event = typeof BackupEvent.Type

const STANDARD_OUTPUT = "-"

const problem = (message: string, hint?: string) =>
  new CliFailure({ exit: "FAILED", code: "BACKUP_FAILED", message, hint })

const attempt = <A>(what: string, run: () => Promise<A>): Effect.Effect<A, CliFailure> =>
  Effect.tryPromise({ try: run, catch: (error) => problem(`${what}: ${(error as Error).message}`) })

/** Where the copy goes. */
interface Target {
  readonly write: (bytes: Buffer) => Effect.Effect<void, CliFailure>
  /** Writes all to the disk and gives the file its name. */
  readonly finish: Effect.Effect<void, CliFailure>
}

const standardOutput: Target = {
  write: (bytes) =>
    attempt("standard output", async () => {
      if (!process.stdout.write(bytes)) await once(process.stdout, "drain")
    }),
  finish: Effect.void
}

/** A file that gets its name once it is complete. Only its owner may read it, because it holds every code. */
const fileTarget = (file: string): Effect.Effect<Target, CliFailure, Scope.Scope> =>
  Effect.gen(function*() {
    const partial = `${file}.partial`
    const handle = yield* Effect.acquireRelease(
      attempt(partial, () => Fs.open(partial, "wx", 0o600)),
      (handle) => Effect.promise(() => handle.close().then(() => Fs.rm(partial, { force: true })))
    )
    return {
      write: (bytes) => attempt(partial, () => handle.writeFile(bytes)),
      finish: attempt(file, async () => {
        await handle.sync()
        await Fs.rename(partial, file)
      })
    }
  })

const timestamp = () => new Date().toISOString().replace(/[-:]|\.\d+/g, "")

/** The database's own tools make the backup. This fails, because nothing was copied and a script must notice. */
const elsewhere = (event: Extract<Event, { readonly _tag: "Elsewhere" }>, file: string, json: boolean) =>
  Effect.gen(function*() {
    const { command, notes, server } = event
    const toFile = `${command} > ${/^[\w./-]+$/.test(file) ? file : `'${file.replaceAll("'", "'\\''")}'`}`
    if (file !== STANDARD_OUTPUT) {
      yield* json
        ? Output.json({ server, command: toFile, notes })
        : Output.line([...notes.map((note) => `# ${note}`), toFile].map(Output.printable).join("\n"))
    }
    return yield* new CliFailure({
      exit: "PRECONDITION",
      code: "BACKUP_ELSEWHERE",
      message: `nothing was copied: the ledger is ${server}, whose own tools back it up while the service runs`,
      hint: file === STANDARD_OUTPUT ? command : "the command for it is on standard output"
    })
  })

export const backup = Command.make(
  "backup",
  {
    to: Options.text("to").pipe(
      Options.withDescription(
        "the file to write, which must not exist yet, or - for standard output; unless given, coupon-<time>.db here"
      ),
      Options.optional
    ),
    ...Connection.acting
  },
  ({ to, ...given }) =>
    withOperator(given, (client, { json }) =>
      Effect.gen(function*() {
        const file = Option.getOrElse(to, () => `coupon-${timestamp()}.db`)
        if (file !== STANDARD_OUTPUT && existsSync(file)) {
          return yield* usage(`${file} is there already; choose another name`)
        }
        const hash = createHash("sha256")
        let target: Target | undefined
        let announced: { readonly bytes: number; readonly sha256: string } | undefined
        let received = 0
        let isDone = false
        yield* Stream.runForEach(client.Backup(), (event) =>
          Effect.gen(function*() {
            switch (event._tag) {
              case "Elsewhere":
                // Named so that it is not taken for a file of the embedded ledger.
                return yield* elsewhere(event, Option.getOrElse(to, () => "coupon.sql"), json)
              case "Copying":
                return yield* Output.progress(
                  `copying: ${Output.bytes(event.bytes)} of about ${Output.bytes(event.of)}`
                )
              case "Snapshot":
                announced = event
                target = file === STANDARD_OUTPUT ? standardOutput : yield* fileTarget(file)
                return
              case "Chunk": {
                const bytes = Buffer.from(event.base64, "base64")
                hash.update(bytes)
                received += bytes.length
                yield* Output.progress(`receiving: ${Output.bytes(received)} of ${Output.bytes(announced!.bytes)}`)
                return yield* target!.write(bytes)
              }
              case "Done":
                isDone = true
            }
          }))
        yield* Output.progressDone
        if (!isDone || announced === undefined) {
          return yield* new CliFailure({
            exit: "UNAVAILABLE",
            code: "UNREACHABLE",
            message: "the answer ended before it was complete: there is no backup",
            hint: "the instance may have stopped: try again"
          })
        }
        const { bytes, sha256 } = announced
        if (received !== bytes || hash.digest("hex") !== sha256) {
          return yield* problem("the received copy differs from the one that was sent: there is no backup", "try again")
        }
        yield* target!.finish
        if (file === STANDARD_OUTPUT) return
        yield* json
          ? Output.json({ file, bytes, sha256 })
          : Output.line(`${file}: ${Output.bytes(bytes)}, sha256 ${sha256}\nkeep it safe: it holds every code`)
      }))
).pipe(Command.withDescription(
  "copies the embedded ledger while it serves, or names the command that copies MySQL (role ADMIN)"
))
