import { readFileSync } from "node:fs"
import { SourceMap } from "node:module"
import { posix } from "node:path"
import { fileURLToPath } from "node:url"

/** The folder of this file: `dist/app` if it is bundled. */
const HOME = fileURLToPath(new URL(".", import.meta.url))

/** A place in a bundled file as stacks print it: with or without `file://`. */
const FRAME = /(?:file:\/\/)?(\/[^\s():"']+\.js):(\d+):(\d+)/g

/** A parsed map takes about 20 MB and 0.1 s. It is dropped when no stack was written for this long. */
const KEPT_MILLIS = 10_000

const maps = new Map<string, SourceMap | undefined>()
let forget: NodeJS.Timeout | undefined

const mapOf = (file: string): SourceMap | undefined => {
  if (!maps.has(file)) {
    let map: SourceMap | undefined
    try {
      map = new SourceMap(JSON.parse(readFileSync(`${file}.map`, "utf8")) as ConstructorParameters<typeof SourceMap>[0])
    } catch {
      // Without a map, or without a file descriptor to read it, the frame stays as it is.
    }
    maps.set(file, map)
  }
  clearTimeout(forget)
  forget = setTimeout(() => maps.clear(), KEPT_MILLIS).unref()
  return maps.get(file)
}

/** `src/sql/mysql/connection/MySql.ts:88:12`, by the map that `scripts/build.mjs` wrote next to the file. */
const sourceOf = (frame: string, file: string, line: string, column: string): string => {
  if (!file.startsWith(HOME)) return frame
  const entry = mapOf(file)?.findEntry(Number(line) - 1, Number(column) - 1)
  if (entry === undefined || !("originalSource" in entry)) return frame
  const { originalColumn, originalLine, originalSource } = entry
  return `${posix.normalize(posix.join("dist/app", originalSource))}:${originalLine + 1}:${originalColumn + 1}`
}

/**
 * A text whose stack frames name the sources instead of the bundle. Node's `--enable-source-maps` reads every map at
 * the start and maps every stack that is accessed; this reads a map only when a line with such a frame is written.
 */
export const readable = (text: string): string => {
  if (!text.includes(HOME)) return text
  try {
    return text.replace(FRAME, sourceOf)
  } catch {
    // The map is not valid. Logging must never throw.
    return text
  }
}
