import * as Fs from "node:fs"
import * as Path from "node:path"
import { setTimeout as pause } from "node:timers/promises"

/** Names the directory that the processes of one test run share. */
const VARIABLE = "COUPON_TEST_RUN"

/** Makes `directory` the one that all processes which are started from now on share. */
export const shareRun = (directory: string): void => {
  process.env[VARIABLE] = directory
}

/** Whether this process belongs to a test run, whose set-up is done. */
export const isInRun = (): boolean => process.env[VARIABLE] !== undefined

const PATIENCE_MILLIS = 120_000

/**
 * A directory that test files share, which the first of them to ask fills by `make`; the others wait until it has. One
 * that fails leaves it to the next to try. `undefined` outside of a test run.
 */
export const onceARun = async (
  name: string,
  make: (directory: string) => void | Promise<void>
): Promise<string | undefined> => {
  const run = process.env[VARIABLE]
  if (run === undefined) return undefined
  const [made, lock] = [Path.join(run, name), Path.join(run, `${name}.lock`)]
  const end = Date.now() + PATIENCE_MILLIS
  while (!Fs.existsSync(made)) {
    try {
      Fs.mkdirSync(lock)
    } catch {
      if (Date.now() > end) throw new Error(`no other test file has made ${name} in ${PATIENCE_MILLIS / 1_000} s`)
      await pause(50)
      continue
    }
    try {
      // Another one may have made it between the look and the lock.
      if (Fs.existsSync(made)) break
      const draft = Path.join(run, `${name}.draft`)
      Fs.rmSync(draft, { recursive: true, force: true })
      Fs.mkdirSync(draft)
      await make(draft)
      Fs.renameSync(draft, made)
    } finally {
      Fs.rmdirSync(lock)
    }
  }
  return made
}
