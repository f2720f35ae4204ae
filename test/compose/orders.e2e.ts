import { randomBytes } from "node:crypto"
import { readFileSync, rmSync } from "node:fs"
import * as Path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { makeHttp } from "../contract/clients.ts"
import { buildImage, docker, makeCheckout, whyNot, type Checkout } from "./Compose.ts"

const reason = whyNot()

const commands = ["plain up", "down", "deploy/production-secrets", "production up"] as const
type Command = typeof commands[number]

const permutations = <A>(all: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  all.length === 0 ? [[]] : all.flatMap((one, k) => permutations(all.toSpliced(k, 1)).map((rest) => [one, ...rest]))

const plain = ["-f", "docker-compose.yml"]
const production = [...plain, "-f", "docker-compose.production.yml"]
/** One instance alone: what is tried are the stores' passwords. */
const up = ["up", "-d", "--no-build", "--scale", "backend-app=0"]

const DRAFT = { name: "order", couponLimit: "10", startTime: "2025-06-25T00:00:00Z" }

describe("from try-out to production and back, in the same directory", () => {
  if (reason !== undefined) {
    it.skip(`cannot be brought up: ${reason}`, () => {})
    return
  }
  const image = `coupon-test-${randomBytes(4).toString("hex")}`
  beforeAll(() => buildImage(image))
  afterAll(() => docker(["image", "rm", "--force", image]))

  /** Runs commands as an operator would, and looks at what an operator and users then find. */
  const operate = (checkout: Checkout) => {
    const http = makeHttp([checkout.url])
    /** What users received: codes by campaign. */
    const held = new Map<string, string>()
    let secrets = false
    let wasProduction = false
    const adminKey = () => readFileSync(Path.join(checkout.directory, "secrets/admin-api-key"), "utf8")

    const untilServed = () =>
      expect.poll(async () => (await http.post("GetCampaign", { campaignId: 999_999 }).catch(() => undefined))?.status)
        .toBe(404)
    const create = (headers: Readonly<Record<string, string>> = {}) => http.post("CreateCampaign", DRAFT, headers)
    const claim = async (campaignId: string) => {
      const reply = await http.post("IssueCoupon", { campaignId, userId: "1" })
      expect(reply.status, JSON.stringify(reply.json())).toBe(200)
      held.set(campaignId, String(reply.json()["code"]))
    }
    const nothingIsLost = async () => {
      for (const [campaignId, code] of held) {
        expect((await http.post("GetCoupon", { campaignId, userId: "1" })).json()).toMatchObject({ coupon: { code } })
      }
    }

    const run: Readonly<Record<Command, () => Promise<void>>> = {
      "plain up": async () => {
        await checkout.compose(...plain, ...up)
        await untilServed()
        await nothingIsLost()
        if (wasProduction) {
          // The ledger remembers: nothing but an instance's environment says that this is a try-out.
          for (let k = 0; k < 4; k++) expect((await create()).status).toBe(401)
          return
        }
        const created = await create()
        expect(created.status).toBe(200)
        await claim(String(created.json()["campaignId"]))
      },
      down: async () => {
        await checkout.compose("down", "--timeout", "20")
      },
      "deploy/production-secrets": async () => {
        await checkout.program("deploy/production-secrets")
        secrets = true
      },
      "production up": async () => {
        const done = checkout.compose(...production, ...up)
        if (!secrets) {
          await expect(done).rejects.toThrow(/run deploy\/production-secrets first/)
          return
        }
        await done
        wasProduction = true
        await untilServed()
        await nothingIsLost()
        expect((await create()).status).toBe(401)
        const created = await create({ authorization: `Bearer ${adminKey()}` })
        expect(created.status).toBe(200)
        await claim(String(created.json()["campaignId"]))
      }
    }
    return {
      run: async (command: Command) => {
        await run[command]().catch(async (error: unknown) => {
          console.log(await checkout.compose(...plain, "logs", "--tail", "30").catch(String))
          throw error
        })
      },
      untilServed,
      nothingIsLost,
      create,
      adminKey
    }
  }

  const withCheckout = async (use: (checkout: Checkout, operator: ReturnType<typeof operate>) => Promise<void>) => {
    const checkout = await makeCheckout(image)
    try {
      await use(checkout, operate(checkout))
    } finally {
      await checkout.remove()
    }
  }

  it.each(permutations(commands).map((order) => [order.join(", "), order] as const))("%s", (_, order) =>
    withCheckout(async (_, { run }) => {
      for (const command of order) await run(command)
      // Wherever that ended, production is one command away, or two.
      await run("deploy/production-secrets")
      await run("production up")
    }))

  it("MySQL is not locked by a volume of secrets that was lost, nor by secrets that were made anew", () =>
    withCheckout(async (checkout, { adminKey, create, nothingIsLost, run, untilServed }) => {
      await run("plain up")
      await run("down")
      const volumes = await checkout.compose(...plain, "config", "--format", "json")
      const { name } = JSON.parse(volumes) as { readonly name: string }
      await docker(["volume", "rm", `${name}_secrets`])
      await run("plain up")
      await run("deploy/production-secrets")
      await run("production up")
      // Every one of them, while all runs.
      await checkout.program("deploy/production-secrets", Path.join(checkout.directory, "others"))
      expect(readFileSync(Path.join(checkout.directory, ".env"), "utf8")).toContain("/others'\n")
      await checkout.compose(...up)
      await checkout.compose("restart", "backend-app-primary")
      await untilServed()
      await nothingIsLost()
      const others = readFileSync(Path.join(checkout.directory, "others/admin-api-key"), "utf8")
      expect((await create({ authorization: `Bearer ${others}` })).status).toBe(200)
      expect((await create({ authorization: `Bearer ${adminKey()}` })).status).toBe(401)
      // Root's alone, in its place: MySQL goes on running.
      rmSync(Path.join(checkout.directory, "others/mysql-root-password"))
      await checkout.program("deploy/production-secrets", Path.join(checkout.directory, "others"))
      await checkout.compose(...up)
      const log = await checkout.compose("logs", "--no-log-prefix", "mysql-users")
      expect(log).toContain("root of MySQL had a former password; it has the given one now")
      await checkout.compose(
        "exec", "-T", "redis", "bash", "-c",
        "REDISCLI_AUTH=$(</secrets/redis/admin-password) redis-cli --user admin ping | grep PONG"
      )
    }))

  it("a former release's lock-out is mended: MySQL has a password that no file has", () =>
    withCheckout(async (checkout, { run }) => {
      await run("plain up")
      await run("down")
      await run("deploy/production-secrets")
      // What `deploy/secrets` did before: the only copy of the old passwords is gone.
      const config = JSON.parse(await checkout.compose(...plain, "config", "--format", "json")) as {
        readonly name: string
      }
      await docker([
        "run", "--rm", "--user", "0:0", "--entrypoint", "/bin/bash", "-v", `${config.name}_secrets:/secrets`,
        "redis:7.4", "-c", "rm -rf /secrets/mysql /secrets/redis /secrets/backend"
      ])
      await run("production up")
    }))

  it("after deploy/production-secrets `docker compose` is production, whatever the command forgets", () =>
    withCheckout(async (checkout, { adminKey, create, run, untilServed }) => {
      await run("deploy/production-secrets")
      await checkout.compose(...up)
      await untilServed()
      expect((await create()).status).toBe(401)
      // The line of docs/guides/upgrade.md.
      await checkout.compose("up", "-d", "--no-build", "--no-deps", "--force-recreate", "backend-app-primary")
      await untilServed()
      expect(await checkout.compose("exec", "-T", "backend-app-primary", "printenv", "NODE_ENV")).toBe("production")
      for (let k = 0; k < 8; k++) expect((await create()).status).toBe(401)
      expect((await create({ authorization: `Bearer ${adminKey()}` })).status).toBe(200)
    }))
})
