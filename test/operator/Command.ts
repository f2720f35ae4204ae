import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import { liveServices as defaultServices } from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import { main } from "../../src/cli/Main.ts"
import { exitCodes } from "../../src/cli/ExitCode.ts"
import { spawnGuarded } from "../support/guardian.ts"
import { bundled, nodeProgram } from "../support/Instance.ts"

const root = Path.resolve(Path.dirname(fileURLToPath(import.meta.url)), "../..")

export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** The `coupon` command as a process of its own, with nothing of the tests' environment but PATH and HOME. */
export const startCommand = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) => {
  const child = spawnGuarded(nodeProgram, [bundled("cli"), ...args], {
    cwd: root,
    env: {
      PATH: process.env["PATH"],
      HOME: process.env["HOME"],
      NODE_COMPILE_CACHE: Path.join(root, ".cache/compile"),
      ...env
    }
  })
  let out = ""
  let err = ""
  child.stdout!.setEncoding("utf8").on("data", (chunk: string) => (out += chunk))
  child.stderr!.setEncoding("utf8").on("data", (chunk: string) => (err += chunk))
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once("error", reject)
    child.once("close", (code) => resolve({ code, out, err }))
  })
  return { ended, out: () => out, kill: (signal: NodeJS.Signals) => child.kill(signal) }
}

/** Runs it to its end within this process, which starts in no time. */
export const coupon =
  (url: string, env: Readonly<Record<string, string>> = {}) =>
  async (...args: ReadonlyArray<string>): Promise<Ended> => {
  let out = ""
  let err = ""
  const log = (...parts: ReadonlyArray<unknown>) => Effect.sync(() => void (out += `${parts.join(" ")}\n`))
  const error = (...parts: ReadonlyArray<unknown>) => Effect.sync(() => void (err += `${parts.join(" ")}\n`))
  const exit = await Effect.runPromise(main(args).pipe(
    Effect.withConsole({ ...Context.get(defaultServices, Console.Console), log, error }),
    Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries({ COUPON_URL: url, ...env }))))
  ))
  return { code: exitCodes[exit].code, out, err }
}
