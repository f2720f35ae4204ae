import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { bundle, nodeProgram } from "../support/Instance.ts"

const root = Path.resolve(Path.dirname(fileURLToPath(import.meta.url)), "../..")

/**
 * What runs beside this version while it is rolled out, and after a roll-back. Each release moves it to the one before.
 */
const PREVIOUS = "207e49379ae3c2d3db6dfc2aa827631b00c5a9bc"

const git = (...args: ReadonlyArray<string>): Buffer =>
  execFileSync("git", ["-c", `safe.directory=${root}`, ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 2 ** 28
  })

/** Why the previous release cannot be had here; `undefined`: it can. */
export const unavailable = ((): string | undefined => {
  try {
    git("cat-file", "-e", `${PREVIOUS}^{tree}`)
    return undefined
  } catch (error) {
    const text = (error as { readonly stderr?: Buffer }).stderr?.toString().trim() || (error as Error).message
    const release = PREVIOUS.slice(0, 7)
    return `the previous release (${release}) is not in the git history here, as in a shallow clone: ${text}`
  }
})()

/**
 * Builds it in `directory`, with the dependencies that are installed; returns what Node is given to start one of its
 * programs.
 */
export const build = (directory: string): (name: "main" | "migrate") => ReadonlyArray<string> => {
  execFileSync("tar", ["-x", "-C", directory], { input: git("archive", PREVIOUS) })
  Fs.symlinkSync(Path.join(root, "node_modules"), Path.join(directory, "node_modules"))
  execFileSync(nodeProgram, ["scripts/build.mjs"], { cwd: directory, stdio: ["ignore", "ignore", "inherit"] })
  const flags = bundle().filter((argument) => argument.startsWith("--"))
  return (name) => [...flags, Path.join(directory, `dist/app/${name}.js`)]
}
