import { execFile } from "node:child_process"
import { randomBytes } from "node:crypto"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { blocksOf, comparable, read, root } from "../readme/blocks.ts"
import { freePort } from "../support/privateServers.ts"
import { docker, edgePrefix, whyNot } from "./Compose.ts"

const run = promisify(execFile)
const reason = whyNot()

describe("docs/tutorial/three-instances.md", () => {
  if (reason !== undefined) {
    it.skip(`cannot be brought up: ${reason}`, () => {})
    return
  }
  const project = `coupon-test-${randomBytes(4).toString("hex")}`
  const edge = edgePrefix()
  let ports: Readonly<Record<string, number>> = {}
  const env = () => ({
    ...process.env,
    COMPOSE_PROJECT_NAME: project,
    COUPON_IMAGE: project,
    COUPON_PORT: String(ports["8080"]),
    COUPON_ADMIN_PORT: String(ports["9901"]),
    COUPON_OPERATOR_PORT: String(ports["8081"]),
    COUPON_EDGE_PREFIX: edge
  })
  beforeAll(async () => {
    ports = { "8080": await freePort(), "9901": await freePort(), "8081": await freePort() }
  })
  afterAll(async () => {
    await run("docker", ["compose", "down", "--volumes", "--timeout", "20"], { cwd: root, env: env() })
    await docker(["image", "rm", "--force", project])
  })

  const blocks = blocksOf(read("docs/tutorial/three-instances.md"))
  for (const [k, { info, text }] of blocks.entries()) {
    if (info !== "sh run") continue
    const shown = blocks[k + 1]
    it(`block ${k + 1} prints what it says`, async () => {
      const command = text.replace(/127\.0\.0\.1:(\d+)/g, (_, port: string) => `127.0.0.1:${ports[port]}`)
      const { stdout } = await run("bash", ["-euc", command], { cwd: root, env: env(), maxBuffer: 1 << 26 })
      if (shown !== undefined && /^(?:json|text)$/.test(shown.info)) {
        expect(comparable(stdout)).toBe(comparable(shown.text))
      }
    }, 900_000)
  }
})
