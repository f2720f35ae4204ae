import { readdirSync, rmSync, statSync } from "node:fs"
import * as Path from "node:path"

/** The ledger's database, and the log of its latest commits. */
export const DATABASE = "coupon.db"
const WAL = `${DATABASE}-wal`
const SHARED_MEMORY = `${DATABASE}-shm`
/** Locked for as long as a process owns the directory. */
export const LOCK = "lock.db"

/** What the name of a copy begins with that is being made for a backup. */
export const SNAPSHOT_PREFIX = "coupon-backup-"

/** One of the files is not where the next start would look for it. */
export interface Displaced {
  readonly text: string
  /** The database itself is in its place: it can still take what the log holds. */
  readonly databaseStays: boolean
}

/**
 * Whether the files that this process has open are still the ones that their names lead to. A file that is deleted, moved or
 * hidden by another mount stays open, and everything that is written to it is lost when the process ends.
 */
export interface DataDirFiles {
  /** Looks at all files. */
  readonly look: () => Displaced | undefined
  /** Looks at those that commits are written to: 2 µs each. */
  readonly lookAtCommit: () => Displaced | undefined
}

/** Device and inode, which is also what SQLite compares to find out that its file has moved. `undefined`: there is no such file. */
const identity = (file: string): string | undefined => {
  try {
    const { dev, ino } = statSync(file)
    return `${dev}:${ino}`
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code === "ENOENT" || code === "ENOTDIR" ? undefined : `unreadable: ${code}`
  }
}

/** Remembers the files of a directory, all of which are open. */
export const make = (directory: string): DataDirFiles => {
  const remembered = [DATABASE, WAL, SHARED_MEMORY, LOCK].map((name) => {
    const file = Path.join(directory, name)
    return { name, file, was: identity(file) }
  })
  const compare = (files: typeof remembered) => (): Displaced | undefined => {
    for (const { file, name, was } of files) {
      const is = identity(file)
      if (is === was) continue
      const what = identity(directory) === undefined
        ? "it was deleted or moved away"
        : is === undefined
        ? `${name} was deleted or moved away`
        : is.startsWith("unreadable")
        ? `${name} is ${is}`
        : `${name} is another file now`
      return {
        text: `DATA_DIR ${directory}: ${what} while this process had it open`,
        databaseStays: identity(remembered[0]!.file) === remembered[0]!.was
      }
    }
    return undefined
  }
  return { look: compare(remembered), lookAtCommit: compare(remembered.slice(0, 2)) }
}

/** Removes copies that a process which was killed has left behind. Only the directory's owner may. */
export const removeSnapshots = (directory: string): void => {
  for (const name of readdirSync(directory)) if (name.startsWith(SNAPSHOT_PREFIX)) rmSync(Path.join(directory, name), { force: true })
}
