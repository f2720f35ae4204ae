import * as Fs from "node:fs"
import * as http from "node:http"
import * as Path from "node:path"
import { startEnvoy } from "../envoy/Envoy.ts"
import { startInstance, type Instance } from "../support/Instance.ts"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"
import { freePort, startDatabase, startRedis, type DatabaseKind } from "../support/privateServers.ts"

/** A form of the service that attacks are tried on; each attack has an instance of its own. */
export interface Rig {
  readonly name: string
  /** `env`: settings besides those of the rig. */
  readonly start: (env?: Readonly<Record<string, string>>) => Promise<Victim>
  readonly stop: () => Promise<void>
}

/** One instance, in production's form, with a campaign that is being sold and one of 10,000 codes. */
export interface Victim {
  readonly instance: Instance
  /** Where attackers and claims go: the instance, or a proxy in front of it. */
  readonly port: number
  /** Where an operator's calls go. */
  readonly operatorPort: number
  readonly metricsPort: number
  readonly key: string
  readonly sale: number
  readonly full: number
  readonly tills: Tills
  readonly stop: () => Promise<void>
}

/** What is redeemed, and by whom: coupons of the full campaign, by their codes. */
export interface Tills {
  /** The code of a coupon to which nothing was done, each time another one. */
  readonly nextCode: () => string
  /** Of a coupon that is redeemed, and of one that is revoked. */
  readonly done: ReadonlyArray<string>
  /** Of an honest till; and those that an attacker has, by their roles. */
  readonly key: string
  readonly stolen: { readonly VIEWER: string; readonly REDEEMER: string }
}

/** Of what Envoy logs, as outside of tests: a line for each request would cost the honest client, too. */
const SHARES = { COUPON_ACCESS_LOG_SUCCESSES: "1", COUPON_ACCESS_LOG_REFUSALS: "1" }

const KEY = "hostile-test-4b1f0c7e9d2a85631fe0"
export const CODES = 10_000

/**
 * What an instance takes at most, in bytes, whatever its clients do; SECURITY.md has the same formula. 220 MB are the
 * process itself with what V8 does not give back at once.
 */
export const memoryBound = (settings: {
  readonly heldBytes: number
  readonly maxConnections: number
  readonly maxInFlight: number
}): number =>
  220e6 + 2 * settings.heldBytes + 2 * settings.maxInFlight * 16e3 + settings.maxConnections * 12e3 + 20e6

const settings = {
  NODE_ENV: "production",
  PUBLIC_ACCESS: "open",
  ADMIN_API_KEY: KEY,
  // Envoy's own address: the clients behind it have others.
  TRUSTED_PROXIES: "127.0.0.1",
  // Fewer than one attacker's process may open.
  MAX_CONNECTIONS: "10000"
}

const call = (port: number, agent: http.Agent, rpc: string, body: string): Promise<string> =>
  post(port, agent, `/coupon.v1.CouponService/${rpc}`, "application/json", body)

const post = (port: number, agent: http.Agent, path: string, type: string, body: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const request = http.request({
      agent,
      host: "127.0.0.1",
      port,
      method: "POST",
      path,
      headers: {
        "content-type": type,
        "content-length": Buffer.byteLength(body),
        authorization: `Bearer ${KEY}`
      }
    }, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (chunk: string) => text += chunk)
      response.on("end", () => response.statusCode === 200 ? resolve(text) : reject(new Error(`${path}: ${text}`)))
    })
    request.on("error", reject)
    request.end(body)
  })

const createKey = async (port: number, agent: http.Agent, name: string, role: "VIEWER" | "REDEEMER") => {
  const request = { _tag: "Request", id: "1", tag: "CreateKey", payload: { name, role }, headers: [] }
  const answer = await post(port, agent, "/operator/rpc", "application/ndjson", `${JSON.stringify(request)}\n`)
  return (JSON.parse(answer) as { readonly exit: { readonly value: { readonly secret: string } } }).exit.value.secret
}

const codesOf = async (port: number, agent: http.Agent, campaignId: number): Promise<ReadonlyArray<string>> => {
  const codes: Array<string> = []
  for (let pageToken = ""; codes.length === 0 || pageToken !== "";) {
    const request = JSON.stringify({ campaignId, pageSize: 1_000, pageToken })
    const page = JSON.parse(await call(port, agent, "ListCoupons", request)) as {
      readonly coupons: ReadonlyArray<{ readonly code: string }>
      readonly nextPageToken: string
    }
    codes.push(...page.coupons.map(({ code }) => code))
    pageToken = page.nextPageToken
  }
  return codes
}

const makeTills = async (port: number, agent: http.Agent, campaignId: number): Promise<Tills> => {
  const [redeemed, revoked, ...codes] = await codesOf(port, agent, campaignId)
  await call(port, agent, "RedeemCoupon", JSON.stringify({ campaignId, code: redeemed, requestId: "before" }))
  await call(port, agent, "RevokeCoupon", JSON.stringify({ campaignId, code: revoked, reason: "before" }))
  let next = 0
  return {
    nextCode: () => {
      if (next === codes.length) throw new Error("all coupons are redeemed")
      return codes[next++]!
    },
    done: [redeemed!, revoked!],
    key: await createKey(port, agent, "till", "REDEEMER"),
    stolen: {
      VIEWER: await createKey(port, agent, "stolen viewer", "VIEWER"),
      REDEEMER: await createKey(port, agent, "stolen till", "REDEEMER")
    }
  }
}

/** Creates both campaigns and fills one of them. */
const prepare = async (instance: Instance, codes: number): Promise<Pick<Victim, "sale" | "full" | "tills">> => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 64 })
  const create = async (name: string, couponLimit: number) => {
    const draft = JSON.stringify({ name, couponLimit, startTime: "2025-01-01T00:00:00Z" })
    return (JSON.parse(await call(instance.port, agent, "CreateCampaign", draft)) as { readonly campaignId: number })
      .campaignId
  }
  const full = await create("full", codes)
  const sale = await create("sale", 1_000_000)
  let user = 0
  await Promise.all(Array.from({ length: 64 }, async () => {
    while (user < codes) {
      await call(instance.port, agent, "IssueCoupon", JSON.stringify({ campaignId: full, userId: ++user }))
    }
  }))
  const tills = await makeTills(instance.port, agent, full)
  agent.destroy()
  return { sale, full, tills }
}

/** What has to be done before instances start, and what is set for them. */
interface Stores {
  readonly env: () => Readonly<Record<string, string>>
  readonly stop: () => Promise<void>
}

const embedded = (): Stores & { readonly filled: string } => {
  const filled = temporaryDirectory("hostile")
  const copies: Array<string> = []
  return {
    filled,
    env: () => {
      const copy = temporaryDirectory("hostile-copy")
      copies.push(copy)
      Fs.cpSync(filled, copy, { recursive: true })
      return { DATA_DIR: copy }
    },
    stop: async () => {
      for (const dir of [filled, ...copies]) removeDirectory(dir)
    }
  }
}

const distributed = async (kind: DatabaseKind): Promise<Stores> => {
  const [redis, database] = await Promise.all([startRedis(), startDatabase(kind)])
  return {
    env: () => ({ MYSQL_URL: database.url, REDIS_URL: redis.url }),
    stop: async () => {
      await Promise.all([redis.stop(), database.stop()])
    }
  }
}

/** `envoy`: Envoy's program, if clients come through it. `codes`: how many the full campaign has. */
export const make = async (options: {
  readonly database: DatabaseKind | undefined
  readonly envoy: string | undefined
  readonly env?: Readonly<Record<string, string>>
  readonly codes?: number
}): Promise<Rig> => {
  const own = options.database === undefined ? embedded() : undefined
  const stores = own ?? await distributed(options.database!)
  const given = { ...settings, ...options.env }
  const first = await startInstance({ ...given, ...own === undefined ? stores.env() : { DATA_DIR: own.filled } })
  const prepared = await prepare(first, options.codes ?? CODES).finally(() => first.stop())
  return {
    name: `${options.database ?? "embedded"}${options.envoy === undefined ? "" : ", through Envoy"}`,
    start: async (env = {}) => {
      const metricsPort = await freePort()
      // As in the compose file: behind Envoy, operators have a port of their own.
      const adminPort = options.envoy === undefined ? undefined : await freePort()
      const instance = await startInstance({
        ...given,
        ...stores.env(),
        ...env,
        METRICS_PORT: String(metricsPort),
        ...adminPort === undefined ? {} : { ADMIN_PORT: String(adminPort) }
      })
      const envoy = adminPort === undefined
        ? undefined
        : await startEnvoy(options.envoy!, [instance.port], SHARES, [adminPort])
      await envoy?.until([instance.port])
      return {
        instance,
        port: envoy === undefined ? instance.port : Number(new URL(envoy.url).port),
        operatorPort: envoy === undefined ? instance.port : Number(new URL(envoy.operatorUrl).port),
        metricsPort,
        key: KEY,
        ...prepared,
        stop: async () => {
          await envoy?.stop()
          await instance.kill()
        }
      }
    },
    stop: stores.stop
  }
}

export const root = Path.resolve(import.meta.dirname, "../..")
