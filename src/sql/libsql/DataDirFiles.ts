import { chmodSync, closeSync, mkdirSync, openSync, readdirSync, rmSync, statSync } from "node:fs"
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
 * Whether the files that this process has open are still the ones that their names lead to. A file that is deleted,
 * moved or hidden by another mount stays open, and everything that is written to it is lost when the process ends.
 */
export interface DataDirFiles {
  /** Looks at all files. */
  readonly look: () => Displaced | undefined
  /** Looks at those that commits are written to: 2 µs each. */
  readonly lookAtCommit: () => Displaced | undefined
}

/**
 * Device and inode, which is also what SQLite compares to find out that its file has moved. `undefined`: there is no
 * such file.
 */
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

const GROUP_AND_OTHERS = 0o077

/** Whether a name in the directory is of a file that this service makes. */
const isOurs = (name: string): boolean =>
  [DATABASE, WAL, SHARED_MEMORY, LOCK, `${LOCK}-journal`].includes(name) || name.startsWith(SNAPSHOT_PREFIX)

/**
 * Makes the directory, if need be, and lets its owner alone enter it and read its files: they hold users and codes. A
 * directory that holds files of others is not closed to them, and a file or directory of another owner cannot be; both
 * are returned, as texts for a warning. Call it before the database is opened: SQLite gives its log the rights of the
 * database. Throws if the directory cannot be made.
 */
export const makePrivate = (directory: string): ReadonlyArray<string> => {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const present = readdirSync(directory)
  for (const name of [DATABASE, LOCK]) {
    if (!present.includes(name)) closeSync(openSync(Path.join(directory, name), "a", 0o600))
  }
  const warnings: Array<string> = []
  const restrict = (path: string, mode: number, others: boolean) => {
    if ((statSync(path).mode & GROUP_AND_OTHERS) === 0) return
    if (others) {
      warnings.push(`${path} holds other files too, so other users of this machine can still enter it`)
      return
    }
    try {
      chmodSync(path, mode)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      warnings.push(`other users of this machine can read ${path}, and its rights cannot be changed (${code})`)
    }
  }
  restrict(directory, 0o700, !present.every(isOurs))
  for (const name of readdirSync(directory)) if (isOurs(name)) restrict(Path.join(directory, name), 0o600, false)
  return warnings
}

/** Removes copies that a process which was killed has left behind. Only the directory's owner may. */
export const removeSnapshots = (directory: string): void => {
  for (const name of readdirSync(directory)) {
    if (name.startsWith(SNAPSHOT_PREFIX)) rmSync(Path.join(directory, name), { force: true })
  }
}
