import { execFile, execFileSync, spawnSync } from "node:child_process"
import { randomBytes, randomInt } from "node:crypto"
import * as Fs from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { hostsOf, type Host } from "../envoy/Envoy.ts"
import { freePort } from "../support/privateServers.ts"

const root = Path.resolve(Path.dirname(fileURLToPath(import.meta.url)), "../..")
const run = promisify(execFile)

const works = (...args: ReadonlyArray<string>): boolean =>
  spawnSync("docker", args, { stdio: "ignore", timeout: 60_000 }).status === 0

/** Whether `docker compose` itself is there, which reads a file without a daemon. */
export const hasCompose = (): boolean => works("compose", "version")

/**
 * A helper beside the checkout, if there is one: it brings Docker and base images to a machine that reaches no
 * registry.
 */
const helper = Path.join(root, "../shared/tools/container-images")

/** Why compose cannot be brought up here; `undefined`: it can. */
export const whyNot = (): string | undefined => {
  if (process.getuid?.() === 0 && Fs.existsSync(helper)) {
    console.log("preparing Docker and the base images")
    if (spawnSync(helper, { stdio: "inherit" }).status !== 0) return "the helper that brings Docker failed"
  }
  if (!works("info")) return "there is no Docker daemon"
  return hasCompose() ? undefined : "there is no docker compose"
}

/** Runs `docker`, in the checkout or elsewhere; resolves with its output, rejects with what it said. */
export const docker = async (
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {},
  cwd = root
): Promise<string> => {
  const { stdout } = await run("docker", args, { cwd, env: { ...process.env, ...env }, maxBuffer: 1 << 26 })
  return stdout.trim()
}

/** The image of the checkout, under this name. */
export const buildImage = (image: string): Promise<string> =>
  docker(["build", "--network", "host", "--quiet", "--tag", image, "."])

/**
 * A directory of its own with what a deployment by compose consists of, as an operator has it: what is written there
 * stays there.
 */
export interface Checkout {
  readonly directory: string
  /** Envoy's. */
  readonly url: string
  /** `docker compose` in it, just as given. */
  readonly compose: (...args: ReadonlyArray<string>) => Promise<string>
  /** A program of it, e.g. `deploy/production-secrets`. */
  readonly program: (path: string, ...args: ReadonlyArray<string>) => Promise<string>
  /** Containers, volumes and all. */
  readonly remove: () => Promise<void>
}

/** Of a /24 for each deployment of the tests, since several are up at a time: 198.19.0 to 198.19.255. */
export const edgePrefix = () => `198.19.${randomInt(256)}`

const COMPOSE_FILES = ["docker-compose.yml", "docker-compose.production.yml", "deploy", "envoy"]

/** What compose needs of the checkout, in a directory of its own. */
export const copyFiles = (): string => {
  const directory = Fs.mkdtempSync(Path.join(tmpdir(), "coupon-compose-"))
  for (const name of COMPOSE_FILES) Fs.cpSync(Path.join(root, name), Path.join(directory, name), { recursive: true })
  return directory
}

/** Keys and passwords into this directory, without making the checkout itself a production one. */
export const makeSecrets = (secrets: string): void => {
  const directory = copyFiles()
  execFileSync(Path.join(directory, "deploy/production-secrets"), [secrets], {
    stdio: "ignore",
    env: { ...process.env, COUPON_PUBLIC_ACCESS: "open" }
  })
  Fs.rmSync(directory, { recursive: true })
}

export const makeCheckout = async (image: string): Promise<Checkout> => {
  const directory = copyFiles()
  const project = `coupon-test-${randomBytes(4).toString("hex")}`
  const port = await freePort()
  const env = {
    COMPOSE_PROJECT_NAME: project,
    COUPON_IMAGE: image,
    COUPON_PORT: String(port),
    COUPON_ADMIN_PORT: String(await freePort()),
    COUPON_OPERATOR_PORT: String(await freePort()),
    COUPON_EDGE_PREFIX: edgePrefix()
  }
  const programEnv = { ...process.env, COUPON_PUBLIC_ACCESS: "open" }
  return {
    directory,
    url: `http://127.0.0.1:${port}`,
    compose: (...args) => docker(["compose", ...args], env, directory),
    program: async (path, ...args) =>
      (await run(Path.join(directory, path), args, { cwd: directory, env: programEnv })).stdout,
    remove: async () => {
      await docker(
        ["compose", "-f", "docker-compose.yml", "down", "--volumes", "--remove-orphans", "--timeout", "20"],
        env,
        directory
      )
      Fs.rmSync(directory, { recursive: true })
    }
  }
}

/** The deployment of docker-compose.yml, under a name of its own, with ports of its own. */
export interface Deployment {
  readonly project: string
  readonly image: string
  /** Envoy's. */
  readonly url: string
  /** That of its listener for operators. */
  readonly operatorUrl: string
  readonly compose: (...args: ReadonlyArray<string>) => Promise<string>
  /** The same, with further variables. */
  readonly composeWith: (
    variables: Readonly<Record<string, string>>,
    ...args: ReadonlyArray<string>
  ) => Promise<string>
  /** As many instances of `backend-app`; resolves when Envoy sends requests to just these and the primary. */
  readonly scale: (count: number) => Promise<void>
  /** The containers of a service that run. */
  readonly containers: (service: string) => Promise<ReadonlyArray<string>>
  readonly hosts: () => Promise<ReadonlyArray<Host>>
  readonly stores: () => Promise<{ readonly databaseUrl: string; readonly redisUrl: string }>
  readonly down: () => Promise<void>
}

/**
 * `secrets`: the folder of docker-compose.production.yml, which is then put on top; `image`: one that is built already,
 * and stays.
 */
export const makeDeployment = async (
  production?: { readonly secrets: string; readonly image: string }
): Promise<Deployment> => {
  const project = `coupon-test-${randomBytes(4).toString("hex")}`
  const image = production?.image ?? project
  const [port, adminPort, operatorPort] = [await freePort(), await freePort(), await freePort()]
  const env = {
    COUPON_IMAGE: image,
    COUPON_PORT: String(port),
    COUPON_ADMIN_PORT: String(adminPort),
    COUPON_OPERATOR_PORT: String(operatorPort),
    COUPON_EDGE_PREFIX: edgePrefix(),
    ...production === undefined ? {} : { COUPON_SECRETS: production.secrets, COUPON_PUBLIC_ACCESS: "open" }
  }
  const files = ["docker-compose.yml", ...production === undefined ? [] : ["docker-compose.production.yml"]]
    .flatMap((file) => ["-f", file])
  const composeWith: Deployment["composeWith"] = (variables, ...args) =>
    docker(["compose", "-p", project, ...files, "-f", "test/compose/docker-compose.test.yml", ...args], {
      ...env,
      ...variables
    })
  const compose: Deployment["compose"] = (...args) => composeWith({}, ...args)
  const secret = (service: string, path: string) => compose("exec", "-T", service, "cat", `/secrets/${path}`)
  const published = (service: string, inside: number) => compose("port", service, String(inside))
  return {
    project,
    image,
    url: `http://127.0.0.1:${port}`,
    operatorUrl: `http://127.0.0.1:${operatorPort}`,
    compose,
    composeWith,
    scale: async (count) => {
      await compose("up", "-d", "--no-build", "--no-recreate", "--scale", `backend-app=${count}`)
    },
    containers: async (service) =>
      (await compose("ps", "-q", "--status", "running", service)).split("\n").filter((id) => id !== ""),
    hosts: async () => hostsOf(await (await fetch(`http://127.0.0.1:${adminPort}/clusters?format=json`)).text()),
    // A restarted container is published on another port.
    stores: async () => {
      const password = await secret("redis", "redis/password")
      const database = new URL(await secret("backend-app-primary", "backend/mysql-url"))
      database.host = await published("mysql", 3306)
      return { databaseUrl: database.href, redisUrl: `redis://:${password}@${await published("redis", 6379)}` }
    },
    down: async () => {
      await compose("down", "--volumes", "--remove-orphans", "--timeout", "60")
      if (production === undefined) await docker(["image", "rm", "--force", image])
    }
  }
}
