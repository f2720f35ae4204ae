// Completes package-lock.json with the optional packages for other platforms that it lacks: npm leaves out, without a
// word, those that its registry (a mirror, often) did not have at that moment, and then `npm ci` refuses the lockfile
// everywhere ("Missing: … from lock file"). Run by `npm run lock` after every change of a dependency. An entry made
// here has no integrity hash, as nothing has been downloaded; none of them is installed on Linux with glibc on x64 or
// arm64.
import { readFileSync, writeFileSync } from "node:fs"

const file = new URL("../package-lock.json", import.meta.url)
const lock = JSON.parse(readFileSync(file, "utf8"))
const { packages } = lock

const SYSTEMS = ["aix", "android", "darwin", "freebsd", "linux", "netbsd", "openbsd", "openharmony", "sunos", "win32"]
const PROCESSORS = {
  arm: "arm",
  armv7: "arm",
  arm64: "arm64",
  aarch64: "arm64",
  ia32: "ia32",
  x64: "x64",
  loong64: "loong64",
  ppc64: "ppc64",
  riscv64: "riscv64",
  s390x: "s390x"
}

/** What a platform package's name says of where it runs, or undefined if it is none. */
const platform = (name) => {
  const words = name.split("/").at(-1).split("-")
  const at = words.findIndex((word) => SYSTEMS.includes(word))
  const os = words[at]
  const cpu = PROCESSORS[words[at + 1]]
  if (at === -1 || cpu === undefined) return undefined
  const libc = os !== "linux"
    ? undefined
    : words.at(-1).startsWith("musl")
    ? "musl"
    : words.at(-1).startsWith("gnu")
    ? "glibc"
    : undefined
  return { os: [os], cpu: [cpu], ...libc === undefined ? {} : { libc: [libc] } }
}

/** Where Node would find a dependency of the package at `path`. */
const resolved = (path, name) => {
  for (let at = path;; at = at.slice(0, Math.max(0, at.lastIndexOf("node_modules/") - 1))) {
    const candidate = `${at === "" ? "" : `${at}/`}node_modules/${name}`
    if (packages[candidate] !== undefined) return candidate
    if (at === "") return undefined
  }
}

const added = []
for (const [path, entry] of Object.entries(packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (resolved(path, name) !== undefined) continue
    const where = platform(name)
    if (where === undefined || !/^\d+\.\d+\.\d+$/.test(version)) {
      console.error(
        `package-lock.json lacks ${name}@${version} (wanted by ${path}) and its name does not tell its platform`
      )
      process.exitCode = 1
      continue
    }
    const { dev, devOptional, license } = entry
    packages[`node_modules/${name}`] = {
      version,
      cpu: where.cpu,
      dev,
      devOptional,
      license,
      libc: where.libc,
      optional: true,
      os: where.os
    }
    added.push(`${name}@${version}`)
  }
}

if (added.length > 0) {
  const [root, ...rest] = Object.entries(packages)
  rest.sort(([a], [b]) => a.localeCompare(b, "en"))
  lock.packages = Object.fromEntries([root, ...rest])
  writeFileSync(file, `${JSON.stringify(lock, undefined, 2)}\n`)
}
console.log(added.length === 0 ? "package-lock.json is complete" : `added to package-lock.json: ${added.join(", ")}`)
