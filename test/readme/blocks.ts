import { readFileSync } from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

export const root = Path.resolve(Path.dirname(fileURLToPath(import.meta.url)), "../..")

export const read = (file: string): string => readFileSync(Path.join(root, file), "utf8")

/** A fenced block; `info` is what follows the fence, e.g. `sh run`. */
export interface Block {
  readonly info: string
  readonly text: string
}

export const blocksOf = (markdown: string): ReadonlyArray<Block> =>
  Array.from(markdown.matchAll(/^```([^\n]*)\n(.*?)^```$/gms), ([, info, text]) => ({
    info: info!.trim(),
    text: text!
  }))

/** Lines without the spaces around them, which programs pad differently; `digits`: any number is as good. */
export const comparable = (text: string, digits = false): string =>
  text.trim().split("\n").map((line) => line.trim()).join("\n").replace(digits ? /\d+/g : /$^/g, "n")
