// `npm pack` packs a checkout, and the package is what scripts/package.mjs makes of it. So its manifest and its README
// take the places of the checkout's while npm packs: `begin` runs before that, `end` after it. A run that was killed in
// between is undone by the next one, or by `git checkout package.json README.md`.
import { spawnSync } from "node:child_process"
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const own = (file) => join(root, file)
/** The checkout's own file, while the package's is in its place. */
const kept = (file) => join(root, ".cache/packing", file)
const SWAPPED = ["package.json", "README.md"]

/** The manifest of dist/package, as it reads from the root of the checkout. */
export const fromRoot = (manifest, scripts) => {
  const below = (path) => path.replace(/^(\.\/)?dist\//, "$1dist/package/dist/")
  const moved = (entry) =>
    typeof entry === "string" ? below(entry) : Object.fromEntries(Object.entries(entry).map(([k, v]) => [k, below(v)]))
  return {
    ...manifest,
    exports: Object.fromEntries(Object.entries(manifest.exports).map(([name, entry]) => [name, moved(entry)])),
    files: manifest.files.map((folder) => `dist/package/${folder}`),
    // npm reads the one that ends it from the manifest that it finds then.
    scripts: { prepack: scripts.prepack, postpack: scripts.postpack }
  }
}

const restore = () => {
  for (const file of SWAPPED) if (existsSync(kept(file))) renameSync(kept(file), own(file))
}

const run = (...args) => {
  // Standard output is npm's, which may be asked for JSON.
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: ["ignore", 2, 2] })
  if (status !== 0) process.exit(status ?? 1)
}

const begin = () => {
  restore()
  run("scripts/setup.mjs", "dev")
  run("scripts/package.mjs")
  const { scripts } = JSON.parse(readFileSync(own("package.json"), "utf8"))
  const manifest = JSON.parse(readFileSync(join(root, "dist/package/package.json"), "utf8"))
  mkdirSync(join(root, ".cache/packing"), { recursive: true })
  for (const file of SWAPPED) copyFileSync(own(file), kept(file))
  writeFileSync(own("package.json"), `${JSON.stringify(fromRoot(manifest, scripts), null, 2)}\n`)
  copyFileSync(join(root, "dist/package/README.md"), own("README.md"))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv[2] === "begin") begin()
  else restore()
}
