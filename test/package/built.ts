import { execFile } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { temporaryDirectory } from "../support/guardian.ts"
import { onceARun } from "../support/onceARun.ts"

export const root = fileURLToPath(new URL("../..", import.meta.url))

/** The project's own Node. */
export const nodeProgram = Path.join(root, "node_modules/.bin/node")

const execute = promisify(execFile)

/** Runs a program to its end; its output if that fails. */
export const run = async (
  program: string,
  args: ReadonlyArray<string>,
  cwd: string,
  env: Readonly<Record<string, string>> = {}
): Promise<string> => {
  const options = { cwd, env: { ...process.env, ...env }, maxBuffer: 1 << 26 }
  const { stdout } = await execute(program, [...args], options).catch((error: unknown) => {
    const { message, stderr, stdout } = error as { message: string; stdout: string; stderr: string }
    throw new Error(`${message}\n${stdout}${stderr}`)
  })
  return stdout
}

const { devDependencies, dependencies } = JSON.parse(Fs.readFileSync(Path.join(root, "package.json"), "utf8")) as {
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}

/** Packs the package, and has it installed by npm into an empty project, with what else it names. */
const install = async (directory: string) => {
  await run(nodeProgram, ["scripts/package.mjs", "--pack", directory], root)
  const [tarball] = Fs.readdirSync(directory)
  const project = Path.join(directory, "project")
  Fs.mkdirSync(project)
  Fs.writeFileSync(
    Path.join(project, "package.json"),
    JSON.stringify({ name: "consumer", version: "1.0.0", private: true, type: "module" })
  )
  const options = ["--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
  const libsql = `@libsql/client@${dependencies["@libsql/client"]}`
  const types = `@types/node@${devDependencies["@types/node"]}`
  await run("npm", ["install", ...options, Path.join(directory, tarball!), libsql, types], project)
}

/** The tarball of the package, made in this test run, and a project of the caller's own that has installed it. */
export const consumer = async (): Promise<{ readonly directory: string; readonly tarball: string }> => {
  const made = (await onceARun("package", install))!
  const directory = temporaryDirectory("consumer")
  Fs.copyFileSync(Path.join(made, "project/package.json"), Path.join(directory, "package.json"))
  Fs.symlinkSync(Path.join(made, "project/node_modules"), Path.join(directory, "node_modules"))
  return { directory, tarball: Path.join(made, Fs.readdirSync(made).find((name) => name.endsWith(".tgz"))!) }
}

/** Type-checks files of a project, and the declarations of all that they import. */
export const typeCheck = async (
  directory: string,
  files: ReadonlyArray<string>,
  resolution: "bundler" | "nodenext"
): Promise<void> => {
  const config = Path.join(directory, `tsconfig.${resolution}.json`)
  Fs.writeFileSync(config, JSON.stringify({
    compilerOptions: {
      noEmit: true,
      strict: true,
      exactOptionalPropertyTypes: true,
      target: "ES2022",
      lib: ["ES2022", "DOM", "DOM.AsyncIterable", "DOM.Iterable"],
      types: ["node"],
      module: resolution === "nodenext" ? "NodeNext" : "ESNext",
      moduleResolution: resolution,
      // Of the dependencies' own declarations some do not agree with each other.
      skipLibCheck: true
    },
    files
  }))
  await run(nodeProgram, [Path.join(root, "node_modules/typescript/bin/tsc"), "-p", config], directory)
}

/**
 * What a snippet says that it prints: comments behind `console.log(…)`, and lines of comment that follow such a line or
 * the end of its block at once.
 */
export const expectedOutput = (code: string): ReadonlyArray<string> => {
  const expected: Array<string> = []
  let follows = false
  for (const line of code.split("\n")) {
    const own = /^\s*\/\/ (.*)$/.exec(line)?.[1]
    if (own !== undefined) {
      if (follows) expected.push(own)
      continue
    }
    const behind = /console\.log\(.*\) \/\/ (.*)$/.exec(line)?.[1]
    if (behind !== undefined) expected.push(behind)
    follows = behind === undefined && (line.includes("console.log(") || line.trim() === "}")
  }
  return expected
}
