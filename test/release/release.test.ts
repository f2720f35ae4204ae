import { execFileSync, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { follows, released, versionFiles, withVersion } from "../../scripts/release/Release.ts"
import { read, root } from "../readme/blocks.ts"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"
import { nodeProgram } from "../support/Instance.ts"

const { version } = JSON.parse(read("package.json")) as { readonly version: string }

describe("a release's version", () => {
  it("is one step after the present one", () => {
    for (const next of ["1.2.4", "1.3.0", "2.0.0"]) expect(follows(next, "1.2.3"), next).toBe(true)
    for (const next of ["1.2.3", "1.2.5", "1.2.2", "1.3.1", "3.0.0", "1.3", "v1.3.0"]) {
      expect(follows(next, "1.2.3"), next).toBe(false)
    }
  })

  it("stands in every file that names it", () => {
    for (const file of versionFiles) {
      const next = withVersion(file, read(file), version, "9.8.7")
      expect(next, file).toContain("9.8.7")
      expect(next, file).not.toMatch(new RegExp(`coupon-issuance[^\\n]{0,20}${version.replaceAll(".", "\\.")}`))
      expect(withVersion(file, next, "9.8.7", version), file).toBe(read(file))
    }
    const pages = Fs.readdirSync(Path.join(root, "docs"), { encoding: "utf8", recursive: true })
      .filter((file) => file.endsWith(".md")).map((file) => Path.join("docs", file))
    const named = pages.filter((file) => read(file).includes(`coupon-issuance:${version}`))
    expect(named.filter((file) => !versionFiles.includes(file))).toEqual([])
    expect(() => withVersion("package.json", "{}", version, "9.8.7")).toThrow("does not have")
  })
})

describe("a release's section of the changelog", () => {
  it("is what was unreleased, above the release before", () => {
    const before = "# Changelog\n\n## Unreleased\n\n### Added\n\n- a\n\n## 0.1.0 - 2025-01-01\n\n- b\n"
    const after = before.replace("## Unreleased\n", "## Unreleased\n\n## 0.2.0 - 2025-02-02\n")
    expect(released(before, "0.2.0", "2025-02-02")).toEqual({ notes: "### Added\n\n- a", changelog: after })
    expect(released("# C\n\n## Unreleased\n\n- a\n", "1.0.0", "d").changelog)
      .toBe("# C\n\n## Unreleased\n\n## 1.0.0 - d\n\n- a\n")
    expect(() => released("# C\n\n## Unreleased\n\n## 0.1.0\n\n- b\n", "1.0.0", "d")).toThrow("nothing under")
  })
})

const hasGit = spawnSync("git", ["--version"], { stdio: "ignore" }).error === undefined

describe.skipIf(!hasGit)("npm run release", () => {
  const folder = temporaryDirectory("release")
  const env = {
    ...process.env,
    ...Object.fromEntries(["AUTHOR", "COMMITTER"].flatMap((who) => [
      [`GIT_${who}_NAME`, "a maintainer"],
      [`GIT_${who}_EMAIL`, "maintainer@example.com"]
    ])),
    GIT_CONFIG_GLOBAL: "/dev/null"
  }
  const git = (...args: ReadonlyArray<string>) =>
    execFileSync("git", args, { cwd: folder, env, encoding: "utf8" }).trim()
  const release = (...args: ReadonlyArray<string>) =>
    spawnSync(nodeProgram, ["scripts/release/main.mjs", ...args], { cwd: folder, env, encoding: "utf8" })
  const text = (file: string) => Fs.readFileSync(Path.join(folder, file), "utf8")
  const next = version.replace(/\d+$/, (patch) => String(Number(patch) + 1))

  beforeAll(() => {
    const files = [
      ...versionFiles,
      ...["CHANGELOG.md", "test/upgrade/previousRelease.ts", "scripts/release", "scripts/sbom.mjs", ".gitignore"]
    ]
    for (const file of files) Fs.cpSync(Path.join(root, file), Path.join(folder, file), { recursive: true })
    // Stands for what makes the package, which has tests of its own (test/package) and needs all of the sources.
    Fs.writeFileSync(
      Path.join(folder, "scripts/package.mjs"),
      `import { execFileSync } from "node:child_process"
const folder = process.argv[process.argv.indexOf("--pack") + 1]
execFileSync("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", folder])
`
    )
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    git("tag", "v0.0.1")
  })
  afterAll(() => removeDirectory(folder))

  it("changes nothing by a dry run, nor with another version or uncommitted changes", () => {
    const dry = release(next, "--dry-run")
    expect(dry).toMatchObject({ status: 0, stdout: expect.stringContaining(`v${next}`) as string })
    expect(release(version)).toMatchObject({ status: 1, stderr: expect.stringContaining("does not follow") as string })
    Fs.appendFileSync(Path.join(folder, "CHANGELOG.md"), "\n")
    expect(release(next)).toMatchObject({ status: 1, stderr: expect.stringContaining("not committed") as string })
    git("checkout", "--quiet", "CHANGELOG.md")
    expect([git("status", "--porcelain"), git("tag", "--list")]).toEqual(["", "v0.0.1"])
  })

  it("commits, tags with the section, and packs", () => {
    const { status, stderr } = release(next)
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" })
    expect(git("status", "--porcelain")).toBe("")
    expect(git("log", "-1", "--format=%s")).toBe(`release ${next}`)
    expect(git("rev-parse", `v${next}^{commit}`)).toBe(git("rev-parse", "HEAD"))
    expect(git("tag", "--list", "--format=%(contents)", `v${next}`)).toContain("### Added")
    expect(text("CHANGELOG.md")).toMatch(new RegExp(`^## Unreleased\\n\\n## ${next} - \\d{4}-\\d\\d-\\d\\d$`, "m"))
    expect(text("test/upgrade/previousRelease.ts")).toContain(`PREVIOUS = "${git("rev-parse", "v0.0.1")}"`)
    const packed = Fs.readdirSync(Path.join(folder, "dist/release")).sort()
    expect(packed).toEqual(["SHA256SUMS", `coupon-issuance-${next}.tgz`, "sbom.cdx.json"])
    expect(JSON.parse(text("dist/release/sbom.cdx.json"))).toMatchObject({
      bomFormat: "CycloneDX",
      metadata: { component: { version: next } }
    })
    expect(execFileSync("sha256sum", ["--check", "SHA256SUMS"], {
      cwd: Path.join(folder, "dist/release"),
      encoding: "utf8"
    })).toBe(`coupon-issuance-${next}.tgz: OK\nsbom.cdx.json: OK\n`)
    expect(release(next)).toMatchObject({ status: 1 })
  })
})
