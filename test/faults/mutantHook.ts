import Fs from "node:fs"
import { registerHooks, syncBuiltinESMExports } from "node:module"
import { fileURLToPath } from "node:url"
import { applied, mutations, type Patch } from "./mutations.ts"

/**
 * Loaded into an instance before the program (`node --import`): changes the source text of its modules and scripts on
 * their way in, as MUTANT says. The program itself knows nothing of it, so no build of it can be broken this way. A
 * text that is not there ends the instance: a mutant never silently is none.
 */
const name = process.env["MUTANT"]
const mutation = mutations.find((one) => one.name === name)
if (mutation === undefined) throw new Error(`MUTANT names no mutant: ${name}`)
const patches: ReadonlyArray<Patch> = mutation.patches

const source = fileURLToPath(new URL("../../src/", import.meta.url))

const patched = (path: string, text: string): string => {
  let result = text
  for (const patch of patches) {
    if (path !== source + patch.file) continue
    if (result.split(patch.from).length !== 2) {
      console.error(`the mutant ${name} does not apply: ${patch.file} has not exactly one\n${patch.from}`)
      process.exit(70)
    }
    result = result.replace(patch.from, () => patch.to)
    console.log(applied(patch))
  }
  return result
}

registerHooks({
  load: (url, context, nextLoad) => {
    const loaded = nextLoad(url, context)
    if (!url.startsWith("file:") || loaded.source === undefined || loaded.source === null) return loaded
    const path = fileURLToPath(url)
    if (!patches.some(({ file }) => path === source + file)) return loaded
    const text = typeof loaded.source === "string"
      ? loaded.source
      : Buffer.from(loaded.source as Uint8Array).toString("utf8")
    return { ...loaded, source: patched(path, text) }
  }
})

const readFileSync = Fs.readFileSync
Fs.readFileSync = ((path: Fs.PathOrFileDescriptor, ...rest: ReadonlyArray<never>) => {
  const content = readFileSync(path, ...rest) as string | Buffer
  if (typeof content !== "string" || typeof path === "number") return content
  return patched(path instanceof URL ? fileURLToPath(path) : path.toString(), content)
}) as typeof Fs.readFileSync
syncBuiltinESMExports()
