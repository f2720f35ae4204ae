import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type FileHandle, open } from "node:fs/promises"
import { CliFailure } from "../CliFailure.ts"
import type { CouponText } from "./CouponText.ts"

/** Where an export is written. */
export interface ExportTarget {
  /** The number of the last coupon that is there; 0: none. */
  readonly lastNumber: number
  /** Succeeds once the text is written, or may be waited for. */
  readonly write: (text: string) => Effect.Effect<void, CliFailure>
}

/** Longer than any line. */
const TAIL_BYTES = 65_536

const failed = (file: string, cause: unknown) =>
  new CliFailure({
    exit: "FAILED",
    code: "FILE",
    message: `${file}: ${cause instanceof Error ? cause.message : String(cause)}`,
    hint: "what was written before is whole: run the command again to go on"
  })

const foreign = (file: string, what: string) =>
  new CliFailure({
    exit: "PRECONDITION",
    code: "FILE_IN_USE",
    message: `${file} ${what}, so nothing was written`,
    hint: "choose another file"
  })

const attempt = <A>(file: string, run: () => Promise<A>): Effect.Effect<A, CliFailure> =>
  Effect.tryPromise({ try: run, catch: (cause) => failed(file, cause) })

/** The file's last bytes, from the beginning of a line on or from its own, and where they begin. */
const tailOf = async (handle: FileHandle, size: number) => {
  const from = Math.max(0, size - TAIL_BYTES)
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(size - from), 0, size - from, from)
  return { from, bytes: buffer.subarray(0, bytesRead) }
}

/**
 * Opens a file to write coupons of a campaign to, or to go on with: a line that was not finished, for the program was
 * killed, is cut off. Fails, having changed nothing, if the file holds something else. Each write is one call, and one
 * that has begun is finished before the file is closed.
 */
export const file = (
  path: string,
  campaignId: number,
  text: CouponText
): Effect.Effect<ExportTarget, CliFailure, Scope.Scope> =>
  Effect.gen(function*() {
    const handle = yield* Effect.acquireRelease(
      // Not "a": a line that is cut off moves the end. Created if it is not there.
      attempt(path, () => open(path, "r+").catch((error: NodeJS.ErrnoException) =>
        error.code === "ENOENT" ? open(path, "wx+") : Promise.reject(error))),
      (handle) => Effect.promise(() => handle.close())
    )
    const stat = yield* attempt(path, () => handle.stat())
    if (!stat.isFile()) return yield* foreign(path, "is not a plain file")
    const { bytes, from } = yield* attempt(path, () => tailOf(handle, stat.size))
    const whole = bytes.lastIndexOf(10) + 1
    const lines = bytes.toString("utf8", 0, whole).split("\n").slice(0, -1)
    const header = Buffer.from(text.header)
    const rest = bytes.toString("utf8", whole)
    const isNew = from === 0 && whole === 0 && (text.header === "" || text.header.startsWith(rest))
    const last = lines.at(-1)
    let lastNumber = 0
    if (!(isNew && text.header !== "") && !text.begins(rest)) {
      return yield* foreign(path, "ends with something else than a coupon")
    }
    if (!isNew) {
      const head = Buffer.alloc(header.length)
      yield* attempt(path, () => handle.read(head, 0, head.length, 0))
      if (!head.equals(header)) return yield* foreign(path, "does not begin as an export of this format does")
      const isHeaderAlone = from === 0 && whole === header.length && header.length > 0
      const read = isHeaderAlone || last === undefined ? undefined : text.read(last)
      if (!isHeaderAlone && read === undefined) return yield* foreign(path, "ends with something else than a coupon")
      if (read !== undefined && read.campaignId !== campaignId) {
        return yield* foreign(path, `holds coupons of campaign ${read.campaignId}`)
      }
      lastNumber = read?.number ?? 0
    }
    let end = from + whole
    yield* attempt(path, () => handle.truncate(end))
    const write = (part: string): Effect.Effect<void, CliFailure> =>
      Effect.uninterruptible(attempt(path, async () => {
        const bytes = Buffer.from(part)
        for (let written = 0; written < bytes.length;) {
          written += (await handle.write(bytes, written, bytes.length - written, end + written)).bytesWritten
        }
        end += bytes.length
      }))
    if (isNew && text.header !== "") yield* write(text.header)
    return { lastNumber, write }
  })

/** Standard output, at the rate of its reader. The program ends when that has enough. */
export const standardOutput = (after: number, text: CouponText): Effect.Effect<ExportTarget, CliFailure> => {
  const write = (part: string): Effect.Effect<void, CliFailure> =>
    Effect.async<void>((resume) => {
      if (process.stdout.write(part)) return resume(Effect.void)
      const drained = () => resume(Effect.void)
      process.stdout.once("drain", drained)
      return Effect.sync(() => process.stdout.removeListener("drain", drained))
    })
  const target: ExportTarget = { lastNumber: after, write }
  return after > 0 || text.header === "" ? Effect.succeed(target) : Effect.as(write(text.header), target)
}
