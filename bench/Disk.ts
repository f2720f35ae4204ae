import * as Fs from "node:fs"
import * as Path from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { removeDirectory, temporaryDirectory } from "../test/support/guardian.ts"
import { quantiles, type Quantiles } from "./Quantiles.ts"

/** What a flush writes: a page, in a file of a size that stays. */
const PAGE = Buffer.alloc(4_096, 1)
const PAGES = 4_096

/**
 * How long the disk alone takes to keep a page (`pwrite` and `fdatasync`), milliseconds, a millisecond apart: where
 * private servers have their data, with nothing else running. A commit waits for two such flushes, so no tail of
 * latencies is shorter than this one's.
 */
export const flushMillis = async (seconds: number): Promise<Quantiles> => {
  const dir = temporaryDirectory("disk")
  const file = Fs.openSync(Path.join(dir, "pages"), "w+")
  try {
    for (let page = 0; page < PAGES; page++) Fs.writeSync(file, PAGE)
    Fs.fsyncSync(file)
    const millis: Array<number> = []
    const end = performance.now() + seconds * 1_000
    for (let i = 0; performance.now() < end; i++) {
      const start = performance.now()
      Fs.writeSync(file, PAGE, 0, PAGE.length, i % PAGES * PAGE.length)
      Fs.fdatasyncSync(file)
      millis.push(performance.now() - start)
      await delay(1)
    }
    return quantiles(millis)
  } finally {
    Fs.closeSync(file)
    removeDirectory(dir)
  }
}
