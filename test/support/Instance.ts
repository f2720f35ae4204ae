import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import * as Path from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { removeDirectory, spawnGuarded, temporaryDirectory } from "./guardian.ts"
import { isInRun } from "./onceARun.ts"

/** The real program, running as a process of its own. */
export interface Instance {
  /** `http://127.0.0.1:port`, without a slash at the end. */
  readonly url: string
  readonly port: number
  readonly pid: number
  /** Everything it has printed so far, on either stream. */
  readonly logs: () => string
  /** SIGTERM; resolves with its exit code, `null` if a signal ended it. Safe to repeat. */
  readonly stop: () => Promise<number | null>
  /** SIGKILL; resolves when it is gone. */
  readonly kill: () => Promise<void>
  /** SIGSTOP and SIGCONT: the process freezes with everything it holds. */
  readonly pause: () => void
  readonly resume: () => void
  /** Resolves with its exit code when it ends, `null` if a signal ended it. */
  readonly exited: Promise<number | null>
}

const root = Path.resolve(Path.dirname(fileURLToPath(import.meta.url)), "../..")

/** The Node that the project brings, whatever runs the tests. */
export const nodeProgram = Path.join(root, "node_modules/.bin/node")

const STARTUP_MILLIS = 60_000

/** What `npm start` gives to Node: flags and the program. */
const started =
  (JSON.parse(readFileSync(Path.join(root, "package.json"), "utf8")) as {
    readonly scripts: { readonly start: string }
  })
    .scripts.start.replace(/^.*\bnode /, "").split(" ")

// `globalSetup.ts` has built it, once a run; where sources are watched they may have changed since.
let isBuilt = isInRun() && process.env["VITEST_MODE"] === "RUN"
/** What `npm start` and the image run, built first if it is older than its sources. */
export const bundle = (): ReadonlyArray<string> => {
  if (!isBuilt) execFileSync(nodeProgram, ["scripts/build.mjs"], { cwd: root, stdio: ["ignore", "ignore", "inherit"] })
  isBuilt = true
  return started
}

/** Another program of the bundle, for Node: it starts in a fifth of the time that its source takes. */
export const bundled = (name: "cli" | "migrate" | "verify"): string => {
  bundle()
  return Path.join(root, `dist/app/${name}.js`)
}

/**
 * Starts the program on a free port with exactly these settings: nothing of the tests' own environment reaches it but
 * PATH and HOME. Without a DATA_DIR in `env` the embedded ledger gets a fresh one, gone with the instance. Resolves
 * once `/readyz` answers 200, or with `ready: false` as soon as it listens; rejects with its output if it ends before.
 * With a REDIS_URL the event stream is on unless `env` says otherwise: `checkInvariants` reads it. `openFiles`: its
 * `ulimit -n`.
 */
export const startInstance = async (
  env: Readonly<Record<string, string>> = {},
  options: { readonly ready?: boolean; readonly program?: ReadonlyArray<string>; readonly openFiles?: number } = {}
): Promise<Instance> => {
  const dir = env["DATA_DIR"] === undefined ? temporaryDirectory("data") : undefined
  const command = [nodeProgram, ...options.program ?? bundle()]
  const limited = options.openFiles === undefined
    ? command
    : ["bash", "-c", `ulimit -n ${options.openFiles}; exec "$@"`, "bash", ...command]
  const child = spawnGuarded(limited[0]!, limited.slice(1), {
    cwd: root,
    env: {
      PATH: process.env["PATH"],
      HOME: process.env["HOME"],
      PORT: "0",
      HOST: "127.0.0.1",
      LOG_FORMAT: "json",
      // As `npm start` sets it.
      OPEN_ADMINISTRATION: "loopback",
      // Saves 0.25 of 0.9 s of each start.
      NODE_COMPILE_CACHE: Path.join(root, ".cache/compile"),
      ...dir === undefined ? {} : { DATA_DIR: dir },
      ...env["REDIS_URL"] === undefined ? {} : { EVENT_STREAM: "redis" },
      ...env
    }
  })
  let output = ""
  const keep = (chunk: string) => {
    output += chunk
  }
  child.stdout?.setEncoding("utf8").on("data", keep)
  child.stderr?.setEncoding("utf8").on("data", keep)
  let ended = false
  const exited = new Promise<number | null>((resolve, reject) => {
    // "close", not "exit": by then all it printed has been read.
    child.once("close", (code) => {
      ended = true
      if (dir !== undefined) removeDirectory(dir)
      resolve(code)
    })
    child.once("error", reject)
  })
  // Awaiting it fails if the start failed; it need not be awaited.
  exited.catch(() => {
    ended = true
  })

  const end = Date.now() + STARTUP_MILLIS
  const until = async <A>(what: string, attempt: () => A | undefined | Promise<A | undefined>): Promise<A> => {
    for (;;) {
      const value = await attempt()
      if (value !== undefined) return value
      if (ended) {
        throw new Error(
          `the instance ended (exit code ${child.exitCode ?? child.signalCode}) and did not ${what}\n${output}`
        )
      }
      if (Date.now() > end) {
        child.kill("SIGKILL")
        throw new Error(`the instance did not ${what} within ${STARTUP_MILLIS / 1_000} s\n${output}`)
      }
      await pause(10)
    }
  }
  const port = await until("listen", () => {
    const match = /http:\/\/[\d.]+:(\d+)/.exec(output)
    return match === null ? undefined : Number(match[1])
  })
  const url = `http://127.0.0.1:${port}`
  if (options.ready !== false) {
    await until("become ready", async () => {
      const status = await fetch(`${url}/readyz`, { headers: { connection: "close" } }).then(
        (reply) => reply.status,
        () => 0
      )
      return status === 200 ? true : undefined
    })
  }
  return {
    url,
    port,
    pid: child.pid ?? -1,
    logs: () => output,
    stop: () => {
      child.kill("SIGCONT")
      child.kill("SIGTERM")
      return exited
    },
    kill: async () => {
      child.kill("SIGKILL")
      await exited
    },
    pause: () => {
      child.kill("SIGSTOP")
    },
    resume: () => {
      child.kill("SIGCONT")
    },
    exited
  }
}
