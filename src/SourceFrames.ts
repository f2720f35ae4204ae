import { readFileSync } from "node:fs"
import { SourceMap } from "node:module"
import { posix } from "node:path"
import { fileURLToPath } from "node:url"

/** Where this runs from: `dist/app` if it is bundled. */
const HOME = fileURLToPath(new URL(".", import.meta.url))

/** A place in a bundled file, as a stack has it: with or without `file://`. */
const FRAME = /(?:file:\/\/)?(\/[^\s():"']+\.js):(\d+):(\d+)/g

/** A parsed map takes some 20 MB and a tenth of a second: it is forgotten when no stack has come for so long. */
const KEPT_MILLIS = 10_000

const maps = new Map<string, SourceMap | undefined>()
let forget: NodeJS.Timeout | undefined

const mapOf = (file: string): SourceMap | undefined => {
  if (!maps.has(file)) {
    let map: SourceMap | undefined
    try {
      map = new SourceMap(JSON.parse(readFileSync(`${file}.map`, "utf8")) as ConstructorParameters<typeof SourceMap>[0])
    } catch {
      // No map, or no file descriptor left to read it: the frame stays as it is.
    }
    maps.set(file, map)
  }
  clearTimeout(forget)
  forget = setTimeout(() => maps.clear(), KEPT_MILLIS).unref()
  return maps.get(file)
}

/** `src/sql/mysql/connection/MySql.ts:88:12`, by the map that `scripts/build.mjs` wrote beside the file. */
const sourceOf = (frame: string, file: string, line: string, column: string): string => {
  if (!file.startsWith(HOME)) return frame
  const entry = mapOf(file)?.findEntry(Number(line) - 1, Number(column) - 1)
  if (entry === undefined || !("originalSource" in entry)) return frame
  return `${posix.normalize(posix.join("dist/app", entry.originalSource))}:${entry.originalLine + 1}:${entry.originalColumn + 1}`
}

/**
 * A text whose stack frames name the sources instead of the bundle. Node's own `--enable-source-maps` reads every map at the start
 * and maps each stack that anything looks at; this reads one when a line with such a frame is written.
 */
export const readable = (text: string): string => {
  if (!text.includes(HOME)) return text
  try {
    return text.replace(FRAME, sourceOf)
  } catch {
    // A map that is no map. Nothing that logs may throw.
    return text
  }
}
