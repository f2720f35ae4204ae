// Makes the package that other programs install, in dist/package: the client and the contract of src/ as JavaScript
// with types, and the service itself in one file for tests. `npm run package` also packs it. Why it is made:
// docs/internals/decisions.md, "The package is made, not the repository published".
//   node scripts/package.mjs [--pack DIRECTORY]
import { spawnSync } from "node:child_process"
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"

const root = fileURLToPath(new URL("..", import.meta.url))
const out = Path.join(root, "dist/package")
const read = (file) => readFileSync(Path.join(root, file), "utf8")
const service = JSON.parse(read("package.json"))

/** The entry points, and where they are below src/. */
const entries = {
  ".": "package/index",
  "./connect": "package/connect",
  "./gen": "package/gen",
  "./webhooks": "package/webhooks",
  "./testing": "package/testing"
}

/** Has the service in it, so it is bundled; all others are modules as they are in src/. */
const BUNDLED = "package/testing"

const compile = (directory) => {
  const config = Path.join(directory, "tsconfig.json")
  writeFileSync(config, JSON.stringify({
    extends: Path.join(root, "tsconfig.json"),
    compilerOptions: {
      rootDir: Path.join(root, "src"),
      outDir: Path.join(directory, "out"),
      typeRoots: [Path.join(root, "node_modules/@types")],
      noEmit: false,
      declaration: true,
      rewriteRelativeImportExtensions: true,
      noEmitOnError: true
    },
    include: [],
    files: Object.values(entries).map((entry) => Path.join(root, "src", `${entry}.ts`))
  }))
  const { status } = spawnSync(process.execPath, [Path.join(root, "node_modules/typescript/bin/tsc"), "-p", config], {
    stdio: ["ignore", "inherit", "inherit"]
  })
  if (status !== 0) process.exit(1)
  return Path.join(directory, "out")
}

/** The names of files that a module names in its imports and exports, without their endings. */
const importsOf = (text, module) =>
  Array.from(
    text.matchAll(/(?:\bfrom\s+|\bimport\(|^import\s+)"(\.[^"]+)"/gm),
    ([, specifier]) => Path.join(Path.dirname(module), specifier).replace(/\.(?:d\.)?[jt]s$/, "")
  )

/** All modules that these need, by the files with that ending. */
const reachable = (compiled, from, ending) => {
  const found = new Set()
  const visit = (module) => {
    if (found.has(module)) return
    found.add(module)
    importsOf(readFileSync(Path.join(compiled, module + ending), "utf8"), module).forEach(visit)
  }
  from.forEach(visit)
  return found
}

const emit = (file, text) => {
  const path = Path.join(out, "dist", file)
  mkdirSync(Path.dirname(path), { recursive: true })
  writeFileSync(path, text)
}

/** Bundles the service. What is a module of the package or a peer stays an import. Returns what it has of each file. */
const bundle = async (modules) => {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [`src/${BUNDLED}.ts`],
    outfile: Path.join(out, "dist", `${BUNDLED}.js`),
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    minifySyntax: true,
    legalComments: "none",
    logLevel: "error",
    metafile: true,
    plugins: [{
      name: "package",
      setup: ({ onResolve }) => {
        onResolve({ filter: /^\./ }, ({ path, resolveDir }) => {
          const resolved = Path.resolve(resolveDir, path)
          const module = Path.relative(Path.join(root, "src"), resolved).replace(/\.ts$/, "")
          if (module.startsWith("..")) return undefined
          if (!modules.has(module)) return { path: resolved, sideEffects: false }
          return { path: Path.relative(Path.dirname(BUNDLED), `${module}.js`), external: true }
        })
        const peers = /^(effect|@bufbuild\/protobuf|@connectrpc\/connect|@libsql\/client|libsql)(\/|$)/
        onResolve({ filter: peers }, ({ path }) => ({ path, external: true }))
      }
    }],
    banner: {
      js: "import { createRequire as bundleRequire } from \"node:module\"; " +
        "const require = bundleRequire(import.meta.url);"
    }
  })
  const [output] = Object.values(metafile.outputs)
  return Object.fromEntries(
    Object.entries(output.inputs).map(([file, { bytesInOutput }]) => [file, bytesInOutput]).filter(([, n]) => n > 0)
  )
}

const range = (name) => `^${service.dependencies[name]}`

const manifest = {
  name: service.name,
  version: service.version,
  description: "Client of coupon-issuance, which hands out coupons first come, first served: Effect, connect-es, " +
    "webhooks, and the service itself in memory for tests",
  keywords: ["coupon", "first come first served", "flash sale", "effect", "connectrpc", "grpc", "webhooks"],
  license: service.license,
  type: "module",
  sideEffects: false,
  engines: { node: service.engines.node },
  exports: {
    ...Object.fromEntries(Object.entries(entries).map(([name, entry]) =>
      [name, { types: `./dist/${entry}.d.ts`, default: `./dist/${entry}.js` }])),
    "./package.json": "./package.json"
  },
  dependencies: { "@connectrpc/connect-web": range("@connectrpc/connect-web") },
  peerDependencies: Object.fromEntries(
    ["@bufbuild/protobuf", "@connectrpc/connect", "@libsql/client", "effect", "libsql"]
      .map((name) => [name, range(name)])
  ),
  // Only for ./testing.
  peerDependenciesMeta: { "@libsql/client": { optional: true }, libsql: { optional: true } }
}

const work = mkdtempSync(Path.join(tmpdir(), "coupon-package-"))
try {
  const compiled = compile(work)
  rmSync(out, { recursive: true, force: true })
  mkdirSync(out, { recursive: true })
  const plain = Object.values(entries).filter((entry) => entry !== BUNDLED)
  // The bundle's own imports of these must be theirs: their JavaScript is part of the package.
  const needed = new Set(reachable(compiled, plain, ".js"))
  const typed = reachable(compiled, Object.values(entries), ".d.ts")
  for (const module of typed) {
    const text = readFileSync(Path.join(compiled, `${module}.d.ts`), "utf8")
    emit(`${module}.d.ts`, text.replace(/((?:from |import\()"\.[^"]+)\.ts"/g, "$1.js\""))
  }
  for (const module of needed) emit(`${module}.js`, readFileSync(Path.join(compiled, `${module}.js`), "utf8"))
  const inputs = await bundle(needed)
  // `src/sql/Migrations.ts` reads them beside the code, two folders up.
  cpSync(Path.join(root, "migrations/libsql"), Path.join(out, "migrations/libsql"), { recursive: true })
  copyFileSync(Path.join(root, "LICENSE"), Path.join(out, "LICENSE"))
  copyFileSync(Path.join(root, "src/package/README.md"), Path.join(out, "README.md"))
  const whole = { ...manifest, files: ["dist", "migrations"] }
  writeFileSync(Path.join(out, "package.json"), `${JSON.stringify(whole, null, 2)}\n`)
  // For the tests of the package.
  writeFileSync(Path.join(root, "dist/package.inputs.json"), JSON.stringify(inputs))
  console.log(`dist/package: ${needed.size} modules, types of ${typed.size}, and the service for tests`)
} finally {
  rmSync(work, { recursive: true, force: true })
}

const pack = process.argv.indexOf("--pack")
if (pack >= 0) {
  const to = Path.resolve(process.argv[pack + 1] ?? ".")
  if (!existsSync(to)) mkdirSync(to, { recursive: true })
  const { status } = spawnSync("npm", ["pack", "--silent", "--pack-destination", to], { cwd: out, stdio: "inherit" })
  process.exit(status ?? 1)
}
