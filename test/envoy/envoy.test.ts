import { Code } from "@connectrpc/connect"
import { execFileSync } from "node:child_process"
import * as http1 from "node:http"
import * as net from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { makeClients, makeHttp, protocols, refusal, type Clients } from "../contract/clients.ts"
import { contract } from "../contract/contract.ts"
import { exitCodes } from "../../src/cli/ExitCode.ts"
import { makeLoad, newcomers, tally, type LoadGenerator } from "../e2e/load.ts"
import { deferral, fillUp } from "../e2e/scenario.ts"
import { checkInvariants } from "../invariants/invariants.ts"
import { coupon } from "../operator/Command.ts"
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
      hasWebhooks: true,
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
        await Promise.all(
          Array.from({ length: 60 }, (_, k) => clients.next().issueCoupon({ campaignId, userId: BigInt(k + 1) }))
        )
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
      const answers = load.history.slice(from)
      expect(tally(answers)).toEqual({ OK: answers.length })
      expect(answers.length).toBeGreaterThan(100)
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
      // A claim repeated after OUTCOME_UNKNOWN may return the coupon that the first one got.
      expect(
        [...answers].filter((one) => one !== "OK" && one !== "COUPON_ALREADY_CLAIMED" && one !== "COUPON_SOLD_OUT")
      ).toEqual([])
      // An answer that broke off in its middle (NO_ANSWER) or OUTCOME_UNKNOWN, but nothing in words that are not the
      // contract's.
      const outcomes = new Set(load.history.slice(from).map(({ outcome }) => outcome))
      expect([...outcomes].filter((one) => one.startsWith("HTTP"))).toEqual([])
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
        const asked = protocols.map((protocol, k) =>
          refusal(claims.get(protocol)!.next().issueCoupon({ campaignId, userId: BigInt(k + 1) }))
        )
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
        expect([(await read).status, (await read).json()]).toEqual([503, {
          code: "unavailable",
          message: "UNAVAILABLE"
        }])
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
        for (const path of ["/", "/livez", "/metrics", "/nowhere"]) {
          expect((await http.request(path)).status, path).toBe(404)
        }
        expect((await http.request("/readyz")).status).toBe(200)
        expect((await http.request("/openapi.json")).status).toBe(200)
      })
    })

    describe("for operators", () => {
      const run = (...args: ReadonlyArray<string>) => coupon(envoy.operatorUrl)(...args)

      it("every command works on the listener of their own", async () => {
        const campaignId = String(await load.openCampaign(envoy.operatorUrl, 10))
        const commands = ["doctor", "audit", "settings", "log", "keys list", "campaign list"]
                for (const args of [...commands, `campaign get ${campaignId}`].map((line) => line.split(" "))) {
          expect(await run(...args), args.join(" ")).toMatchObject({ code: 0, err: "" })
        }
        expect(await run("issue", campaignId, "1")).toMatchObject({ code: 0 })
        expect(await run("rebuild", campaignId)).toMatchObject({ code: 0 })
        for (const path of ["/", "/metrics", "/operator", "/operator/rpc/x"]) {
          expect((await makeHttp([envoy.operatorUrl]).request(path)).status, path).toBe(404)
        }
      })

      it("`coupon watch` shows every instance", async () => {
        const { code, out } = await run("watch", "--json", "--count", "1")
        expect(code).toBe(0)
        const names = out.trim().split("\n").map((line) => (JSON.parse(line) as { readonly instance: string }).instance)
        const pids = all().map((_, k) => String(instances.at(k).pid))
        expect(names.map((name) => name.split(":").at(-1)).sort()).toEqual(pids.sort())
      })

      it("the public listener has no operator plane, and the command says where it is", async () => {
        const { code, err } = await coupon(envoy.url)("settings")
        expect(code).toBe(exitCodes.FAILED.code)
        expect(err).toContain("answers HTTP 404")
        expect(err).toContain("http://127.0.0.1:8081")
      })

      it("a call whose instance died with it may have been carried out", async () => {
        await instances.at(1).stop()
        await instances.at(2).stop()
        await envoy.until([all()[0]!])
        instances.at(0).pause()
        const asked = [run("keys", "revoke", "0123456789abcdef", "--yes"), run("settings")]
        await expect.poll(() => envoy.admin("/stats?filter=cluster.operators.upstream_rq_active$"))
          .toContain("upstream_rq_active: 2")
        await instances.at(0).kill()
        const [revoke, read] = await Promise.all(asked)
        expect(revoke).toMatchObject({ code: exitCodes.UNKNOWN.code })
        expect(read).toMatchObject({ code: exitCodes.UNAVAILABLE.code })
        await envoy.until([])
        await Promise.all(all().map((_, k) => instances.start(k)))
        await envoy.until(all())
      })
    })

    describe("its access log", () => {
      /** What of these calls is logged: method and outcome. */
      const logged = (one: Envoy) =>
        one.log().split("\n").filter((line) => line.startsWith("{") && line.endsWith("}")).map((line) => {
          const fields = JSON.parse(line) as Readonly<Record<string, string | number | null>>
          const { content_type, grpc_status, path, status } = fields
          const grpc = grpc_status === null ? "" : ` ${grpc_status}`
          return `${String(path).split("/").at(-1)} ${content_type ?? "-"} ${status}${grpc}`
        })

      it("samples successes and late claims as set, and has every other request", async () => {
        const one = await startEnvoy(program, instances.ports, {
          COUPON_ACCESS_LOG_SUCCESSES: "0",
          COUPON_ACCESS_LOG_REFUSALS: "0.00"
        })
        defer(one.stop)
        await one.until(all())
        const http = makeHttp([one.url])
        const campaignId = await load.openCampaign(envoy.url, 3)
        const clients = ["Connect JSON", "gRPC"] as const
        // A sale, three of whose users are in time.
        let user = 0n
        for (const protocol of clients) {
          const open = makeClients(protocol, [one.url])
          defer(open.close)
          for (let k = 0; k < 4; k++) await open.next().issueCoupon({ campaignId, userId: ++user }).catch(() => {})
          await open.next().getCampaign({ campaignId })
          await open.next().getCoupon({ campaignId, userId: 1n })
        }
        expect((await http.request("/readyz")).status).toBe(200)
        // Failures.
        const grpc = makeClients("gRPC", [one.url])
        const web = makeClients("gRPC-Web", [one.url])
        defer(grpc.close)
        defer(web.close)
        for (const client of [grpc.next(), web.next()]) {
          await refusal(client.getCampaign({ campaignId: 999_999 }))
          await refusal(client.issueCoupon({ campaignId, userId: 0n }))
          await refusal(client.issueCoupon({ campaignId, userId: 1n }))
        }
        await http.post("IssueCoupon", { campaignId, userId: "1" })
        await http.post("IssueCoupon", { campaignId: 999_999, userId: "1" })
        await http.post("GetCampaign", { campaignId: "x" })
        await http.request("/nowhere")
        // Administration.
        await http.post("PauseCampaign", { campaignId })
        await http.post("ListCampaigns", {})
        await expect.poll(() => logged(one).length).toBeGreaterThanOrEqual(12)
        expect(logged(one).sort()).toEqual([
          "GetCampaign application/grpc+proto 200 NotFound",
          "GetCampaign application/grpc-web+proto 200",
          "GetCampaign application/json 400",
          "IssueCoupon application/grpc+proto 200 AlreadyExists",
          "IssueCoupon application/grpc+proto 200 InvalidArgument",
          "IssueCoupon application/grpc-web+proto 200",
          "IssueCoupon application/grpc-web+proto 200",
          "IssueCoupon application/json 404",
          "IssueCoupon application/json 409",
          "ListCampaigns application/json 200",
          "PauseCampaign application/json 200",
          "nowhere - 404"
        ])
        // Each by itself, without a restart. A request is logged by what is set when Envoy is done with it, which may
        // be after its client has the answer.
        const idle = () =>
          expect.poll(() => one.admin("/stats?filter=http.public.downstream_rq_active$")).toContain("rq_active: 0")
        await idle()
        await one.admin("/runtime_modify?coupon.access_log.refusals=10000", "POST")
        await http.post("IssueCoupon", { campaignId, userId: "77" })
        await http.post("GetCampaign", { campaignId })
        await idle()
        await one.admin("/runtime_modify?coupon.access_log.refusals=0&coupon.access_log.successes=10000", "POST")
        await http.post("IssueCoupon", { campaignId, userId: "78" })
        await http.post("GetCampaign", { campaignId })
        await expect.poll(() => logged(one).slice(12)).toEqual([
          "IssueCoupon application/json 400",
          "GetCampaign application/json 200"
        ])
      })

      it("has the share that the setting says, and refuses one that is none", async () => {
        const one = await startEnvoy(program, instances.ports, { COUPON_ACCESS_LOG_SUCCESSES: "12.5" })
        defer(one.stop)
        const { entries } = JSON.parse(await one.admin("/runtime")) as {
          readonly entries: Readonly<Record<string, { readonly final_value: string }>>
        }
        expect(entries["coupon.access_log.successes"]?.final_value).toBe("1250")
        for (const wrong of ["101", "-1", "100.5", "x", "1.234"]) {
          const start = startEnvoy(program, instances.ports, { COUPON_ACCESS_LOG_REFUSALS: wrong })
          await expect(start, wrong).rejects.toThrow(
            `COUPON_ACCESS_LOG_REFUSALS must be a percentage from 0 to 100, such as 1 or 0.05, and is "${wrong}"`
          )
        }
      })
    })

    describe("the status listener", () => {
      /** By raw bytes: fetch would normalize what is tried. */
      const ask = (line: string) =>
        new Promise<string>((resolve, reject) => {
          const socket = net.connect(Number(new URL(envoy.statusUrl).port), "127.0.0.1")
          let reply = ""
          socket.setEncoding("utf8").on("data", (chunk: string) => (reply += chunk)).on("error", reject)
          socket.on("close", () => resolve(reply))
          socket.write(`${line} HTTP/1.1\r\nHost: envoy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`)
        })

      it.each(["/ready", "/clusters?format=json", "/stats", "/stats/prometheus", "/server_info", "/runtime"])(
        "shows %s",
        async (path) => expect(await ask(`GET ${path}`)).toMatch(/^HTTP\/1\.1 200/)
      )

      it.each([
        "POST /quitquitquit", "GET /quitquitquit", "POST /ready", "POST /drain_listeners",
        "POST /healthcheck/fail", "POST /runtime_modify?coupon.access_log.successes=0", "GET /runtime_modify?a=1",
        "POST /logging?level=trace", "POST /cpuprofiler?enable=y", "POST /reset_counters", "GET /config_dump",
        "GET /certs", "GET /", "GET //quitquitquit", "GET /stats/../quitquitquit", "POST /stats/%2e%2e/quitquitquit",
        "POST /stats%2f..%2fquitquitquit", "GET /stats/prometheus/../../quitquitquit", "POST /quitquitquit?/ready"
      ])("does nothing for %s", async (line) => {
        expect(await ask(line)).toMatch(/^HTTP\/1\.1 (404|400)/)
        expect(await ask("GET /ready")).toContain("LIVE")
      })
    })

    it("bounds the requests a second of one client, and of no other", async () => {
      const one = await startEnvoy(program, instances.ports, { COUPON_CLIENT_RATE: "20" })
      defer(one.stop)
      await one.until(instances.ports)
      const read = (localAddress: string) =>
        new Promise<{ readonly status: number; readonly body: string; readonly later: string | undefined }>(
          (resolve, reject) => {
            const target = `${one.url}/coupon.v1.CouponService/GetCampaign`
            const request = http1.request(
              target,
              { method: "POST", localAddress, agent: false, headers: { "content-type": "application/json" } },
              (response) => {
                let body = ""
                response.setEncoding("utf8").on("data", (chunk: string) => (body += chunk)).on("end", () =>
                  resolve({ status: response.statusCode!, body, later: response.headers["retry-after"] }))
              }
            )
            request.on("error", reject).end("{\"campaignId\":999999}")
          }
        )
      const greedy = await Promise.all(Array.from({ length: 200 }, () => read("127.0.0.1")))
      const limited = greedy.filter(({ status }) => status === 429)
      // 20 at once, and some while they were sent.
      expect(limited.length).toBeGreaterThan(50)
      expect(greedy.filter(({ status }) => status === 404).length).toBeGreaterThanOrEqual(20)
      for (const { body, later } of limited) {
        expect([JSON.parse(body), later]).toEqual([{ code: "resource_exhausted", message: "OVERLOADED" }, "1"])
      }
      const others = await Promise.all(["127.0.0.2", "127.0.0.3"].map((address) => read(address)))
      expect(others.map(({ status }) => status)).toEqual([404, 404])
      await expect(startEnvoy(program, instances.ports, { COUPON_CLIENT_RATE: "many" })).rejects
        .toThrow("COUPON_CLIENT_RATE must be a whole number of requests a second, or 0, and is \"many\"")
    })

    it("logs every request as a line of JSON, without what a query holds", async () => {
      const http = makeHttp(urls())
      await http.get("GetCoupon", { campaignId: 1, userId: "424242" })
      await expect.poll(envoy.log).toContain(`"path":"/coupon.v1.CouponService/GetCoupon"`)
      const lines = envoy.log().split("\n").filter((line) => line !== "").slice(0, -1)
      for (const line of lines) {
        expect(JSON.parse(line)).toMatchObject({ status: expect.any(Number), path: expect.any(String) })
      }
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
