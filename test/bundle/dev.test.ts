import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, expect, it } from "vitest"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const directory = temporaryDirectory("dev")
afterAll(() => removeDirectory(directory))

it("npm run dev starts the service again when a source changes", async () => {
  // A copy, because a change of the sources themselves would be one for other tests.
  for (const name of ["src", "migrations", "package.json"]) {
    Fs.cpSync(Path.join(root, name), Path.join(directory, name), { recursive: true })
  }
  Fs.symlinkSync(Path.join(root, "node_modules"), Path.join(directory, "node_modules"))
  const { scripts } = JSON.parse(Fs.readFileSync(Path.join(root, "package.json"), "utf8")) as {
    readonly scripts: Readonly<Record<string, string>>
  }
  const child = spawn("sh", ["-c", scripts["dev"]!], {
    cwd: directory,
    env: { PATH: `${Path.join(root, "node_modules/.bin")}:${process.env["PATH"]}`, PORT: "0", HOST: "127.0.0.1" }
  })
  let output = ""
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text))
  const started = () => output.match(/ready on the embedded stores/g)?.length ?? 0
  try {
    await expect.poll(started, { timeout: 100_000 }).toBe(1)
    Fs.appendFileSync(Path.join(directory, "src/base/Backoff.ts"), "\n")
    await expect.poll(started, { timeout: 100_000 }).toBe(2)
    expect(output).toContain("stopped")
  } finally {
    const ended = new Promise((resolve) => child.once("close", resolve))
    child.kill("SIGTERM")
    await ended
  }
}, 240_000)
