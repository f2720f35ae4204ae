import { globSync, readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { describe, expect, it } from "vitest"

/** The type of a package: what its `import` entry is. */
const isModule = (name: string): boolean => {
  const path = createRequire(import.meta.url).resolve.paths("x")!.map((dir) => `${dir}/${name}/package.json`)
  for (const file of path) {
    try {
      const { exports, module, type } = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>
      return type === "module" || module !== undefined || JSON.stringify(exports ?? "").includes("\"import\"")
    } catch {
      // Perhaps in the next folder.
    }
  }
  throw new Error(`there is no package ${name}`)
}

describe("packages that are imported late", () => {
  const late = globSync("src/**/*.ts").flatMap((file) =>
    [...readFileSync(file, "utf8").matchAll(/[^f] import\("([^."][^"]*)"\)/g)].map(([, id]) => {
      const name = id!.startsWith("@") ? id!.split("/").slice(0, 2).join("/") : id!.split("/")[0]!
      return { file, name }
    }))

  // esbuild gives a CommonJS package that is imported by import() its default export alone: the names are undefined.
  it("are ES modules, so that the bundle has their names", () => {
    expect(late.length).toBeGreaterThan(5)
    expect(late.filter(({ name }) => !name.startsWith("node:") && !isModule(name))).toEqual([])
  })
})
