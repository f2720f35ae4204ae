import { Code } from "@connectrpc/connect"
import { execFileSync } from "node:child_process"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { makeClients, makeHttp, protocols, refusal, type Clients } from "../contract/clients.ts"
import { contract } from "../contract/contract.ts"
import { makeLoad, newcomers, tally, type LoadGenerator } from "../e2e/load.ts"
import { deferral, fillUp } from "../e2e/scenario.ts"
import { checkInvariants } from "../invariants/invariants.ts"
import { configuration, findEnvoy, startEnvoy, type Envoy } from "./Envoy.ts"
import { startInstances, type Instances } from "./instances.ts"

const program = findEnvoy()

describe("Envoy", () => {
  if (program === undefined) {
    it.skip("is not on the PATH, nor named by ENVOY, nor fetched by `npm run test:e2e`", () => {})
    return
  }

  it("takes the configuration of the compose file", () => {
    const output = execFileSync(program, ["--mode", "validate", "-c", configuration], { encoding: "utf8" })
    expect(output).toContain("OK")
  })

  contract("the contract, three instances behind Envoy", async () => {
    const instances = await startInstances()
    const envoy = await startEnvoy(program, instances.ports)
    await envoy.until(instances.ports)
    return {
      urls: () => [envoy.url],
      restart: async () => {
        await Promise.all(instances.ports.map((_, k) => instances.at(k).stop()))
        await envoy.until([])
        await Promise.all(instances.ports.map((_, k) => instances.start(k)))
        await envoy.until(instances.ports)
      },
      stop: async () => {
        await envoy.stop()
        await instances.stop()
      }
    }
  })

  describe("three instances behind it", () => {
    let instances: Instances
    let envoy: Envoy
    let load: LoadGenerator
    const defer = deferral()
    const urls = () => [envoy.url]
    const all = () => instances.ports

    beforeAll(async () => {
      instances = await startInstances()
      envoy = await startEnvoy(program, instances.ports)
      await envoy.until(instances.ports)
      load = makeLoad()
    })
    afterAll(async () => {
      // What a failed start has left undone.
      load?.close()
      await envoy?.stop()
      await instances?.stop()
    })

    /** As many users as there are protocols claim without end; every answer but a coupon is in `failures`. */
    const claimInEveryProtocol = (campaignId: number, firstUser: number) => {
      const failures: Array<string> = []
      let stopping = false
      let claims = 0
      let user = firstUser
      const open = protocols.map((protocol) => [protocol, makeClients(protocol, urls())] as const)
      const done = Promise.all(open.map(async ([protocol, clients]) => {
        while (!stopping) {
          claims++
          await clients.next().issueCoupon({ campaignId, userId: BigInt(user++) }).catch((error: unknown) =>
            void failures.push(`${protocol}: ${String(error)}`))
        }
      }))
      return {
        claims: () => claims,
        stop: async () => {
          stopping = true
          await done
          for (const [, clients] of open) clients.close()
          return failures
        }
      }
    }

    it("requests of every protocol land on every instance", async () => {
      for (const protocol of protocols) {
        const before = await envoy.served()
        const clients = makeClients(protocol, urls())
        defer(clients.close)
        const { campaignId } = await clients.next().createCampaign({
          name: protocol,
          couponLimit: 100n,
          startTime: "2025-06-25T00:00:00Z"
        })
        await Promise.all(Array.from({ length: 60 }, (_, k) => clients.next().issueCoupon({ campaignId, userId: BigInt(k + 1) })))
        const after = await envoy.served()
        for (const port of all()) expect(after.get(port)!, protocol).toBeGreaterThan(before.get(port)!)
      }
    })

    it("restarts of one after the other lose no request", async () => {
      const campaignId = await load.openCampaign(envoy.url, 1_000_000)
      const from = load.history.length
      const json = load.keepClaiming(urls, newcomers([campaignId], 1), 20)
      const others = claimInEveryProtocol(campaignId, 10_000_000)
      for (const k of all().keys()) {
        expect(await instances.at(k).stop()).toBe(0)
        await envoy.until(all().filter((_, other) => other !== k))
        await instances.start(k)
        await envoy.until(all())
        const settled = others.claims()
        await expect.poll(() => others.claims()).toBeGreaterThan(settled + 50)
      }
      const [failures] = await Promise.all([others.stop(), json.stop()])
      expect(failures).toEqual([])
      const told = load.history.slice(from)
      expect(tally(told)).toEqual({ OK: told.length })
      expect(told.length).toBeGreaterThan(100)
    })

    it("of one killed under load, clients that ask again notice nothing", async () => {
      const campaignIds = await Promise.all([1, 2].map(() => load.openCampaign(envoy.url, 3_000)))
      const wishes = newcomers(campaignIds, 1)
      const from = load.history.length
      let stopping = false
      const users = Array.from({ length: 40 }, async () => {
        const answers: Array<string> = []
        while (!stopping) answers.push((await load.insist(urls, wishes())).outcome)
        return answers
      })
      const answered = () => load.history.length - from
      await expect.poll(answered).toBeGreaterThan(200)
      await instances.at(1).kill()
      const killed = answered()
      await expect.poll(answered).toBeGreaterThan(killed + 400)
      await envoy.until(all().filter((_, k) => k !== 1))
      await instances.start(1)
      await envoy.until(all())
      stopping = true
      const answers = new Set((await Promise.all(users)).flat())
      // Who asked again after OUTCOME_UNKNOWN may hear of the coupon that the first claim got.
      expect([...answers].filter((one) => one !== "OK" && one !== "COUPON_ALREADY_CLAIMED" && one !== "COUPON_SOLD_OUT")).toEqual([])
      // An answer that broke off in its middle (NO_ANSWER) or OUTCOME_UNKNOWN, but nothing in words that are not the contract's.
      const told = new Set(load.history.slice(from).map(({ outcome }) => outcome))
      expect([...told].filter((one) => one.startsWith("HTTP"))).toEqual([])
      await fillUp(load, urls, campaignIds)
      // The claims of other tests are not in this load's history.
      await checkInvariants(instances.stores, undefined)
    })

    describe("what Envoy answers itself", () => {
      const claims = new Map<string, Clients>()
      beforeAll(async () => {
        for (const protocol of protocols) claims.set(protocol, makeClients(protocol, urls()))
      })
      afterAll(() => {
        for (const clients of claims.values()) clients.close()
      })

      it("OUTCOME_UNKNOWN to a claim whose instance died with it, UNAVAILABLE to a read", async () => {
        const http = makeHttp(urls())
        const campaignId = await load.openCampaign(envoy.url, 100)
        await instances.at(1).stop()
        await instances.at(2).stop()
        await envoy.until([all()[0]!])
        instances.at(0).pause()
        const asked = protocols.map((protocol, k) => refusal(claims.get(protocol)!.next().issueCoupon({ campaignId, userId: BigInt(k + 1) })))
        const plain = http.post("IssueCoupon", { campaignId, userId: 50 })
        const read = http.post("GetCampaign", { campaignId })
        await expect.poll(() => envoy.admin("/stats?filter=cluster.coupon.upstream_rq_active$"))
          .toContain(`upstream_rq_active: ${protocols.length + 2}`)
        await instances.at(0).kill()
        for (const [k, one] of asked.entries()) {
          const { code, message } = await one
          // gRPC's status follows from the HTTP status, which has no equal of "aborted".
          const isGrpc = protocols[k]!.startsWith("gRPC")
          expect(code, protocols[k]).toBe(isGrpc ? Code.Unknown : Code.Aborted)
          if (protocols[k] === "gRPC" || !isGrpc) expect(message, protocols[k]).toBe("OUTCOME_UNKNOWN")
        }
        const reply = await plain
        expect([reply.status, reply.json()]).toEqual([409, { code: "aborted", message: "OUTCOME_UNKNOWN" }])
        expect([(await read).status, (await read).json()]).toEqual([503, { code: "unavailable", message: "UNAVAILABLE" }])
      })

      it("UNAVAILABLE while there is no instance, and goes on when there is one", async () => {
        await envoy.until([])
        const reply = await makeHttp(urls()).post("IssueCoupon", { campaignId: 1, userId: 1 })
        expect([reply.status, reply.headers.get("retry-after"), reply.json()])
          .toEqual([503, "1", { code: "unavailable", message: "UNAVAILABLE" }])
        for (const protocol of protocols) {
          const { code } = await refusal(claims.get(protocol)!.next().issueCoupon({ campaignId: 1, userId: 1n }))
          expect(code, protocol).toBe(Code.Unavailable)
        }
        await Promise.all(all().map((_, k) => instances.start(k)))
        await envoy.until(all())
        expect((await makeHttp(urls()).post("GetCampaign", { campaignId: 1 })).status).toBe(200)
      })

      it("404 to any other path of the service's port", async () => {
        const http = makeHttp(urls())
        for (const path of ["/", "/livez", "/metrics", "/nowhere"]) expect((await http.request(path)).status, path).toBe(404)
        expect((await http.request("/readyz")).status).toBe(200)
      })
    })

    it("logs every request as a line of JSON, without what a query holds", async () => {
      const http = makeHttp(urls())
      await http.get("GetCoupon", { campaignId: 1, userId: "424242" })
      await expect.poll(envoy.log).toContain(`"path":"/coupon.v1.CouponService/GetCoupon"`)
      const lines = envoy.log().split("\n").filter((line) => line !== "").slice(0, -1)
      for (const line of lines) expect(JSON.parse(line)).toMatchObject({ status: expect.any(Number), path: expect.any(String) })
      expect(envoy.log()).not.toContain("424242")
    })

    it("leaves gracefully: what is under way is answered", async () => {
      const campaignId = await load.openCampaign(envoy.url, 1_000_000)
      const other = await startEnvoy(program, instances.ports)
      await other.until(instances.ports)
      const served = async () => [...(await other.served()).values()].reduce((sum, one) => sum + one, 0)
      let answered = 0
      const users = Array.from({ length: 10 }, async (_, worker) => {
        for (let user = 1;; user++) {
          // A connection each, so that only Envoy's leaving ends this.
          const reply = await fetch(`${other.url}/coupon.v1.CouponService/IssueCoupon`, {
            method: "POST",
            headers: { "content-type": "application/json", connection: "close" },
            body: JSON.stringify({ campaignId, userId: worker * 1_000_000 + user })
          }).catch(() => undefined)
          if (reply?.status !== 200) return
          answered++
        }
      })
      await expect.poll(served).toBeGreaterThan(100)
      const stopped = other.stop()
      await Promise.all(users)
      expect(await stopped).toBe(0)
      // A connection that Envoy never took may be refused; of the requests that it took, each was answered.
      const lines = other.log().split("\n").filter((line) => line.startsWith("{"))
      expect(lines.filter((line) => !line.includes(`"status":200`))).toEqual([])
      expect(lines.length).toBe(answered)
    })
  })
})
