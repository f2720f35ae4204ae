import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { bundle, nodeProgram } from "../support/Instance.ts"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))

/**
 * The output of a copy of the bundle that lacks its migrations: a broken installation, which is a defect and prints its
 * stack.
 */
const broken = (prepare: (app: string) => void = () => {}): string => {
  const copy = temporaryDirectory("broken")
  try {
    const app = Path.join(copy, "dist/app")
    Fs.cpSync(Path.join(root, "dist/app"), app, { recursive: true })
    Fs.symlinkSync(Path.join(root, "node_modules"), Path.join(copy, "node_modules"))
    Fs.copyFileSync(Path.join(root, "package.json"), Path.join(copy, "package.json"))
    prepare(app)
    const { stderr } = spawnSync(nodeProgram, [Path.join(app, "main.js")], {
      cwd: copy,
      encoding: "utf8",
      env: { PATH: process.env["PATH"], HOST: "127.0.0.1", PORT: "0", DATA_DIR: Path.join(copy, "data") }
    })
    return stderr
  } finally {
    removeDirectory(copy)
  }
}

const maps = (app: string) =>
  Fs.readdirSync(app).filter((file) => file.endsWith(".map")).map((file) => Path.join(app, file))

describe("a stack of the bundled programs", () => {
  bundle()

  it("names the sources and their lines", () => {
    const [, line] = /src\/sql\/Migrations\.ts:(\d+):\d+/.exec(broken()) ?? []
    const text = Fs.readFileSync(Path.join(root, "src/sql/Migrations.ts"), "utf8").split("\n")[Number(line) - 1]
    expect(text).toContain("await readdir(directory)")
  })

  it("names the bundle where its maps are missing or broken, and is printed all the same", () => {
    for (
      const spoil of [(file: string) => Fs.rmSync(file), (file: string) =>
        Fs.writeFileSync(file, "{\"version\":3}")]
    ) {
      const printed = broken((app) => maps(app).forEach(spoil))
      expect(printed).toContain("ENOENT: no such file or directory, scandir")
      expect(printed).toMatch(/dist\/app\/\S+\.js:\d+:\d+/)
    }
  })

  it("costs nothing before there is one: no program refers to its map", () => {
    for (const file of maps(Path.join(root, "dist/app"))) {
      expect(Fs.readFileSync(file.slice(0, -".map".length), "utf8")).not.toContain(
        "sourceMappingURL=" + Path.basename(file)
      )
    }
  })
})
