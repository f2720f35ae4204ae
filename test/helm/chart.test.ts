import { readFileSync } from "node:fs"
import { parse } from "yaml"
import { describe, expect, it } from "vitest"
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
