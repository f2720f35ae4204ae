import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"
import { bundle, nodeProgram } from "../support/Instance.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const { youngClosures } = await import(new URL("../../scripts/young-closures.mjs", import.meta.url).href) as {
  readonly youngClosures: (code: string) => string
}

it.each([
  ["an arrow function", "a.b = (x) => x + 1", "a.b = (0, (x) => x + 1)"],
  ["a function", "a[0] = function() { return 1 }", "a[0] = (0, function() { return 1 })"],
  ["an async one, in a sequence", "f(), this.g = async () => h, k", "f(), this.g = (0, async () => h), k"],
  ["one inside another", "a.b = () => { c.d = e => e }", "a.b = (0, () => { c.d = (0, e => e) })"],
  ["one in parentheses", "a.b = (() => c)", "a.b = ((0, () => c))"],
  ["a chain", "a.b = c.d = () => e", "a.b = c.d = (0, () => e)"]
])("wraps %s that is assigned to a property", (_, code, wrapped) => {
  expect(youngClosures(code)).toBe(wrapped)
})

it.each([
  "let a = () => b",
  "a = () => b",
  "a.b ??= () => c",
  "a.b = c(() => d)",
  "a.b = c || (() => d)",
  "a.b = { c: () => d, e() {} }",
  "a.b = class { c = () => d }",
  "const a = 'b.c = () => d', e = /f.g = () => h/, i = `j.k = () => l`"
])("leaves %s alone", (code) => {
  expect(youngClosures(code)).toBe(code)
})

it("means the same", () => {
  const code = "const a = {}; a.f = (x) => x * 2; a.g = function(x) { return this.f(x) + 1 }; a.h = a.i = () => 7;" +
    "return [a.f(1), a.g(2), a.h(), a.i(), a.f.name, a.f.length]"
  const run = (text: string) => new Function(text)() as unknown
  const wrapped = youngClosures(`(function() { ${code} })`)
  expect(wrapped).not.toContain("= (x)")
  expect(run(`return ${wrapped}()`)).toEqual(run(code))
})

it("has been through the whole bundle", () => {
  execFileSync(nodeProgram, ["scripts/build.mjs"], { cwd: root })
  const dist = Path.join(root, "dist/app")
  const modules = Fs.readdirSync(dist).filter((file) => file.endsWith(".js")).map((file) =>
    Fs.readFileSync(Path.join(dist, file), "utf8")
  )
  expect(modules.join("").match(/effect_instruction_i0 = \(0, \(/g)?.length).toBeGreaterThan(0)
  expect(modules.filter((code) => youngClosures(code) !== code)).toEqual([])
})

it("runs in the image with the flags that it is tested with", () => {
  const command = /^CMD (\[.*\])$/m.exec(Fs.readFileSync(Path.join(root, "Dockerfile"), "utf8"))![1]!
  expect(JSON.parse(command)).toEqual(["node", ...bundle()])
})
