import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { removeDirectory, spawnGuarded, temporaryDirectory } from "../support/guardian.ts"
import { install, installable } from "../support/install.ts"
import { freePort } from "../support/privateServers.ts"

/** The configuration of the compose profile. */
export const folder = Path.resolve(Path.dirname(fileURLToPath(import.meta.url)), "../../deploy/observability")

/** The name of a metric in `/metrics`, from its name in the code. */
export const exposedName = (name: string, kind: string): string => kind === "counter" ? `${name}_total` : name

const has = (program: string): boolean => spawnSync(program, ["--version"], { stdio: "ignore" }).status === 0

/** Why there is no Prometheus here, after trying to install it; `undefined`: there is one. */
export const whyNoPrometheus = (): string | undefined => {
  const missing = () => ["prometheus", "promtool"].filter((program) => !has(program))
  if (missing().length > 0 && installable()) install(["prometheus"])
  return missing().length === 0 ? undefined : `${missing().join(" and ")} (on Debian: apt-get install prometheus)`
}

/** Runs promtool on files of the profile; its exit code and what it said. */
export const promtool = (
  args: ReadonlyArray<string>,
  input?: string
): { readonly status: number | null; readonly output: string } => {
  const { status, stderr, stdout } = spawnSync("promtool", [...args], {
    cwd: folder,
    encoding: "utf8",
    ...input === undefined ? {} : { input }
  })
  return { status, output: `${stdout}${stderr}` }
}

export interface Prometheus {
  /** GET of the HTTP API, e.g. `/api/v1/targets`; its `data`. */
  readonly api: <A>(path: string) => Promise<A>
  readonly stop: () => Promise<void>
}

/** Each must occur exactly once, or the test would prove something about another configuration. */
const replace = (text: string, from: RegExp, to: string): string => {
  if (text.match(new RegExp(from, "g"))?.length !== 1) {
    throw new Error(`prometheus.yml does not have exactly one ${from}`)
  }
  return text.replace(from, to)
}

/**
 * The profile's Prometheus, but for the addresses of what it scrapes and how often: `targets` are `host:port` of
 * instances.
 */
export const startPrometheus = async (targets: ReadonlyArray<string>): Promise<Prometheus> => {
  const dir = temporaryDirectory("prometheus")
  let config = Fs.readFileSync(Path.join(folder, "prometheus.yml"), "utf8")
  config = replace(config, /scrape_interval: 5s/, "scrape_interval: 250ms")
  config = replace(config, /evaluation_interval: 5s/, "evaluation_interval: 250ms")
  config = replace(config, /\/etc\/prometheus\/alerts.yml/, Path.join(folder, "alerts.yml"))
  config = replace(config, /dns_sd_configs:\n.*\n/, `static_configs: [{targets: ${JSON.stringify(targets)}}]\n`)
  config = replace(config, / {2}- job_name: envoy\n(?: {4}.*\n)*/, "")
  Fs.writeFileSync(Path.join(dir, "prometheus.yml"), config)
  const port = await freePort()
  const child = spawnGuarded("prometheus", [
    `--config.file=${Path.join(dir, "prometheus.yml")}`,
    `--storage.tsdb.path=${Path.join(dir, "data")}`,
    `--web.listen-address=127.0.0.1:${port}`
  ])
  let log = ""
  const keep = (chunk: Buffer) => void (log += chunk.toString())
  child.stdout?.on("data", keep)
  child.stderr?.on("data", keep)
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  const url = `http://127.0.0.1:${port}`
  for (const end = Date.now() + 60_000;;) {
    if (await fetch(`${url}/-/ready`).then(({ ok }) => ok, () => false)) break
    if (child.exitCode !== null || Date.now() > end) throw new Error(`prometheus does not start\n${log}`)
    await pause(20)
  }
  return {
    api: async <A>(path: string) => {
      const answer = await (await fetch(`${url}${path}`)).json() as {
        readonly status: string
        readonly data: A
        readonly error?: string
      }
      if (answer.status !== "success") throw new Error(`${path}: ${answer.error}`)
      return answer.data
    },
    stop: async () => {
      child.kill("SIGTERM")
      await gone
      removeDirectory(dir)
    }
  }
}
