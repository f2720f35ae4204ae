// npm run test:helm: checks the chart (deploy/helm) without a cluster: helm lint, its unit tests, and every document
// that it can make against the schemas of Kubernetes and of the operators (test/helm/schemas). The programs are taken
// from the PATH or .cache/bin, otherwise built with Go.
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Either from "effect/Either"
import { chartValues, cronTrigger, scaledObject } from "../src/cli/k8s/ScaledObject.ts"
import { goProgram } from "./goProgram.mjs"

const root = fileURLToPath(new URL("..", import.meta.url))
const chart = "deploy/helm"
// A helm that Go built takes itself for one of Kubernetes 1.20.
const version = ["--kube-version", "1.31.0"]
const schemas = "test/helm/schemas/{{ .ResourceKind }}{{ .KindSuffix }}.json"

const run = (command, args, options = {}) => spawnSync(command, args, { cwd: root, encoding: "utf8", ...options })

const helm = goProgram({ name: "helm", source: "helm.sh/helm/v3/cmd/helm@v3.16.4", ask: ["version"] })
const kubeconform = goProgram({
  name: "kubeconform",
  source: "github.com/yannh/kubeconform/cmd/kubeconform@v0.6.7",
  ask: ["-v"]
})
const unittest = goProgram({
  name: "helm-unittest",
  source: "github.com/helm-unittest/helm-unittest/cmd/helm-unittest@v0.6.3",
  ask: ["--help"]
})

let passed = 0
const failures = []
const check = (what, ok, output) => {
  console.log(`${ok ? "ok    " : "FAILED"} ${what}`)
  if (ok) passed++
  else failures.push(`${what}\n${output}`)
}

// Everything on, everything optional off, and the default with what a deployment must say.
const variants = readFileSync(join(root, "test/helm/variants.txt"), "utf8").split("\n")
  .filter((line) => line.trim() !== "" && !line.startsWith("#"))
  .map((line) => line.split("|").map((part) => part.trim()))
for (const [name, expected, ...sets] of variants) {
  const values = sets.flatMap((set) => ["--set-json", set])
  const lint = run(helm, ["lint", "--strict", chart, ...version, ...values])
  check(`helm lint: ${name}`, lint.status === 0, lint.stdout + lint.stderr)
  const made = run(helm, ["template", "sale", chart, "--namespace", "shop", ...version, ...values])
  check(`helm template: ${name}`, made.status === 0, made.stderr)
  const valid = run(kubeconform, ["-strict", "-summary", "-schema-location", schemas], { input: made.stdout })
  // A document without a schema is an error, so none is passed over.
  const documents = /Summary: (\d+) resource/.exec(valid.stdout)?.[1]
  const ok = valid.status === 0 && documents === expected
  check(`kubeconform: ${name}, ${documents} documents`, ok, valid.stdout + valid.stderr)
}

// What `coupon k8s scaled-object` prints.
const sale = {
  campaignId: 1,
  name: "Summer",
  start: Date.UTC(2027, 5, 25, 3),
  leadMillis: 900_000,
  forMillis: 3_600_000,
  deployment: "sale-coupon-issuance",
  namespace: "shop",
  replicas: 9,
  minReplicas: 2,
  maxReplicas: 12,
  cpuUtilization: 70
}
const cron = Either.getOrThrow(cronTrigger(sale, sale.start - 60_000))
const printed = JSON.stringify(scaledObject(sale, cron))
const scaled = run(kubeconform, ["-strict", "-summary", "-schema-location", schemas], { input: printed })
check("kubeconform: coupon k8s scaled-object", /Valid: 1,/.test(scaled.stdout) && scaled.status === 0, scaled.stdout)
const values = JSON.stringify(chartValues(sale, cron))
const chartSets = Object.entries(JSON.parse(values)).flatMap(([k, v]) => ["--set-json", `${k}=${JSON.stringify(v)}`])
const ofValues = run(helm, ["template", "sale", chart, "--set-json", 'publicAccess="key"', ...version, ...chartSets])
check("helm template: coupon k8s scaled-object -o values", ofValues.stdout.includes("45 2 25 6 *"), ofValues.stderr)

// Proof that the schemas see: a field that does not exist.
const input = run(helm, ["template", "sale", chart, ...version]).stdout.replace("enableServiceLinks", "enableLinks")
const seen = run(kubeconform, ["-strict", "-schema-location", schemas], { input })
const refused = seen.stdout.includes("'enableLinks' not allowed")
check("kubeconform refuses a field that does not exist", refused, seen.stdout)

const tests = run(unittest, [chart], { stdio: "inherit" })
check("helm-unittest", tests.status === 0, "see above")

for (const failure of failures) console.error(`\nFAILED ${failure}`)
console.log(`${passed} passed, ${failures.length} failed`)
process.exit(failures.length === 0 ? 0 : 1)
