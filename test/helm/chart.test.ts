import { readFileSync } from "node:fs"
import { parse } from "yaml"
import { describe, expect, it } from "vitest"
import * as Either from "effect/Either"
import { chartValues, cronTrigger, scaledObject } from "../../src/cli/k8s/ScaledObject.ts"
import { settings } from "../../src/config/Settings.ts"

const read = (file: string) => readFileSync(file, "utf8")
const chart = parse(read("deploy/helm/Chart.yaml")) as { readonly version: string; readonly appVersion: string }
const schema = JSON.parse(read("deploy/helm/values.schema.json")) as {
  readonly properties: {
    readonly settings: { readonly propertyNames: { readonly not: { readonly enum: ReadonlyArray<string> } } }
  }
}
/** Variables that the image's entrypoint reads, for the settings without a form for files of their own. */
const ofEntrypoint = ["MYSQL_URL_FILE", "REDIS_URL_FILE"]

describe("coupon k8s scaled-object", () => {
  const minutes = (count: number) => count * 60_000
  const sale = {
    campaignId: 7,
    name: "여름",
    start: Date.parse("2027-01-01T00:10:30Z"),
    leadMillis: minutes(15),
    forMillis: minutes(60),
    deployment: "sale-coupon-issuance",
    namespace: undefined,
    replicas: 9,
    minReplicas: 2,
    maxReplicas: 12,
    cpuUtilization: 70
  }

  it("asks for replicas from before the start on, in whole minutes of UTC", () => {
    const cron = Either.getOrThrow(cronTrigger(sale, sale.start - minutes(60)))
    expect(cron).toEqual({ timezone: "UTC", start: "55 23 31 12 *", end: "11 1 1 1 *", desiredReplicas: "9" })
    const { metadata, spec } = scaledObject(sale, cron)
    expect(metadata).toEqual({
      name: "sale-coupon-issuance",
      annotations: { "coupon-issuance/campaign": "7 여름" }
    })
    expect(spec).toMatchObject({ minReplicaCount: 2, maxReplicaCount: 12 })
    expect(spec.triggers.map(({ type }) => type)).toEqual(["cpu", "cron"])
    expect(chartValues(sale, cron)).toMatchObject({ keda: { enabled: true, cron: [{ desiredReplicas: 9 }] } })
  })

  it("takes a sale that is under way, and none that is over or that cron would begin a year early", () => {
    const at = (now: number) => Either.isRight(cronTrigger(sale, now))
    const end = Date.parse("2027-01-01T01:11:00Z")
    expect([at(sale.start), at(end - 1), at(end)]).toEqual([true, true, false])
    const year = 365 * 86_400_000
    expect([at(end - year + 1), at(end - year)]).toEqual([true, false])
  })
})

// `npm run test:helm` makes the chart's documents and checks those.
describe("the Helm chart", () => {
  it("has the version of the package", () => {
    const { version } = JSON.parse(read("package.json")) as { readonly version: string }
    expect(chart).toMatchObject({ version, appVersion: version })
  })

  it("sets and refuses settings that exist", () => {
    const known = [...Object.values(settings).map(({ name }) => name), ...ofEntrypoint]
    const deployment = read("deploy/helm/templates/deployment.yaml")
    const set = [...deployment.matchAll(/- \{name: ([A-Z_]+),/g)].map(([, name]) => name!)
    const refused = schema.properties.settings.propertyNames.not.enum
    expect(set.length).toBeGreaterThan(8)
    expect([...set, ...refused].filter((name) => !known.includes(name))).toEqual([])
    // What the chart sets by itself cannot be set a second time.
    expect(set.filter((name) => !refused.includes(name))).toEqual([])
  })
})
