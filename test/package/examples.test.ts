import * as Fs from "node:fs"
import * as Path from "node:path"
import TypeScript from "typescript"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { removeDirectory } from "../support/guardian.ts"
import { inLongProfile } from "../support/profile.ts"
import { consumer, expectedOutput, nodeProgram, root, run, typeCheck } from "./built.ts"

const ENTRIES = ["index", "connect", "webhooks", "testing"]

/** A comment as it is in the source, without its stars. */
const textOf = (comment: TypeScript.JSDoc): string =>
  comment.getText().replace(/^\/\*\*[ ]?/, "").replace(/\s*\*\/$/, "").replace(/^ *\* ?/gm, "")

const commentsOf = (declaration: TypeScript.Declaration): ReadonlyArray<string> => {
  const node = TypeScript.isNamespaceExport(declaration) ? declaration.parent : declaration
  return TypeScript.getJSDocCommentsAndTags(node).filter(TypeScript.isJSDoc).map(textOf)
}

interface Export {
  readonly name: string
  readonly isValue: boolean
  readonly text: string
  readonly examples: ReadonlyArray<string>
}

const modules = ["base", "client", "contract", "domain", "package"].flatMap((room) =>
  Fs.readdirSync(Path.join(root, "src", room), { encoding: "utf8", recursive: true })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => Path.join(root, "src", room, file)))

/** Without the modules of other packages: exports are named and looked up, not type-checked. */
const program = TypeScript.createProgram(modules, {
  allowImportingTsExtensions: true,
  noEmit: true,
  noLib: true,
  noResolve: true,
  module: TypeScript.ModuleKind.NodeNext,
  moduleResolution: TypeScript.ModuleResolutionKind.NodeNext,
  types: []
})
const checker = program.getTypeChecker()

/** Every export of an entry point, with its docstring and the examples in it. */
const exportsOf = (entry: string): ReadonlyArray<Export> => {
  const file = program.getSourceFile(Path.join(root, `src/package/${entry}.ts`))!
  return checker.getExportsOfModule(checker.getSymbolAtLocation(file)!).map((symbol) => {
    const isAlias = (symbol.flags & TypeScript.SymbolFlags.Alias) !== 0
    const target = isAlias ? checker.getAliasedSymbol(symbol) : symbol
    if (target.declarations === undefined) throw new Error(`${symbol.name} is of none of the rooms that are read`)
    // Those of an export that is no alias are the same.
    const declarations = new Set([...symbol.declarations ?? [], ...target.declarations])
    const comments = [...declarations].flatMap((one) => commentsOf(one))
    const isValue = (target.flags & (TypeScript.SymbolFlags.Value | TypeScript.SymbolFlags.ValueModule)) !== 0
    const examples = comments.flatMap((comment) =>
      comment.split(/^@example\n/m).slice(1).map((text) => text.split(/^@\w+/m)[0]!))
    return { name: symbol.name, isValue, text: comments.join("\n"), examples }
  })
}

const all = ENTRIES.map((entry) => [entry, exportsOf(entry)] as const)

const generated = Fs.readFileSync(Path.join(root, "src/package/gen.ts"), "utf8").replace(/^ \* ?/gm, "")
const readme = Fs.readFileSync(Path.join(root, "src/package/README.md"), "utf8")

/** Snippets by the names of their files. */
const snippets: ReadonlyArray<readonly [name: string, code: string]> = [
  ...all.flatMap(([entry, found]) =>
    found.flatMap(({ examples, name }) => examples.map((code, k) => [`${entry}.${name}.${k}.ts`, code] as const))),
  ["gen.ts", /@example\n(.*?)\n@module/s.exec(generated)![1]!],
  ...Array.from(readme.matchAll(/^```ts run\n(.*?)^```$/gms), ([, code], k) => [`readme.${k}.ts`, code!] as const)
]
/** Printed before each of them, where one process runs all. */
const NEXT = "--- the next one"
/** Those that need a service somewhere else. */
const typedOnly = Array.from(readme.matchAll(/^```ts\n(.*?)^```$/gms), ([, code], k) =>
  [`readme.typed.${k}.ts`, code!] as const)

describe.each(all)("the exports of src/package/%s.ts", (_, found) => {
  it("have a docstring each, and values an example that shows something", () => {
    expect(found.length).toBeGreaterThan(1)
    expect(found.filter(({ text }) => text.trim() === "").map(({ name }) => name)).toEqual([])
    const bare = found.filter(({ examples, isValue }) => isValue && examples.length === 0)
    expect(bare.map(({ name }) => name)).toEqual([])
  })
})

describe("the examples of the package", () => {
  let directory: string
  beforeAll(async () => {
    directory = (await consumer()).directory
    for (const [name, code] of [...snippets, ...typedOnly]) Fs.writeFileSync(Path.join(directory, name), code)
  })
  afterAll(() => directory === undefined ? undefined : removeDirectory(directory))

  // `consumers.test.ts` has the other way to resolve modules, for each entry point.
  it.each(inLongProfile(["nodenext", "bundler"] as const, ["nodenext"] as const))(
    "type-check under moduleResolution %s",
    async (resolution) => {
      expect(snippets.length).toBeGreaterThan(15)
      expect(typedOnly.length).toBeGreaterThan(1)
      await typeCheck(directory, [...snippets, ...typedOnly].map(([name]) => name), resolution)
    }
  )

  const lines = (printed: string) => printed.split("\n").filter((line) => line !== "")

  it("print what they say, one after another in a process that ends by itself", async () => {
    const names = JSON.stringify(snippets.map(([name]) => name))
    const all = `for (const name of ${names}) { console.log(${JSON.stringify(NEXT)}); await import(\`./\${name}\`) }`
    Fs.writeFileSync(Path.join(directory, "all.mjs"), all)
    const [before, ...printed] = (await run(nodeProgram, ["all.mjs"], directory)).split(`${NEXT}\n`)
    expect(before).toBe("")
    expect(snippets.map(([name], k) => [name, lines(printed[k] ?? "")])).toEqual(
      snippets.map(([name, code]) => [name, expectedOutput(code)])
    )
  })

  it.each(inLongProfile(snippets, []))("%s prints what it says in a process of its own", async (name, code) => {
    // All load the same modules.
    const cache = { NODE_COMPILE_CACHE: Path.join(directory, ".compiled") }
    expect(lines(await run(nodeProgram, [name], directory, cache))).toEqual(expectedOutput(code))
  })
})
