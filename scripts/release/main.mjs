// npm run release -- VERSION [--dry-run]: a release of what is checked out. What CHANGELOG.md has as unreleased comes
// under the version, which is set wherever it stands. dist/release gets the package, its SBOM and SHA-256, and all of
// it is committed and tagged. It pushes and publishes nothing. Run .ci/run before.
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { follows, released, versionFiles, withVersion } from "./Release.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const read = (file) => readFileSync(join(root, file), "utf8")
const run = (program, ...args) => execFileSync(program, args, { cwd: root, encoding: "utf8" }).trim()
const git = (...args) => run("git", ...args)

const { positionals: [version], values } = parseArgs({
  allowPositionals: true,
  options: { "dry-run": { type: "boolean", default: false } }
})

const release = () => {
  const current = JSON.parse(read("package.json")).version
  if (version === undefined) throw new Error("npm run release -- VERSION [--dry-run]")
  if (!follows(version, current)) throw new Error(`${version} does not follow ${current}`)
  if (git("status", "--porcelain") !== "") throw new Error("there are changes that are not committed")
  const tag = `v${version}`
  if (git("tag", "--list", tag) !== "") throw new Error(`there is a tag ${tag}`)
  // The tests of upgrades run the release before this one.
  const before = git("tag", "--list", "v*", "--sort=-version:refname").split("\n")[0]

  const date = new Date().toISOString().slice(0, 10)
  const { changelog, notes } = released(read("CHANGELOG.md"), version, date)
  const changed = new Map([["CHANGELOG.md", changelog]])
  for (const file of versionFiles) changed.set(file, withVersion(file, read(file), current, version))
  if (before !== "") {
    const file = "test/upgrade/previousRelease.ts"
    const commit = git("rev-list", "-n", "1", before)
    changed.set(file, read(file).replace(/(const PREVIOUS = ")[0-9a-f]+"/, `$1${commit}"`))
  }
  console.log(`${tag}, ${date}\n\n${notes}\n\nchanges ${[...changed.keys()].join(", ")}`)
  if (values["dry-run"]) return

  for (const [file, text] of changed) writeFileSync(join(root, file), text)
  try {
    const folder = join(root, "dist/release")
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    // The package of the client, not the repository: docs/internals/decisions.md, 45.
    run(process.execPath, "scripts/package.mjs", "--pack", folder)
    writeFileSync(join(folder, "sbom.cdx.json"), run("npm", "run", "--silent", "sbom"))
    const sums = readdirSync(folder).sort().map((file) =>
      `${createHash("sha256").update(readFileSync(join(folder, file))).digest("hex")}  ${file}`)
    writeFileSync(join(folder, "SHA256SUMS"), `${sums.join("\n")}\n`)
    git("add", ...changed.keys())
    git("commit", "--quiet", "--message", `release ${version}`)
  } catch (error) {
    git("reset", "--quiet", "--hard")
    throw error
  }
  // Verbatim: a heading begins with what git takes for a comment.
  git("tag", "--annotate", "--cleanup=verbatim", "--message", `${tag}\n\n${notes}\n`, tag)
  console.log(`\ntagged ${tag}; dist/release has what to publish. Push it by: git push --follow-tags`)
}

try {
  release()
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
