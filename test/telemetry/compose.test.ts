import * as Fs from "node:fs"
import * as Path from "node:path"
import { describe, expect, it } from "vitest"
import { docker, hasCompose } from "../compose/Compose.ts"

interface Service {
  readonly user?: string
  readonly read_only?: boolean
  readonly cap_drop?: ReadonlyArray<string>
  readonly environment?: Readonly<Record<string, string>>
  readonly ports?: ReadonlyArray<{ readonly host_ip?: string; readonly target: number }>
  readonly volumes?: ReadonlyArray<
    { readonly type: string; readonly source: string; readonly target: string; readonly read_only?: boolean }
  >
  readonly healthcheck?: unknown
}

describe("the profile observability of docker-compose.yml", () => {
  if (!hasCompose()) {
    it.skip("docker compose is not on this machine", () => {})
    return
  }

  it("is valid, keeps to itself, and mounts what there is", async () => {
    const { services } = JSON.parse(
      await docker(["compose", "--profile", "observability", "-f", "docker-compose.yml", "config", "--format", "json"])
    ) as {
      readonly services: Readonly<Record<string, Service>>
    }
    for (const name of ["prometheus", "grafana"]) {
      const service = services[name]!
      expect(service, name).toMatchObject({
        read_only: true,
        cap_drop: ["ALL"],
        user: expect.stringMatching(/^[1-9]\d*:\d+$/)
      })
      expect(service.healthcheck, name).toBeDefined()
      expect(service.ports?.length, name).toBe(1)
      for (const { host_ip } of service.ports!) expect(host_ip, name).toBe("127.0.0.1")
      for (const { read_only, source, type } of service.volumes!.filter((volume) => volume.type === "bind")) {
        expect([type, read_only, Fs.existsSync(source)], source).toEqual(["bind", true, true])
      }
      // A password is in a file, never in a variable.
      for (const [key, value] of Object.entries(service.environment ?? {})) {
        if (/PASSWORD/.test(key)) expect(value).toMatch(/^\/secrets\//)
      }
    }
    // Metrics are where Prometheus looks for them, on a port that is not published and that Envoy does not know.
    const config = Fs.readFileSync(Path.resolve("deploy/observability/prometheus.yml"), "utf8")
    for (const name of ["backend-app", "backend-app-primary"]) {
      const port = services[name]!.environment!["METRICS_PORT"]!
      expect(config).toMatch(new RegExp(`names: \\[.*\\b${name}\\b.*\\], type: A, port: ${port},`))
      expect(services[name]!.ports ?? []).toEqual([])
      expect(Fs.readFileSync(Path.resolve("envoy/envoy.yaml"), "utf8")).not.toContain(port)
    }
  })
})
