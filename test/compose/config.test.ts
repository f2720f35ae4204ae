import { execFileSync } from "node:child_process"
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import * as Path from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { copyFiles, docker, hasCompose } from "./Compose.ts"

interface Service {
  readonly image: string
  readonly user?: string
  readonly read_only?: boolean
  readonly cap_drop?: ReadonlyArray<string>
  readonly environment?: Readonly<Record<string, string>>
  readonly ports?: ReadonlyArray<{ readonly host_ip?: string; readonly published: string }>
  readonly stop_grace_period?: string
  readonly healthcheck?: unknown
  readonly networks?: Readonly<Record<string, { readonly aliases?: ReadonlyArray<string> } | null>>
  readonly restart?: string
}

describe("docker-compose.yml", () => {
  if (!hasCompose()) {
    it.skip("docker compose is not on this machine", () => {})
    return
  }

  it("is valid, and keeps what it promises", async () => {
    // Open administration stays on loopback, whatever is set.
    const clean = {
      COUPON_BIND: "0.0.0.0",
      COUPON_OPERATOR_BIND: "0.0.0.0",
      COUPON_PORT: "",
      COUPON_ADMIN_PORT: "",
      COUPON_OPERATOR_PORT: "",
      COUPON_IMAGE: ""
    }
    const { services } = JSON.parse(
      await docker(["compose", "-f", "docker-compose.yml", "config", "--format", "json"], clean)
    ) as {
      readonly services: Readonly<Record<string, Service>>
    }
    expect(Object.keys(services).sort()).toEqual([
      "backend-app", "backend-app-primary", "envoy", "mysql", "redis", "secrets"
    ])
    // The primary is special in nothing.
    expect(services["backend-app-primary"]).toEqual(services["backend-app"])
    // Envoy finds all by one name: by two it keeps instances twice that exchange their addresses at a restart.
    expect(services["backend-app"]?.networks?.["edge"]?.aliases).toEqual(["instances"])
    expect(readFileSync("envoy/envoy.yaml", "utf8").match(/address: \S+, port_value: 808./g)).toEqual([
      "address: 0.0.0.0, port_value: 8080",
      "address: 0.0.0.0, port_value: 8081",
      "address: instances, port_value: 8080",
      "address: instances, port_value: 8081"
    ])
    expect(services["backend-app"]?.environment?.["ADMIN_PORT"]).toBe("8081")
    for (const [name, service] of Object.entries(services)) {
      expect(service.read_only, name).toBe(true)
      expect(service.cap_drop, name).toEqual(["ALL"])
      for (const { host_ip } of service.ports ?? []) expect(host_ip, name).toBe("127.0.0.1")
      for (const [key, value] of Object.entries(service.environment ?? {})) {
        if (/PASSWORD|URL/.test(key)) {
          expect([name, key, value]).toEqual([
            name,
            expect.stringMatching(/_FILE$/),
            expect.stringMatching(/^\/secrets\//)
          ])
        }
      }
      if (name === "secrets") continue
      expect(service.restart, name).toBe("unless-stopped")
      expect(service.healthcheck, name).toBeDefined()
      // MySQL's image begins as root and steps down by itself.
      if (name !== "mysql") expect(service.user, name).toMatch(/^[1-9]\d*:[1-9]\d*$/)
    }
    expect(services["envoy"]?.ports?.map(({ published }) => published)).toEqual(["8080", "8081", "9901"])
    // Longer than SHUTDOWN_TIMEOUT and the second after it.
    expect(services["backend-app"]).toMatchObject({
      environment: { SHUTDOWN_TIMEOUT: "8s", NODE_ENV: "development", OPEN_ADMINISTRATION: "yes" },
      stop_grace_period: "15s"
    })
  })

  it("docker-compose.production.yml takes keys and passwords from secrets, and addresses from settings", async () => {
    const files = ["-f", "docker-compose.yml", "-f", "docker-compose.production.yml"]
    const { secrets, services } = JSON.parse(await docker(["compose", ...files, "config", "--format", "json"], {
      COUPON_BIND: "0.0.0.0",
      COUPON_OPERATOR_BIND: "",
      COUPON_PORT: "",
      COUPON_ADMIN_PORT: "",
      COUPON_OPERATOR_PORT: "",
      COUPON_IMAGE: "",
      COUPON_SECRETS: "/somewhere",
      COUPON_PUBLIC_ACCESS: "key"
    })) as {
      readonly secrets: Readonly<Record<string, { readonly file: string }>>
      readonly services: Readonly<Record<string, Service>>
    }
    expect(Object.entries(secrets).map(([name, { file }]) => [name, file]).sort()).toEqual(
      [
        "admin-api-key", "mysql-owner-password", "mysql-password", "mysql-root-password", "redis-admin-password",
        "redis-password"
      ]
        .map((name) => [name, `/somewhere/${name}`])
    )
    for (const name of ["backend-app", "backend-app-primary"]) {
      expect(services[name]?.environment).toMatchObject({
        NODE_ENV: "production",
        OPEN_ADMINISTRATION: "no",
        PUBLIC_ACCESS: "key",
        TRUSTED_PROXIES: "198.18.251.2",
        ADMIN_API_KEY_FILE: "/secrets/backend/admin-api-key",
        MYSQL_URL_FILE: "/secrets/backend/mysql-url",
        SHUTDOWN_TIMEOUT: "8s"
      })
    }
    // Who may change the schema is none of those that serve, and none of their users either.
    expect(services["migrate"]).toMatchObject({
      user: "1001:1001",
      restart: "no",
      environment: { MYSQL_URL_FILE: "/secrets/migrate/mysql-url" }
    })
    expect(services["mysql"]?.environment).not.toHaveProperty("MYSQL_USER")
    expect(services["envoy"]?.ports?.map(({ host_ip, published }) => `${host_ip} ${published}`)).toEqual([
      "0.0.0.0 8080",
      "127.0.0.1 8081",
      "127.0.0.1 9901"
    ])
    for (const [name, service] of Object.entries(services)) {
      expect([name, service.read_only, service.cap_drop]).toEqual([name, true, ["ALL"]])
    }
  })
})

describe("deploy/production-secrets", () => {
  let directory: string
  beforeEach(() => {
    directory = copyFiles()
  })
  afterEach(() => rmSync(directory, { recursive: true }))

  const run = (env: Readonly<Record<string, string>>, ...args: ReadonlyArray<string>) =>
    execFileSync(Path.join(directory, "deploy/production-secrets"), args, {
      cwd: "/",
      encoding: "utf8",
      stdio: "pipe",
      env: { PATH: process.env["PATH"], ...env }
    })
  const make = (...args: ReadonlyArray<string>) => run({ COUPON_PUBLIC_ACCESS: "key" }, ...args)
  const read = (path: string) => readFileSync(Path.join(directory, path), "utf8")
  const names = [
    "admin-api-key", "mysql-root-password", "mysql-owner-password", "mysql-password", "redis-admin-password",
    "redis-password"
  ]
  const secrets = () => names.map((name) => read(`secrets/${name}`))

  it("makes each secret once, for its user alone, and leaves the rest of .env as it is", () => {
    writeFileSync(Path.join(directory, ".env"), "COUPON_PORT=8181\n# mine\n")
    make()
    const first = secrets()
    expect(new Set(first).size).toBe(names.length)
    for (const one of first) expect(one).toMatch(/^[A-Za-z0-9_-]{43}$/)
    expect(statSync(Path.join(directory, "secrets")).mode & 0o777).toBe(0o700)
    const env = read(".env")
    expect(env).toMatch(/^COUPON_PORT=8181\n# mine\n/)
    expect(env).toContain("\nCOMPOSE_FILE=docker-compose.yml:docker-compose.production.yml\n")
    for (const one of first) expect(env).not.toContain(one)
    make()
    expect(secrets()).toEqual(first)
    expect(read(".env")).toBe(env)
  })

  it("has the operator decide who may claim, before it makes anything, and keeps the decision in .env", () => {
    for (const access of ["", "yes", "Open"]) {
      expect(() => run({ COUPON_PUBLIC_ACCESS: access })).toThrow(/decide who may claim coupons/)
    }
    expect(() => secrets()).toThrow(/ENOENT/)
    run({ COUPON_PUBLIC_ACCESS: "open" })
    expect(read(".env")).toContain("\nCOUPON_PUBLIC_ACCESS=open\n")
    run({})
    expect(read(".env")).toContain("\nCOUPON_PUBLIC_ACCESS=open\n")
    run({ COUPON_PUBLIC_ACCESS: "key" })
    expect(read(".env").match(/COUPON_PUBLIC_ACCESS=.*/g)).toEqual(["COUPON_PUBLIC_ACCESS=key"])
  })

  it("refuses a COMPOSE_FILE that leaves production out, before it makes anything", () => {
    writeFileSync(Path.join(directory, ".env"), "COMPOSE_FILE=docker-compose.yml:mine.yml\n")
    expect(() => make()).toThrow(/add docker-compose\.production\.yml to it/)
    expect(() => secrets()).toThrow(/ENOENT/)
    const mine = "COMPOSE_FILE=docker-compose.yml:docker-compose.production.yml:mine.yml"
    writeFileSync(Path.join(directory, ".env"), `${mine}\n`)
    make()
    expect(read(".env")).toContain(`\n${mine}\n`)
  })

  it.skipIf(!hasCompose())("after it `docker compose` is production; without it, an error names it", async () => {
    const config = async (...args: ReadonlyArray<string>) => {
      const json = await docker(["compose", ...args, "config", "--format", "json"], {}, directory)
      const { services } = JSON.parse(json) as {
        readonly services: Readonly<Record<string, Service & { readonly labels?: Readonly<Record<string, string>> }>>
      }
      return { env: services["backend-app-primary"]?.environment?.["NODE_ENV"], redis: services["redis"]?.labels }
    }
    expect(await config()).toEqual({ env: "development", redis: undefined })
    await expect(config("-f", "docker-compose.yml", "-f", "docker-compose.production.yml"))
      .rejects.toThrow(/run deploy\/production-secrets first/)
    make()
    const made = await config()
    expect(made.env).toBe("production")
    expect(await config("-f", "docker-compose.yml", "-f", "docker-compose.production.yml")).toEqual(made)
    // Redis reads its passwords at its start alone, so other ones have to make another container.
    rmSync(Path.join(directory, "secrets/redis-password"))
    writeFileSync(Path.join(directory, ".env"), read(".env").replace(/(COUPON_REDIS_SECRETS=)\d+/, "$11"))
    make()
    expect((await config()).redis).not.toEqual({ "coupon.secrets": "given 1" })
    expect((await config()).redis?.["coupon.secrets"]).toMatch(/^given \d{10}/)
  })
})

it("what the Dockerfile copies is there, and goes to the builder", () => {
  const allowed = new Set(
    readFileSync(".dockerignore", "utf8").split("\n").flatMap((line) => line.startsWith("!") ? [line.slice(1)] : [])
  )
  const copies = readFileSync("Dockerfile", "utf8").split("\n").filter((line) => /^COPY (?!--from)/.test(line))
  const sources = copies.flatMap((line) => line.split(/\s+/).slice(1, -1))
  expect(sources.length).toBeGreaterThan(5)
  for (const source of sources) {
    expect(existsSync(source), source).toBe(true)
    expect([source, source.split("/")[0]!].some((one) => allowed.has(one)), source).toBe(true)
  }
})
