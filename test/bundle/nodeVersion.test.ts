import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { bundle, nodeProgram } from "../support/Instance.ts"
import { temporaryDirectory } from "../support/guardian.ts"
import { inLongProfile } from "../support/profile.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** Runs a program on the project's Node, which says that it is another. */
const runAs = (version: string, program: string, args: ReadonlyArray<string> = ["--help"]) => {
  const pretend = `Object.defineProperty(process, "version", { value: "v${version}" }); ` +
    `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "${version}" } })`
  const { status, stderr, stdout } = spawnSync(nodeProgram, [
    "--import", `data:text/javascript,${encodeURIComponent(pretend)}`, program, ...args
  ], {
    cwd: root,
    encoding: "utf8",
    env: { PATH: process.env["PATH"], NODE_COMPILE_CACHE: Path.join(root, ".cache/compile") }
  })
  return { status, stderr, stdout }
}

describe("the bundled programs", () => {
  bundle()
  const programs = [["main", 1], ["cli", 1], ["verify", 2], ["audit", 2], ["migrate", 2]] as const

  it.each(["main", "migrate", "verify"])("%s does nothing for an argument that it does not know", (name) => {
    const run = runAs("24.0.0", `dist/app/${name}.js`, ["--halp"])
    expect(run.status).toBe(2)
    expect(run.stdout + run.stderr).toMatch(/--halp.*--help|npm run (migrate|verify) /s)
  })

  it.each(programs)("%s says on an older Node which one it needs, and nothing else", (name, status) => {
    for (const version of inLongProfile(["18.20.8", "20.20.2", "22.11.0", "23.0.0"], ["22.11.0", "23.0.0"])) {
      const run = runAs(version, `dist/app/${name}.js`)
      expect(run).toEqual({
        status,
        stdout: "",
        stderr: expect.stringMatching(/^coupon-issuance needs Node 22\.12 or later, /)
      })
      expect(run.stderr).toContain(`this is v${version}.`)
      expect(run.stderr).toContain("node_modules/.bin/node")
    }
  })

  it.each(programs)("%s runs on the oldest that will do, and on later ones", (name) => {
    for (const version of inLongProfile(["22.12.0", "23.1.0", "24.0.0", "26.3.0"], ["22.12.0", "23.1.0"])) {
      expect(runAs(version, `dist/app/${name}.js`)).toEqual({
        status: 0,
        stdout: expect.stringMatching(/./),
        stderr: ""
      })
    }
  })

  it.each(programs)("%s looks before it imports anything", (name) => {
    const text = Fs.readFileSync(Path.join(root, `dist/app/${name}.js`), "utf8")
    expect(text).not.toMatch(/^import\s*["'{*\w]|\brequire\b|\bawait\b/m)
  })
})

it("the image runs the bundle with the flags that it is tested with", () => {
  const command = /^CMD (\[.*\])$/m.exec(Fs.readFileSync(Path.join(root, "Dockerfile"), "utf8"))![1]!
  expect(JSON.parse(command)).toEqual(["node", ...bundle()])
})

it("bin/coupon.mjs starts the bundle or the sources on what it has, and says what it lacks", () => {
  const checkout = temporaryDirectory("checkout")
  for (const dir of ["bin", "src", "node_modules/effect"]) Fs.mkdirSync(Path.join(checkout, dir), { recursive: true })
  Fs.copyFileSync(Path.join(root, "bin/coupon.mjs"), Path.join(checkout, "bin/coupon.mjs"))
  Fs.writeFileSync(Path.join(checkout, "src/cli.ts"), "console.log('from its source')")
  const program = Path.join(checkout, "bin/coupon.mjs")
  for (const version of ["20.20.2", "22.17.1", "23.5.0"]) {
    const needs = `coupon: it needs Node 22.18 or later (this is v${version}), or the one that \`npm ci\` brings\n`
    expect(runAs(version, program)).toEqual({ status: 1, stdout: "", stderr: needs })
  }
  for (const version of ["22.18.0", "24.0.0"]) {
    expect(runAs(version, program)).toMatchObject({ status: 0, stdout: "from its source\n" })
  }
  Fs.mkdirSync(Path.join(checkout, "dist/app"), { recursive: true })
  Fs.writeFileSync(Path.join(checkout, "dist/app/cli.js"), "console.log('from the bundle')")
  Fs.writeFileSync(Path.join(checkout, "dist/app/.built"), "")
  Fs.utimesSync(Path.join(checkout, "dist/app/.built"), Date.now() / 1_000 + 60, Date.now() / 1_000 + 60)
  expect(runAs("22.12.0", program)).toMatchObject({ status: 0, stdout: "from the bundle\n" })
})
