// Bundles the programs into dist/app, which `npm start` and the image run: one file instead of about 1,100 modules
// starts three times as fast and takes 80 MB less memory. Does nothing if dist/app is newer than its sources.
//   node scripts/build.mjs [--force]
import { cpSync, existsSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"
import { entry } from "./entry.mjs"

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url))
const out = path("dist/app")
const stamp = `${out}/.built`

const newest = (name) => {
  const stat = statSync(path(name))
  if (!stat.isDirectory()) return stat.mtimeMs
  return Math.max(stat.mtimeMs, ...readdirSync(path(name)).map((entry) => newest(`${name}/${entry}`)))
}

/** The programs, and the exit code of each if it could not begin. */
const programs = { main: 1, cli: 1, verify: 2, audit: 2, migrate: 2, snapshot: 1 }

const inputs = ["src", "scripts/build.mjs", "scripts/entry.mjs", "package.json", "package-lock.json"]
if (
  !process.argv.includes("--force") && existsSync(stamp) && Math.max(...inputs.map(newest)) < statSync(stamp).mtimeMs
) process.exit(0)

// Moved into place as a whole, because another process may be starting from it.
const draft = `dist/draft-${process.pid}`
await build({
  absWorkingDir: path("."),
  entryPoints: Object.keys(programs).map((name) => ({ in: `src/${name}.ts`, out: `${name}.program` })),
  outdir: draft,
  bundle: true,
  // Shared code is emitted once, and what a program loads late stays separate.
  splitting: true,
  platform: "node",
  format: "esm",
  target: "node24",
  // It has a native part for each platform.
  external: ["libsql"],
  // Only names are kept readable: for stack traces.
  minifySyntax: true,
  // Also for stack traces, and read only when one is written (src/SourceFrames.ts).
  sourcemap: "external",
  sourcesContent: false,
  legalComments: "none",
  logLevel: "warning",
  // CommonJS dependencies load Node's modules by require. Renamed, because msgpackr imports createRequire too.
  banner: {
    js:
      "import { createRequire as bundleRequire } from \"node:module\"; const require = bundleRequire(import.meta.url);"
  }
})
for (const [name, exitCode] of Object.entries(programs)) {
  writeFileSync(path(`${draft}/${name}.js`), entry(name, exitCode))
}
// Read beside the code that runs (`import.meta.url`); so are ../../migrations.
cpSync(path("src/redis/scripts"), path(`${draft}/scripts`), { recursive: true })
writeFileSync(path(`${draft}/.built`), "")
rmSync(out, { recursive: true, force: true })
renameSync(path(draft), out)
