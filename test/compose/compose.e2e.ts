import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { makeClients, makeHttp, protocols } from "../contract/clients.ts"
import { contract } from "../contract/contract.ts"
import { makeLoad, newcomers, tally, type LoadGenerator } from "../e2e/load.ts"
import { fillUp } from "../e2e/scenario.ts"
import { checkInvariants, historyViolations } from "../invariants/invariants.ts"
import { openStores } from "../invariants/Snapshot.ts"
import { docker, makeDeployment, whyNot, type Deployment } from "./Compose.ts"

const reason = whyNot()

describe("docker compose up --build --scale backend-app=3", () => {
  if (reason !== undefined) {
    it.skip(`cannot be brought up: ${reason}`, () => {})
    return
  }
  let deployment: Deployment
  let load: LoadGenerator
  const urls = () => [deployment.url]

  /** Resolves when Envoy knows just as many instances and sends requests to all of them. */
  const untilServedBy = async (count: number) => {
    for (const end = Date.now() + 120_000;;) {
      const healthy = (await deployment.hosts().catch(() => [])).map((host) => host.healthy)
      if (healthy.length === count && healthy.every((one) => one)) return
      if (Date.now() > end) {
        throw new Error(`Envoy sees ${JSON.stringify(healthy)} and not ${count} healthy instances\n${await deployment.compose("ps", "-a")}`)
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
        // Whatever the container began as, what runs in it runs as somebody else.
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
      const before = await deployment.hosts()
      const clients = makeClients(protocol, urls())
      const { campaignId } = await clients.next().createCampaign({
        name: protocol,
        couponLimit: 100n,
        startTime: "2025-06-25T00:00:00Z"
      })
      await Promise.all(Array.from({ length: 80 }, (_, k) => clients.next().issueCoupon({ campaignId, userId: BigInt(k + 1) })))
      clients.close()
      const after = new Map((await deployment.hosts()).map(({ address, requests }) => [address, requests]))
      expect(before.length).toBe(4)
      for (const { address, requests } of before) expect(after.get(address)!, `${protocol} at ${address}`).toBeGreaterThan(requests)
    }
  })

  it("survives a killed instance, a restart of MySQL and a Redis that forgot all, under load, without a wrong coupon", async () => {
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
    console.log(`told under load: ${JSON.stringify(tally(load.history))}`)
    expect(Object.keys(tally(load.history)).filter((outcome) => outcome.startsWith("HTTP"))).toEqual([])

    const small = await load.openCampaign(deployment.url, 300)
    await fillUp(load, urls, [small])
    const stores = await deployment.stores()
    // Of the contract's campaigns there is no history.
    await checkInvariants(stores, undefined)
    const reader = await openStores(stores)
    try {
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
    const told = load.history.slice(from)
    const log = await deployment.compose("logs", "--no-log-prefix", "envoy")
    const refused = log.split("\n").filter((line) => line.includes(`"path":"/coupon.v1`) && /"flags":"[A-Z]/.test(line)).slice(-20)
    expect(tally(told), refused.join("\n")).toEqual({ OK: told.length })
  })

  it("says that administration is open, loudly", async () => {
    const log = await deployment.compose("logs", "--no-log-prefix", "backend-app-primary")
    expect(log).toMatch(/"message":"ADMINISTRATION IS OPEN: no API key is configured[^"]*"[^\n]*"WARN"/)
  })

  it("the image alone refuses to start without an ADMIN key, and says what to do", async () => {
    const outcome = await docker(["run", "--rm", "--name", `${deployment.project}-bare`, "--tmpfs", "/data:uid=1000", deployment.image]).then(
      () => "started",
      (error: { readonly stderr: string }) => error.stderr
    )
    expect(outcome).toContain("NODE_ENV is production, and there is no ADMIN key")
    expect(outcome).toContain("set ADMIN_API_KEY_FILE to that file's path")
  })

  it("with docker-compose.production.yml administration needs a key, and passwords are the given ones", async () => {
    const secrets = mkdtempSync(Path.join(tmpdir(), "coupon-secrets-"))
    execFileSync("deploy/production-secrets", [secrets], { stdio: "ignore" })
    const adminKey = readFileSync(Path.join(secrets, "admin-api-key"), "utf8")
    const production = await makeDeployment({ secrets, image: deployment.image })
    try {
      await production.compose("up", "-d", "--no-build", "--scale", "backend-app=1").catch(async (error: unknown) => {
        console.log(await production.compose("logs", "--tail", "100"))
        throw error
      })
      await expect.poll(async () => (await production.hosts().catch(() => [])).filter(({ healthy }) => healthy).length).toBe(2)
      const draft = { name: "real", couponLimit: "10", startTime: "2025-06-25T00:00:00Z" }
      const http = makeHttp([production.url])
      const refused = await http.post("CreateCampaign", draft)
      expect([refused.status, refused.json()["message"]]).toEqual([
        401,
        "UNAUTHENTICATED: this call needs an API key with the rights of OPERATOR; send it as \"Authorization: Bearer <key>\""
      ])
      const created = await http.post("CreateCampaign", draft, { authorization: `Bearer ${adminKey}` })
      expect(created.status).toBe(200)
      // Users need no key; every instance knows the campaign.
      expect((await http.post("IssueCoupon", { campaignId: created.json()["campaignId"], userId: "1" })).status).toBe(200)
      // A key made at one instance works at both, through whichever Envoy sends it.
      const made = JSON.parse(
        await production.compose("exec", "-T", "backend-app-primary", "coupon", "keys", "create", "--json", "--name", "ops", "--role", "OPERATOR")
      ) as { readonly secret: string }
      for (let k = 0; k < 4; k++) {
        expect((await http.post("CreateCampaign", draft, { authorization: `Bearer ${made.secret}` })).status).toBe(200)
      }
      const given = readFileSync(Path.join(secrets, "mysql-password"), "utf8")
      expect(await production.compose("exec", "-T", "backend-app-primary", "cat", "/secrets/backend/mysql-url")).toContain(`:${given}@`)
      const log = await production.compose("logs", "--no-log-prefix", "backend-app", "backend-app-primary")
      expect(log).not.toContain("ADMINISTRATION IS OPEN")
      for (const secret of [adminKey, made.secret, given]) expect(log).not.toContain(secret)
    } finally {
      await production.down()
      rmSync(secrets, { recursive: true })
    }
  })

  it("stops in good order", async () => {
    const ids = (await Promise.all(["backend-app", "backend-app-primary", "envoy", "redis", "mysql"].map(deployment.containers))).flat()
    expect(ids.length).toBe(7)
    await deployment.compose("stop")
    for (const id of ids) expect(await docker(["inspect", id, "--format", "{{.Name}} {{.State.ExitCode}}"])).toMatch(/ 0$/)
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
