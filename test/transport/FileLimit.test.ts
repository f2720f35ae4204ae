import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import * as AppConfig from "../../src/config/AppConfig.ts"
import * as FileLimit from "../../src/http/connections/FileLimit.ts"

const within = (limit: number, environment: Record<string, string> = {}) =>
  Effect.runSync(Effect.map(AppConfig.load(environment), (config) => FileLimit.connectionsWithin(limit, config)))

describe("MAX_CONNECTIONS under a limit of open files", () => {
  it("stays as it is where it fits", () => {
    expect(within(1_048_576)).toBe(20_000)
    expect(within(1_024, { MAX_CONNECTIONS: "500" })).toBe(500)
  })

  it("leaves the process what it needs, which is more with other stores and a port of metrics", () => {
    const stores = { MYSQL_URL: "mysql://coupon:coupon@db/coupon", REDIS_URL: "redis://redis" }
    expect(within(20_000)).toBeLessThan(20_000 - 90)
    expect(within(20_000, stores)).toBeLessThan(within(20_000))
    expect(within(20_000, { ...stores, MYSQL_POOL_SIZE: "100" })).toBe(within(20_000, stores) - 2 * 90)
    expect(within(20_000, { METRICS_PORT: "0" })).toBeLessThan(within(20_000))
  })

  it("lets clients in however low the limit is", () => {
    expect(within(64)).toBe(16)
    expect(within(1)).toBe(1)
  })

  it.runIf(process.platform === "linux")("reads the limit of this process", () => {
    const { userLimits } = process.report.getReport() as { readonly userLimits: { readonly open_files: object } }
    expect(userLimits.open_files).toMatchObject({ soft: FileLimit.fileLimit() ?? "unlimited" })
  })
})
