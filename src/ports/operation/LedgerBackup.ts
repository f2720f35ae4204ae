import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { LedgerUnavailable } from "../Ledger.ts"

/** No copy was made; `message` says why, e.g. that the disk is full. */
export class BackupFailed extends Data.TaggedError("BackupFailed")<{ readonly message: string }> {}

/** A copy of the ledger as it was at one moment, in a file of its own. */
export interface Snapshot {
  readonly file: string
  readonly bytes: number
  /** In hexadecimal digits. */
  readonly sha256: string
}

/** The command by which a database's own tools make a consistent copy while the service runs. */
export interface BackupAdvice {
  /** Program and version of the server, and where it is, e.g. `MySQL 8.4.6 at db:3306`. */
  readonly server: string
  /** For a shell; what it writes to standard output is the backup. It asks for the password. */
  readonly command: string
  /** What the command needs and what it holds, a sentence each. */
  readonly notes: ReadonlyArray<string>
}

/** How this deployment's ledger is backed up. */
export type BackupWay =
  | {
    readonly _tag: "Here"
    /**
     * Copies the ledger as it is at one moment, checked by the engine; commits go on meanwhile. The file is removed
     * when the scope closes, and an interruption ends the copying. `progress` receives bytes that were written, and
     * about how many there will be.
     */
    readonly take: (progress: (bytes: number, of: number) => void) => Effect.Effect<Snapshot, BackupFailed, Scope.Scope>
  }
  | { readonly _tag: "Elsewhere"; readonly advice: Effect.Effect<BackupAdvice, LedgerUnavailable> }

export class LedgerBackup extends Context.Tag("coupon/issuance/LedgerBackup")<LedgerBackup, BackupWay>() {}
