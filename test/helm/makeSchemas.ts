// node test/helm/makeSchemas.ts: writes the schemas that the chart is checked by, out of the sources of Kubernetes and
// of the operators whose resources it uses. Needs Go and its module proxy. Run it for another version; else the files
// in schemas/ are what counts.
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { parse } from "yaml"

const out = Path.join(import.meta.dirname, "schemas")

type Json = null | boolean | number | string | ReadonlyArray<Json> | { readonly [key: string]: Json }
type Schema = { readonly [key: string]: Json }

const moduleOf = (name: string): string =>
  (JSON.parse(execFileSync("go", ["mod", "download", "-json", name], { encoding: "utf8", cwd: "/" })) as {
    readonly Dir: string
  }).Dir

/** Without prose, and closed: an unknown field is an error. `x-kubernetes-…` stay, for they say what is open. */
const strict = (schema: Json, ref: (name: string) => string): Json => {
  if (Array.isArray(schema)) return schema.map((one) => strict(one as Json, ref))
  if (schema === null || typeof schema !== "object") return schema
  const made: Record<string, Json> = {}
  for (const [key, value] of Object.entries(schema as Schema)) {
    if (key === "description" && typeof value === "string") continue
    if (key === "$ref") made[key] = ref((value as string).split("/").at(-1)!)
    // A map of names to schemas: its keys are no keywords.
    else if (key === "properties") {
      made[key] = Object.fromEntries(Object.entries(value as Schema).map(([name, one]) => [name, strict(one, ref)]))
    } else made[key] = strict(value, ref)
  }
  const open = made["x-kubernetes-preserve-unknown-fields"] === true
  if (made["properties"] !== undefined && made["additionalProperties"] === undefined && !open) {
    made["additionalProperties"] = false
  }
  // "1" or 1, without a type in the CRDs of the operators.
  if (made["x-kubernetes-int-or-string"] === true) delete made["type"]
  return made
}

const write = (file: string, schema: Json) =>
  Fs.writeFileSync(Path.join(out, `${file}.json`), `${JSON.stringify(schema)}\n`)

const builtIn = (version: string, kinds: ReadonlyArray<readonly [file: string, definition: string]>) => {
  const dir = moduleOf(`k8s.io/kubernetes@${version}`)
  const { definitions } = JSON.parse(Fs.readFileSync(Path.join(dir, "api/openapi-spec/swagger.json"), "utf8")) as {
    readonly definitions: { readonly [name: string]: Schema }
  }
  for (const [file, definition] of kinds) {
    const used: Record<string, Json> = {}
    const take = (name: string): string => {
      if (used[name] === undefined) {
        used[name] = true
        // The two that the specification calls strings or objects, and that are either of two types.
        used[name] = name.endsWith("util.intstr.IntOrString")
          ? { oneOf: [{ type: "string" }, { type: "integer" }] }
          : name.endsWith("api.resource.Quantity")
          ? { oneOf: [{ type: "string" }, { type: "number" }] }
          : strict(definitions[name]!, take)
      }
      return `#/definitions/${name}`
    }
    write(file, { $ref: take(definition), definitions: used })
  }
}

const custom = (file: string) => {
  const { spec } = parse(Fs.readFileSync(file, "utf8")) as {
    readonly spec: {
      readonly group: string
      readonly names: { readonly kind: string }
      readonly versions: ReadonlyArray<{ readonly name: string; readonly schema: { readonly openAPIV3Schema: Schema } }>
    }
  }
  for (const { name, schema } of spec.versions) {
    const made = strict(schema.openAPIV3Schema, (ref) => ref) as Record<string, Json>
    // Everything may be there that Kubernetes keeps of any object.
    const properties = { ...made["properties"] as Schema, metadata: { type: "object" } }
    write(`${spec.names.kind}-${spec.group.split(".")[0]}-${name}`.toLowerCase(), { ...made, properties })
  }
}

Fs.rmSync(out, { recursive: true, force: true })
Fs.mkdirSync(out)
builtIn("v1.31.4", [
  ["deployment-apps-v1", "io.k8s.api.apps.v1.Deployment"],
  ["job-batch-v1", "io.k8s.api.batch.v1.Job"],
  ["networkpolicy-networking-v1", "io.k8s.api.networking.v1.NetworkPolicy"],
  ["pod-v1", "io.k8s.api.core.v1.Pod"],
  ["poddisruptionbudget-policy-v1", "io.k8s.api.policy.v1.PodDisruptionBudget"],
  ["service-v1", "io.k8s.api.core.v1.Service"],
  ["serviceaccount-v1", "io.k8s.api.core.v1.ServiceAccount"]
])
const gateway = Path.join(moduleOf("sigs.k8s.io/gateway-api@v1.2.1"), "config/crd/standard")
custom(Path.join(gateway, "gateway.networking.k8s.io_httproutes.yaml"))
custom(Path.join(gateway, "gateway.networking.k8s.io_grpcroutes.yaml"))
const prometheus = Path.join(
  moduleOf("github.com/prometheus-operator/prometheus-operator@v0.79.2"),
  "example/prometheus-operator-crd"
)
custom(Path.join(prometheus, "monitoring.coreos.com_podmonitors.yaml"))
custom(Path.join(prometheus, "monitoring.coreos.com_prometheusrules.yaml"))
custom(Path.join(moduleOf("github.com/kedacore/keda/v2@v2.16.1"), "config/crd/bases/keda.sh_scaledobjects.yaml"))
