import type { Client, InStatement } from "@libsql/client"
import type { EpochMillis } from "../../domain/Time.ts"
import type { Driver } from "./Driver.ts"

/** `code` of a statement that was not run, because what it wrote would be lost: `Rejected`, as nothing was done. */
export const NOT_RUN = "DATA_DIR_NOT_RUN"
/** `code` of a statement that was run, on files that a restart will not find: `InDoubt`, as they may be put back. */
export const DISPLACED = "DATA_DIR_DISPLACED"

const failure = (code: string, message: string) => Object.assign(new Error(message), { code })

const textOf = (statement: InStatement): string => typeof statement === "string" ? statement : statement.sql

const isRead = (statement: InStatement): boolean => /^\s*SELECT\b/i.test(textOf(statement))

/** A write by itself. */
const isWrite = (statement: InStatement): boolean => /^\s*(?:INSERT|UPDATE|DELETE)\b/i.test(textOf(statement))

/** The guard's reads always run, so that an ADMIN is admitted and can make a backup of the rest. */
const isForAdmission = (statement: InStatement): boolean =>
  isRead(statement) && /\bFROM (?:api_keys|deployment)\b/i.test(textOf(statement))

/**
 * A driver that runs nothing while `trouble` returns a text, and that looks at its files (`lookAtCommit`) after each
 * write, before the caller receives its result. So what was acknowledged was in its place at that moment. A write by
 * itself is a transaction with a beginning and an end, for the sake of `Driver.connect`.
 */
export const make = (client: Client, files: {
  readonly now: () => EpochMillis
  readonly trouble: () => string | undefined
  readonly lookAtCommit: () => string | undefined
}): Driver => {
  const refuseInTrouble = () => {
    const trouble = files.trouble()
    if (trouble !== undefined) throw failure(NOT_RUN, trouble)
  }
  const written = <A>(result: A): A => {
    const trouble = files.lookAtCommit()
    if (trouble !== undefined) throw failure(DISPLACED, trouble)
    return result
  }
  const guarded = (writes: boolean) => async <A>(run: () => Promise<A>): Promise<A> => {
    refuseInTrouble()
    // The driver does all of its work before it returns.
    const result = await run()
    return writes ? written(result) : result
  }
  const read = guarded(false)
  const write = guarded(true)
  return {
    now: files.now,
    execute: (statement) =>
      isForAdmission(statement)
        ? client.execute(statement)
        : isRead(statement)
        ? read(() => client.execute(statement))
        : write(async () =>
          isWrite(statement) ? (await client.batch([statement], "write"))[0]! : client.execute(statement)),
    batch: (statements, mode) => write(() => client.batch(statements, mode)),
    migrate: (statements) => write(() => client.migrate(statements)),
    executeMultiple: (text) => write(() => client.executeMultiple(text)),
    transaction: () =>
      Promise.reject(
        new Error("transactions of the driver open another connection, which lacks our settings: use batch")
      ),
    sync: () => client.sync(),
    close: () => client.close(),
    get closed() {
      return client.closed
    },
    protocol: client.protocol
  }
}
