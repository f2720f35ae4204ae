// Prints what the service consists of, as CycloneDX: the packages that it depends on, with their checksums.
//   node scripts/sbom.mjs [--console]     --console: and those of which the pages in dist/console have code
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const readJson = (file) => JSON.parse(readFileSync(`${root}${file}`, "utf8"))

// All of them, and chosen here: `npm sbom --omit=dev` leaves out what a development package needs too, effect itself.
const bom = JSON.parse(
  execFileSync("npm", ["sbom", "--sbom-format=cyclonedx", "--package-lock-only"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 1 << 26,
    stdio: ["ignore", "pipe", "inherit"]
  })
)

const shipped = new Set(process.argv.includes("--console") ? readJson("dist/console/.packages.json") : [])
for (const [path, { dev, name = path.replace(/^.*node_modules\//, ""), version }] of Object.entries(
  readJson("package-lock.json").packages
)) {
  if (path !== "" && dev !== true) shipped.add(`${name}@${version}`)
}

const isShipped = (reference) => shipped.has(reference)
const own = bom.metadata.component["bom-ref"]
const DEVELOPMENT = "cdx:npm:package:development"
console.log(JSON.stringify(
  {
    ...bom,
    components: bom.components.filter((component) => isShipped(component["bom-ref"])).map((component) => ({
      ...component,
      // The pages have it, whatever package.json calls it.
      properties: component.properties.filter(({ name }) => name !== DEVELOPMENT)
    })),
    dependencies: bom.dependencies.filter(({ ref }) => ref === own || isShipped(ref)).map(({ dependsOn, ref }) => ({
      ref,
      dependsOn: dependsOn.filter(isShipped)
    }))
  },
  null,
  2
))
