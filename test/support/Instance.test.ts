import * as Fs from "node:fs"
import * as Path from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { removeDirectory, temporaryDirectory } from "./guardian.ts"
import { startInstance } from "./Instance.ts"

const dir = temporaryDirectory("program")
afterAll(() => removeDirectory(dir))

/** A stand-in for the service, so that this file tests only how it is started. */
const program = (code: string) => {
  const file = Path.join(dir, `${Math.random().toString(36).slice(2)}.mjs`)
  Fs.writeFileSync(file, code)
  return [file]
}

const listening = `
import { createServer } from "node:http"
let asked = 0
const server = createServer((request, response) => {
  response.statusCode = request.url === "/readyz" && ++asked < 3 ? 503 : 200
  response.end(JSON.stringify(process.env))
})
server.listen(Number(process.env.PORT), "127.0.0.1", () => {
  console.log(JSON.stringify({ message: "http://127.0.0.1:" + server.address().port }))
})
process.on("SIGTERM", () => process.exit(7))
`

describe("Instance", () => {
  it("waits until it is ready, gives it a clean environment, and hands back its exit code", async () => {
    process.env["MYSQL_URL"] = "mysql://unused@nowhere/never"
    try {
      const instance = await startInstance({ LOG_LEVEL: "debug" }, { program: program(listening) })
      const env = await (await fetch(`${instance.url}/`)).json() as Record<string, string>
      expect(env).toMatchObject({ PORT: "0", LOG_LEVEL: "debug" })
      expect(Object.keys(env).sort()).toEqual([
        ...["DATA_DIR", "HOME", "HOST", "LOG_FORMAT", "LOG_LEVEL", "NODE_COMPILE_CACHE"],
        ...["OPEN_ADMINISTRATION", "PATH", "PORT"]
      ])
      expect(Fs.existsSync(env["DATA_DIR"] ?? "")).toBe(true)
      expect(await instance.stop()).toBe(7)
      expect(Fs.existsSync(env["DATA_DIR"] ?? "")).toBe(false)
    } finally {
      delete process.env["MYSQL_URL"]
    }
  })

  it("does not wait for readiness if asked not to, and is killed without a word", async () => {
    const instance = await startInstance({}, { ready: false, program: program(listening) })
    expect((await fetch(`${instance.url}/readyz`)).status).toBe(503)
    await instance.kill()
    expect(await instance.exited).toBe(null)
  })

  it("shows what a program that ends at once has said", async () => {
    await expect(startInstance({}, { program: program("console.error('no such setting'); process.exit(3)") }))
      .rejects.toThrow(/exit code 3\) and did not listen\nno such setting/)
  })
})
