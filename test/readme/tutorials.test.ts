import { execFile, spawnSync, type ChildProcess } from "node:child_process"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import * as Path from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { removeDirectory, spawnGuarded, temporaryDirectory } from "../support/guardian.ts"
import { startInstance, type Instance } from "../support/Instance.ts"
import { freePort } from "../support/servers.ts"
import { blocksOf, comparable, read, root } from "./blocks.ts"

const run = promisify(execFile)

/** Settings of the service of each tutorial, as its block `text service` says. */
const tutorials = {
  "docs/tutorial/first-sale.md": { needs: ["curl", "xargs"], env: {} },
  "docs/tutorial/webhook-receiver.md": {
    needs: ["curl"],
    env: {
      SECRETS_KEY: `k1:${Buffer.alloc(32, 7).toString("base64")}`,
      WEBHOOK_ALLOW_HTTP: "on",
      WEBHOOK_ALLOWED_NETWORKS: "127.0.0.0/8"
    }
  },
  "docs/tutorial/load-test.md": { needs: ["k6"], env: undefined }
}

describe.each(Object.entries(tutorials))("%s", (file, { env, needs }) => {
  const missing = needs.find((program) => spawnSync("which", [program], { stdio: "ignore" }).status !== 0)
  if (missing !== undefined) {
    it.skip(`needs ${missing}`, () => {})
    return
  }
  const blocks = blocksOf(read(file))
  // A folder below the checkout, so that packages are found there.
  const folder = Path.join(root, ".cache/tutorial", Path.basename(file, ".md"))
  const dataDir = temporaryDirectory("tutorial")
  let instance: Instance | undefined
  let background: ChildProcess | undefined
  let port = 0
  let receiverPort = 0
  const start = async () => {
    instance = await startInstance({ ...env, DATA_DIR: dataDir, PORT: String(port) })
  }
  beforeAll(async () => {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    if (env === undefined) return
    ;[port, receiverPort] = [await freePort(), await freePort()]
    await start()
  })
  const stop = async () => {
    const child = background
    background = undefined
    if (child === undefined || child.exitCode !== null) return
    const ended = new Promise((resolve) => child.once("exit", resolve))
    process.kill(-child.pid!, "SIGTERM")
    await ended
  }
  afterAll(async () => {
    await stop()
    await instance?.kill()
    removeDirectory(dataDir)
  })

  const here = (text: string) =>
    text.replaceAll("127.0.0.1:8080", `127.0.0.1:${port}`)
      .replaceAll("127.0.0.1:3000", `127.0.0.1:${receiverPort}`)
      .replaceAll("listen(3000", `listen(${receiverPort}`)
      .replaceAll("node bin/", `node ${root}/bin/`)
      .replaceAll("npm run", `npm --prefix ${root} run`)
  const options = () => ({
    cwd: folder,
    env: {
      ...process.env,
      PATH: `${root}/node_modules/.bin:${process.env["PATH"]}`,
      COUPON_URL: `http://127.0.0.1:${port}`,
      NO_PROXY: "127.0.0.1",
      no_proxy: "127.0.0.1"
    }
  })

  for (const [k, { info, text }] of blocks.entries()) {
    const shown = blocks[k + 1]
    const [language, ...words] = info.split(" ")
    if (words.length === 0) continue
    it(`block ${k + 1} (${info})`, async () => {
      if (words[0] === "file") writeFileSync(Path.join(folder, words[1]!), here(text))
      else if (info === "text service") {
        for (const name of Object.keys(env ?? {})) expect(text).toContain(name)
      } else if (info === "text restart") {
        await instance?.kill()
        await start()
      } else if (info === "text stop") await stop()
      else if (info === "sh run background") {
        background = spawnGuarded("bash", ["-euc", here(text)], options())
        await expect.poll(() => fetch(`http://127.0.0.1:${receiverPort}/`).then(() => true, () => false)).toBe(true)
      } else {
        expect(language).toBe("sh")
        const { stdout } = await run("bash", ["-euc", here(text)], options())
        // What a command prints stands in the block after it, if it is worth reading.
        const digits = words.includes("digits")
        if (shown !== undefined && /^(?:json|text)$/.test(shown.info)) {
          expect(comparable(stdout, digits)).toBe(comparable(shown.text, digits))
        }
      }
    })
  }

  it("runs a command at all", () => {
    expect(blocks.filter(({ info }) => info.startsWith("sh run"))).not.toEqual([])
  })
})
