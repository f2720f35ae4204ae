import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { BackupFailed, LedgerBackup, type Snapshot } from "../../ports/operation/LedgerBackup.ts"
import { StoreHealth } from "../../ports/StoreHealth.ts"
import { rootMessage } from "../../base/RootMessage.ts"
import { DATABASE, SNAPSHOT_PREFIX } from "./DataDirFiles.ts"
import { LibSqlFile } from "./LibSql.ts"

/** The program beside this one: a module of its own, or bundled. */
const PROGRAM = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "../snapshot.ts" : "./snapshot.js", import.meta.url)
)

const PROGRESS_MILLIS = 250

const sizeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0

/** Runs the program; an interruption kills it and waits until it is gone, so that the file can be removed. */
const run = (directory: string, args: ReadonlyArray<string>): Effect.Effect<Omit<Snapshot, "file">, BackupFailed> =>
  Effect.async((resume) => {
    // Temporary files of the engine may be in the working directory. None of the service's secrets is handed on.
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      cwd: directory,
      env: {},
      stdio: ["ignore", "pipe", "pipe"]
    })
    let out = ""
    let err = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text))
    child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text))
    child.once("error", (error) => resume(new BackupFailed({ message: error.message })))
    child.once("close", (code, signal) =>
      resume(Effect.try({
        try: () => {
          if (code !== 0) {
            throw new Error(err.trim().split("\n").at(-1) || `the copying process ended with ${code ?? signal}`)
          }
          return JSON.parse(out) as Omit<Snapshot, "file">
        },
        catch: (error) => new BackupFailed({ message: rootMessage(error) })
      })))
    return Effect.async((gone) => {
      child.once("close", () => gone(Effect.void))
      if (child.pid === undefined || !child.kill("SIGKILL")) gone(Effect.void)
    })
  })

/** A name for a copy in `directory` that goes with the scope. */
const temporary = (directory: string, remove: (file: string) => void) =>
  Effect.acquireRelease(
    Effect.sync(() => Path.join(directory, `${SNAPSHOT_PREFIX}${randomBytes(8).toString("hex")}.db`)),
    (file) => Effect.sync(() => remove(file))
  )

const removeCopy = (file: string) => {
  for (const suffix of ["", "-journal", "-wal", "-shm"]) rmSync(`${file}${suffix}`, { force: true })
}

/**
 * Copies by the engine's `VACUUM INTO`, which reads one moment in a transaction and writes a compact database without a
 * log.
 */
export const layer: Layer.Layer<LedgerBackup, never, LibSqlFile | StoreHealth> = Layer.effect(
  LedgerBackup,
  Effect.gen(function*() {
    const { client, directory } = yield* LibSqlFile
    const { troubles } = yield* StoreHealth

    const beside = (progress: (bytes: number, of: number) => void) =>
      Effect.gen(function*() {
        const source = Path.join(directory, DATABASE)
        const file = yield* temporary(directory, removeCopy)
        const of = sizeOf(source)
        const timer = setInterval(() => progress(sizeOf(file), of), PROGRESS_MILLIS).unref()
        yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(timer)))
        return { file, ...yield* run(directory, [file, source]) }
      })

    /**
     * The files are displaced, so that only this process can read them, by the connection that it has open. That holds
     * up whatever else it does, which is nothing.
     */
    const rescue = Effect.gen(function*() {
      const safe = yield* Effect.try({
        try: () => mkdtempSync(Path.join(tmpdir(), SNAPSHOT_PREFIX)),
        catch: (error) => new BackupFailed({ message: rootMessage(error) })
      })
      const file = yield* temporary(safe, () => rmSync(safe, { recursive: true, force: true }))
      yield* Effect.tryPromise({
        try: () => client.execute({ sql: "VACUUM INTO ?", args: [file] }),
        catch: (error) => new BackupFailed({ message: rootMessage(error) })
      })
      return { file, ...yield* run(safe, [file]) }
    })

    return {
      _tag: "Here" as const,
      take: (progress) => Effect.suspend(() => troubles().length > 0 ? rescue : beside(progress))
    }
  })
)
