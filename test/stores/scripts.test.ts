import * as Fs from "node:fs"
import { describe, expect, it } from "vitest"

const directory = new URL("../../src/redis/scripts/", import.meta.url)

/**
 * A cluster finds the node by KEYS: a script that touches another key works on one server and breaks on the day it is
 * one of several.
 */
describe("the scripts of the gate", () => {
  it.each(Fs.readdirSync(directory))("%s touches no key but those of KEYS, and says which they are", (file) => {
    const text = Fs.readFileSync(new URL(file, directory), "utf8")
    // What a script uses of another one stands in front of it.
    const used = [
      text,
      ...["keep", "own", "unerased"].filter((name) => new RegExp(`\\b${name}\\(`).test(text) && file !== `${name}.lua`)
        .map((name) => Fs.readFileSync(new URL(`${name}.lua`, directory), "utf8"))
    ]
    const code = used.join("\n").replace(/--.*$/gm, "")
    const calls = Array.from(
      code.matchAll(/redis\.p?call\(\s*"(\w+)"\s*(?:,\s*([^,)\s]+))?/g),
      ([, command, first]) => [command, first] as const
    )
    expect(calls.length).toBe(code.match(/redis\.p?call/g)?.length)
    for (const [command, first] of calls) {
      if (command !== "TIME") expect(first, `${command} of ${file}`).toMatch(/^KEYS\[[1-4]\]$/)
    }
    const keys = new Set(Array.from(code.matchAll(/KEYS\[(\d)\]/g), ([, n]) => n))
    const declared = /^-- KEYS {4}(.*)$/m.exec(text)?.[1]?.split(",").length ?? text.match(/^-- KEYS\[\d\]/gm)?.length
    expect(keys.size).toBe(declared)
  })
})
