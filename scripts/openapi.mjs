// npm run openapi [-- options of `schemathesis run`]: thousands of requests, made from /openapi.json, against a private
// service on its embedded stores. No answer may be a server error or differ from the document. Schemathesis is taken
// from the PATH or .cache/schemathesis, otherwise installed there from PyPI.
import { spawn, spawnSync } from "node:child_process"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { startInstance } from "../test/support/Instance.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const own = join(root, ".cache/schemathesis")
const works = (command) => spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0
const find = () => ["schemathesis", join(own, "bin/schemathesis")].find(works)

let program = find()
if (program === undefined && works("python3")) {
  console.error("installing schemathesis from PyPI, once")
  spawnSync("python3", ["-m", "venv", own], { stdio: "inherit" })
  spawnSync(join(own, "bin/pip"), ["install", "--quiet", "schemathesis==4.32.5"], { stdio: "inherit" })
  program = find()
}
if (program === undefined) {
  console.error("schemathesis is not on the PATH and could not be installed: pip install schemathesis==4.32.5")
  process.exit(1)
}

const instance = await startInstance()
try {
  // Something to read and to claim.
  const created = await fetch(`${instance.url}/coupon.v1.CouponService/CreateCampaign`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: "the first one", couponLimit: "1000", startTime: "2025-01-01T00:00:00Z" })
  })
  if (!created.ok) throw new Error(`CreateCampaign answered ${created.status}`)
  const options = process.argv.slice(2)
  const child = spawn(program, [
    ...["--config-file", join(root, "test/openapi/schemathesis.toml"), "run", `${instance.url}/openapi.json`],
    // What they answer is framed, which no schema describes.
    ...["--exclude-tag", "streams"],
    ...options
  ], { stdio: "inherit", cwd: own.replace(/schemathesis$/, "") })
  process.exitCode = await new Promise((resolve, reject) => child.once("error", reject).once("exit", resolve)) ?? 1
} finally {
  await instance.stop()
}
