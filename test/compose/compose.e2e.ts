import { Redis } from "ioredis"
import * as MySql from "mysql2/promise"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { makeClients, makeHttp, protocols } from "../contract/clients.ts"
import { contract } from "../contract/contract.ts"
import { makeLoad, newcomers, tally, type LoadGenerator } from "../e2e/load.ts"
import { cookieOf, look, signIn } from "../console/Pages.ts"
import { fillUp } from "../e2e/scenario.ts"
import { checkInvariants, historyViolations } from "../invariants/invariants.ts"
import { openStores } from "../invariants/Snapshot.ts"
import { coupon } from "../operator/Command.ts"
import { docker, makeDeployment, makeSecrets, whyNot, type Deployment } from "./Compose.ts"

const reason = whyNot()

/** What a browser gets: the console, or another status than 200. */
const consoleAt = async (url: string) => {
  const reply = await fetch(`${url}/console/`)
  const text = await reply.text()
  return reply.status === 200 && text.includes("/console/assets/") ? "the console" : reply.status
}

describe("docker compose up --build --scale backend-app=3", () => {
  if (reason !== undefined) {
    it.skip(`cannot be brought up: ${reason}`, () => {})
    return
  }
  let deployment: Deployment
  let load: LoadGenerator
  const urls = () => [deployment.url]

  /** Resolves when Envoy knows just as many instances, takes all of them for healthy, and they answer. */
  const untilServedBy = async (count: number, on = deployment) => {
    const http = makeHttp([on.url])
    const answers = async () => (await http.post("GetCampaign", { campaignId: 999_999 })).status === 404
    // Just after a restart Envoy may still hold those for healthy that went; then several answers in a row do not come.
    const allAnswer = async () => {
      for (let i = 0; i < 4 * count; i++) if (!(await answers())) return false
      return true
    }
    for (const end = Date.now() + 120_000;;) {
      const hosts = await on.hosts().catch(() => [])
      if (hosts.length === count && hosts.every(({ healthy }) => healthy) && await allAnswer().catch(() => false)) {
        return
      }
      if (Date.now() > end) {
        const seen = `Envoy sees ${JSON.stringify(hosts)} and not ${count} healthy instances that answer`
        throw new Error(`${seen}\n${await on.compose("ps", "-a")}`)
      }
      await pause(50)
    }
  }

  beforeAll(async () => {
    deployment = await makeDeployment()
    const start = Date.now()
    await deployment.compose("up", "-d", "--build", "--scale", "backend-app=3").catch(async (error: unknown) => {
      console.log(await deployment.compose("logs", "--tail", "100"))
      throw error
    })
    console.log(`built and started in ${Math.round((Date.now() - start) / 1_000)} s`)
    await untilServedBy(4)
    load = makeLoad()
  })
  afterAll(async () => {
    // After a failure; it finds nothing to do after a success.
    load?.close()
    if (deployment === undefined) return
    await deployment.down()
  })

  it("runs what it runs with few rights, and keeps no password in the image or in a variable", async () => {
    for (const service of ["backend-app", "backend-app-primary", "envoy", "redis", "mysql"]) {
      for (const id of await deployment.containers(service)) {
        const { Config, HostConfig } = JSON.parse(await docker(["inspect", id, "--format", "{{json .}}"])) as {
          readonly Config: { readonly User: string; readonly Env: ReadonlyArray<string> }
          readonly HostConfig: { readonly ReadonlyRootfs: boolean; readonly RestartPolicy: { readonly Name: string } }
        }
        expect(HostConfig, service).toMatchObject({ ReadonlyRootfs: true, RestartPolicy: { Name: "unless-stopped" } })
        if (service !== "mysql") expect(Config.User, service).toMatch(/^[1-9]/)
        expect(Config.Env.filter((one) => /PASSWORD=|_URL=/.test(one)), service).toEqual([])
        // Whatever the container began as, what runs in it runs as another user.
        expect(await docker(["exec", id, "grep", "^Uid:", "/proc/1/status"]), service).toMatch(/^Uid:\s+[1-9]/)
      }
    }
    const history = await docker(["history", "--no-trunc", "--format", "{{.CreatedBy}}", deployment.image])
    expect(history).not.toMatch(/password/i)
  })

  contract("the contract, through Envoy", async () => ({
    urls,
    restart: async () => {
      await deployment.compose("restart", "backend-app", "backend-app-primary")
      await untilServedBy(4)
    },
    stop: async () => {}
  }))

  it("requests of every protocol land on every instance", async () => {
    for (const protocol of protocols) {
      // Envoy may just have taken one out that was slow to answer a health check.
      await untilServedBy(4)
      const before = await deployment.hosts()
      const clients = makeClients(protocol, urls())
      const { campaignId } = await clients.next().createCampaign({
        name: protocol,
        couponLimit: 100n,
        startTime: "2025-06-25T00:00:00Z"
      })
      await Promise.all(
        Array.from({ length: 80 }, (_, k) => clients.next().issueCoupon({ campaignId, userId: BigInt(k + 1) }))
      )
      clients.close()
      const after = new Map((await deployment.hosts()).map(({ address, requests }) => [address, requests]))
      expect(before.length).toBe(4)
      for (const { address, requests } of before) {
        expect(after.get(address)!, `${protocol} at ${address}`).toBeGreaterThan(requests)
      }
    }
  })

  it("issues no wrong coupon under load while an instance is killed, MySQL restarts and Redis is flushed", async () => {
    const campaignId = await load.openCampaign(deployment.url, 20_000)
    const wishes = newcomers([campaignId], 1)
    const users = load.keepClaiming(urls, wishes, 10)
    const issued = () => load.history.filter(({ outcome }) => outcome === "OK").length
    const more = async (count: number) => {
      const before = issued()
      await expect.poll(issued).toBeGreaterThan(before + count)
    }
    try {
      await more(100)

      const [victim] = await deployment.containers("backend-app")
      await docker(["kill", victim!])
      await untilServedBy(3)
      await more(100)
      await docker(["start", victim!])
      await untilServedBy(4)
      await more(100)

      await deployment.compose("restart", "mysql")
      await more(100)

      const password = (await deployment.compose("exec", "-T", "redis", "cat", "/secrets/redis/password")).trim()
      await deployment.compose("exec", "-T", "-e", `REDISCLI_AUTH=${password}`, "redis", "redis-cli", "flushall")
      await more(100)
    } finally {
      await users.stop()
    }
    console.log(`answers under load: ${JSON.stringify(tally(load.history))}`)
    expect(Object.keys(tally(load.history)).filter((outcome) => outcome.startsWith("HTTP"))).toEqual([])

    const small = await load.openCampaign(deployment.url, 300)
    await fillUp(load, urls, [small])
    const stores = await deployment.stores()
    const reader = await openStores(stores)
    try {
      // The next claim of a campaign rebuilds the gate that it lost. The contract's have no load that would bring one.
      const { post } = makeHttp(urls())
      for (const id of await reader.campaignIds()) {
        expect((await post("IssueCoupon", { campaignId: id, userId: "1" })).status, `campaign ${id}`).not.toBe(500)
      }
      // Of the contract's campaigns there is no history.
      await checkInvariants(stores, undefined)
      for (const id of [campaignId, small]) expect(historyViolations(await reader.ledger(id), load.history)).toEqual([])
      expect((await reader.ledger(small)).coupons.length).toBe(300)
    } finally {
      await reader.close()
    }
  })

  it("follows --scale down and up without losing a request", async () => {
    const campaignId = await load.openCampaign(deployment.url, 1_000_000)
    const from = load.history.length
    const users = load.keepClaiming(urls, newcomers([campaignId], 1), 10)
    try {
      await deployment.scale(1)
      await untilServedBy(2)
      await deployment.scale(3)
      await untilServedBy(4)
    } finally {
      await users.stop()
    }
    const answers = load.history.slice(from)
    const log = await deployment.compose("logs", "--no-log-prefix", "envoy")
    const refused = log.split("\n").filter((line) => line.includes(`"path":"/coupon.v1`) && /"flags":"[A-Z]/.test(line))
      .slice(-20)
    expect(tally(answers), refused.join("\n")).toEqual({ OK: answers.length })
  })

  it("is operated by the coupon command, from outside and in a container, and watch shows every instance", async () => {
    const run = coupon(deployment.operatorUrl)
    for (const args of [["doctor"], ["verify"], ["settings"], ["log"], ["keys", "list"]]) {
      expect(await run(...args), args.join(" ")).toMatchObject({ code: 0, err: "" })
    }
    const ids = [...await deployment.containers("backend-app"), ...await deployment.containers("backend-app-primary")]
    const hosts = (out: string) =>
      out.trim().split("\n").map((line) => (JSON.parse(line) as { readonly instance: string }).instance.split(":")[0]!)
    const expected = ids.map((id) => id.slice(0, 12)).sort()
    expect(hosts((await run("watch", "--json", "--count", "1")).out).sort()).toEqual(expected)
    const inside = await deployment.compose(
      "exec", "-T", "backend-app-primary", "coupon", "watch", "--json", "--count", "1"
    )
    expect(hosts(inside).sort()).toEqual(expected)
  })

  it("says that administration is open, loudly", async () => {
    const log = await deployment.compose("logs", "--no-log-prefix", "backend-app-primary")
    expect(log).toMatch(/"message":"ADMINISTRATION IS OPEN \(OPEN_ADMINISTRATION\)[^"]*"[^\n]*"WARN"/)
  })

  it("shows the console to operators, and to the public only with COUPON_CONSOLE=on", async () => {
    expect(await consoleAt(deployment.operatorUrl)).toBe("the console")
    expect(await consoleAt(deployment.url)).toBe(404)
    const onlyEnvoy = ["up", "-d", "--no-build", "--no-deps", "envoy"]
    await deployment.composeWith({ COUPON_CONSOLE: "on" }, ...onlyEnvoy)
    await untilServedBy(4)
    expect(await consoleAt(deployment.url)).toBe("the console")
    await deployment.compose(...onlyEnvoy)
    await untilServedBy(4)
    expect(await consoleAt(deployment.url)).toBe(404)
  })

  it("the image is healthy as soon as it serves, with the console and a bill of all that is in it", async () => {
    const name = `${deployment.project}-alone`
    const open = ["-e", "NODE_ENV=development", "-e", "OPEN_ADMINISTRATION=yes"]
    const id = await docker([
      "run", "-d", "--name", name, "--tmpfs", "/data:uid=1000", "--health-interval", "1s", ...open, deployment.image
    ])
    try {
      const health = () => docker(["inspect", id, "--format", "{{.State.Health.Status}}"])
      await expect.poll(health).toBe("healthy")
      const ask = "fetch('http://127.0.0.1:8080/console/').then((reply) => reply.text()).then(console.log)"
      expect(await docker(["exec", id, "node", "-e", ask])).toContain("src=\"/console/assets/")
      const sbom = JSON.parse(await docker(["exec", id, "cat", "/app/sbom.cdx.json"])) as {
        readonly bomFormat: string
        readonly components: ReadonlyArray<{ readonly name: string }>
      }
      expect(sbom.bomFormat).toBe("CycloneDX")
      const names = sbom.components.map((component) => component.name)
      expect(names).toEqual(expect.arrayContaining(["effect", "mysql2", "libsql", "svelte", "uplot", "bits-ui"]))
      expect(names).not.toContain("vitest")
    } finally {
      await docker(["rm", "--force", id])
    }
  })

  it("the image alone refuses to start without PUBLIC_ACCESS and an ADMIN key, and says what to do", async () => {
    const outcome = (...env: ReadonlyArray<string>) =>
      docker([
        "run", "--rm", "--name", `${deployment.project}-bare`, "--tmpfs", "/data:uid=1000", ...env, deployment.image
      ]).then(
        () => "started",
        (error: { readonly stderr: string }) => error.stderr
      )
    expect(await outcome()).toContain("PUBLIC_ACCESS: must be set in production")
    const withAccess = await outcome("-e", "PUBLIC_ACCESS=open")
    expect(withAccess).toContain("NODE_ENV is production, and there is no ADMIN key")
    expect(withAccess).toContain("Set ADMIN_API_KEY_FILE to that file's path")
  })

  describe("with docker-compose.production.yml", () => {
    const secrets = mkdtempSync(Path.join(tmpdir(), "coupon-secrets-"))
    const secret = (name: string) => readFileSync(Path.join(secrets, name), "utf8")
    let production: Deployment
    const admin = () => ({ authorization: `Bearer ${secret("admin-api-key")}` })
    const port = async (service: string, inside: number) =>
      Number((await production.compose("port", service, String(inside))).split(":").at(-1))
    const asMySqlUser = async (user: string, name: string) =>
      MySql.createConnection({
        host: "127.0.0.1",
        port: await port("mysql", 3306),
        user,
        password: secret(name),
        database: "coupon"
      })
    const redisUser = async (credentials: { readonly username?: string; readonly password?: string }) => {
      const redis = new Redis({
        host: "127.0.0.1",
        port: await port("redis", 6379),
        ...credentials,
        retryStrategy: null,
        enableReadyCheck: false
      })
      redis.on("error", () => {})
      return redis
    }
    const up = ["up", "-d", "--no-build", "--scale", "backend-app=1"]
    const untilServed = () => untilServedBy(2, production)

    beforeAll(async () => {
      makeSecrets(secrets)
      production = await makeDeployment({ secrets, image: deployment.image })
      await production.compose("-f", "test/compose/docker-compose.open.yml", ...up).catch(async (error: unknown) => {
        console.log(await production.compose("logs", "--tail", "100"))
        throw error
      })
      await untilServed()
    })
    afterAll(async () => {
      await (production as Deployment | undefined)?.down()
      rmSync(secrets, { recursive: true })
    })

    contract("the contract, through Envoy, with the least rights", async () => ({
      urls: () => [production.url],
      restart: async () => {
        await production.compose("restart", "backend-app", "backend-app-primary")
        await untilServed()
      },
      stop: async () => {}
    }))

    it("administration needs a key, and passwords are the given ones", async () => {
      await production.compose(...up)
      await untilServed()
      const draft = { name: "real", couponLimit: "10", startTime: "2025-06-25T00:00:00Z" }
      const http = makeHttp([production.url])
      const refused = await http.post("CreateCampaign", draft)
      expect([refused.status, refused.json()["message"]]).toEqual([
        401,
        "UNAUTHENTICATED: this call needs an API key with the rights of OPERATOR; " +
          "send it as \"Authorization: Bearer <key>\""
      ])
      const created = await http.post("CreateCampaign", draft, admin())
      expect(created.status).toBe(200)
      // Users need no key; every instance knows the campaign.
      expect((await http.post("IssueCoupon", { campaignId: created.json()["campaignId"], userId: "1" })).status)
        .toBe(200)
      // A key made at one instance works at both, through whichever Envoy sends it.
      const made = JSON.parse(
        await production.compose(
          "exec", "-T", "backend-app-primary", "coupon", "keys", "create", "--json", "--name", "ops", "--role",
          "OPERATOR"
        )
      ) as { readonly secret: string }
      for (let k = 0; k < 4; k++) {
        expect((await http.post("CreateCampaign", draft, { authorization: `Bearer ${made.secret}` })).status).toBe(200)
      }
      const log = await production.compose(
        "logs", "--no-log-prefix", "backend-app", "backend-app-primary", "migrate", "mysql-users", "mysql-grants"
      )
      expect(log).not.toContain("ADMINISTRATION IS OPEN")
      for (const one of [made.secret, ...readdirSync(secrets).map(secret)]) expect(log).not.toContain(one)
    })

    it("has no console unless COUPON_CONSOLE is on; then a key signs in, at either port", async () => {
      expect([await consoleAt(production.url), await consoleAt(production.operatorUrl)]).toEqual([404, 404])
      await production.composeWith({ COUPON_CONSOLE: "on" }, ...up)
      await untilServed()
      for (const url of [production.url, production.operatorUrl]) {
        expect(await consoleAt(url)).toBe("the console")
        const at = Number(new URL(url).port)
        expect((await signIn(at, "wrong")).status).toBe(401)
        const cookie = cookieOf(await signIn(at, secret("admin-api-key")))
        expect(await look(at, cookie)).toMatchObject({ open: false, signedIn: true, role: "ADMIN" })
      }
    })

    it("instances trust the Envoy of their own deployment, by its address", async () => {
      const [envoy] = await production.containers("envoy")
      const format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
      const address = await docker(["inspect", envoy!, "--format", format])
      for (const service of ["backend-app", "backend-app-primary"]) {
        expect(await production.compose("exec", "-T", service, "printenv", "TRUSTED_PROXIES")).toBe(address)
      }
    })

    it("instances know no URL but their own, and cannot read the others' secrets", async () => {
      for (const service of ["backend-app", "backend-app-primary"]) {
        const inside = (...command: ReadonlyArray<string>) => production.compose("exec", "-T", service, ...command)
        expect(await inside("cat", "/secrets/backend/mysql-url")).toBe(
          `mysql://coupon:${secret("mysql-password")}@mysql:3306/coupon`
        )
        expect(await inside("cat", "/secrets/backend/redis-url")).toBe(
          `redis://coupon:${secret("redis-password")}@redis:6379`
        )
        for (
          const file of ["migrate/mysql-url", "mysql/root-password", "mysql/owner-password", "redis/admin-password"]
        ) {
          await expect(inside("cat", `/secrets/${file}`), file).rejects.toThrow(/Permission denied/)
        }
      }
    })

    it("their user of MySQL changes no table, and nothing of a coupon but its user", async () => {
      const connection = await asMySqlUser("coupon", "mysql-password")
      try {
        const [[row]] = await connection.query("SELECT COUNT(*) AS coupons FROM coupons") as unknown as [
          [{ readonly coupons: number }]
        ]
        expect(row.coupons).toBeGreaterThan(0)
        for (const statement of [
          "DROP TABLE coupons",
          "CREATE TABLE x (id INT)",
          "ALTER TABLE coupons ADD COLUMN x INT",
          "TRUNCATE TABLE outbox",
          "DELETE FROM coupons",
          "DELETE FROM redemptions"
        ]) await expect(connection.query(statement), statement).rejects.toMatchObject({ errno: 1142 })
        // Of a coupon it may change the user, who can be erased, and nothing else.
        for (const column of ["code = 'x'", "id = 7", "issued_at = NOW(6)"]) {
          const statement = `UPDATE coupons SET ${column}`
          await expect(connection.query(statement), statement).rejects.toMatchObject({ errno: 1143 })
        }
        await expect(connection.query("DROP DATABASE coupon")).rejects.toMatchObject({ errno: 1044 })
      } finally {
        connection.destroy()
      }
    })

    it("their user of Redis runs what the gate uses alone, and the default user is off", async () => {
      const serving = await redisUser({ username: "coupon", password: secret("redis-password") })
      const unauthenticated = await redisUser({})
      const byDefault = await redisUser({ password: secret("redis-password") })
      // A rejected log-in closes the connection, and commands report only that.
      const refusal = new Promise<Error>((resolve) => byDefault.once("error", resolve))
      const administrator = await redisUser({ username: "admin", password: secret("redis-admin-password") })
      try {
        // The gate is in use: the contract's claims went through it.
        expect(await administrator.dbsize()).toBeGreaterThan(0)
        const forbidden = ["FLUSHALL", "CONFIG GET *", "CONFIG SET maxmemory 1", "ACL LIST", "KEYS *"]
        for (const [command, ...args] of forbidden.map((line) => line.split(" "))) {
          await expect(serving.call(command!, ...args), command).rejects.toThrow(/NOPERM/)
        }
        expect(await serving.call("TIME")).toHaveLength(2)
        await expect(unauthenticated.call("PING")).rejects.toThrow(/NOAUTH/)
        await expect(byDefault.call("PING")).rejects.toThrow()
        expect((await refusal).message).toMatch(/NOAUTH|WRONGPASS/)
      } finally {
        for (const redis of [serving, unauthenticated, byDefault, administrator]) redis.disconnect()
      }
    })

    it("a password that is replaced holds from the next `up` on", async () => {
      const former = await asMySqlUser("coupon", "mysql-password")
      former.destroy()
      rmSync(Path.join(secrets, "mysql-password"))
      makeSecrets(secrets)
      await production.compose(...up)
      const now = await asMySqlUser("coupon", "mysql-password")
      now.destroy()
      await production.compose("restart", "backend-app", "backend-app-primary")
      await untilServed()
      const draft = { name: "later", couponLimit: "1", startTime: "2025-06-25T00:00:00Z" }
      // Envoy may still take an instance for healthy that has just gone.
      await expect.poll(async () => (await makeHttp([production.url]).post("CreateCampaign", draft, admin())).status)
        .toBe(200)
    })
  })

  it("lets the pages of CORS_ORIGINS ask through Envoy, and no others", async () => {
    const preflight = async (origin: string) => {
      const { headers, status } = await fetch(`${deployment.url}/coupon.v1.CouponService/IssueCoupon`, {
        method: "OPTIONS",
        headers: {
          origin,
          "access-control-request-method": "POST",
          "access-control-request-headers": "content-type,connect-protocol-version"
        }
      })
      return [status, headers.get("access-control-allow-origin")]
    }
    expect(await preflight("https://shop.example")).toEqual([204, "https://shop.example"])
    expect((await preflight("https://other.example"))[1]).toBe(null)
  })

  it("stops in good order", async () => {
    const ids =
      (await Promise.all(["backend-app", "backend-app-primary", "envoy", "redis", "mysql"].map(deployment.containers)))
        .flat()
    expect(ids.length).toBe(7)
    await deployment.compose("stop")
    for (const id of ids) {
      expect(await docker(["inspect", id, "--format", "{{.Name}} {{.State.ExitCode}}"])).toMatch(/ 0$/)
    }
  })

  it("goes down and leaves nothing", async () => {
    await deployment.down()
    const label = ["--filter", `label=com.docker.compose.project=${deployment.project}`, "-q"]
    expect(await docker(["ps", "-a", ...label])).toBe("")
    expect(await docker(["volume", "ls", ...label])).toBe("")
    expect(await docker(["network", "ls", ...label])).toBe("")
    expect(await docker(["image", "ls", "-q", deployment.image])).toBe("")
  })
})
