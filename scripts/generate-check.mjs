// Checks that the committed protobuf code is what the contract generates, that the contract keeps its style, and that
// it breaks no client of the previous commit (on a branch: of `main`).
import { execFileSync, spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
let failed = 0
const check = (name, command, ...args) => {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] })
  if (status !== 0) failed++
  console.log(`${status === 0 ? "ok" : "FAILED"}: ${name}${error === undefined ? "" : ` (${error.message})`}`)
}
const commit = (ref) => {
  try {
    return execFileSync("git", ["rev-parse", "--verify", "--quiet", `${ref}^{commit}`], { cwd: root, encoding: "utf8" })
      .trim()
  } catch {
    return undefined
  }
}

check("the contract keeps its style", "buf", "lint")

const dir = mkdtempSync(join(tmpdir(), "coupon-generate-"))
try {
  const template = readFileSync(join(root, "buf.gen.yaml"), "utf8")
  const out = /^(\s+)out: (.+)$/m.exec(template)?.[2]
  if (out === undefined) throw new Error("buf.gen.yaml names no `out` folder")
  writeFileSync(join(dir, "buf.gen.yaml"), template.replace(/^(\s+)out: .+$/gm, `$1out: ${join(dir, "gen")}`))
  check("the contract generates", "buf", "generate", "--template", join(dir, "buf.gen.yaml"))
  check(`${out} is what the contract generates (else: npm run generate)`, "diff", "-r", "-u", out, join(dir, "gen"))
} finally {
  rmSync(dir, { recursive: true, force: true })
}

const head = commit("HEAD")
const main = [commit("origin/main"), commit("main")].find((one) => one !== undefined && one !== head)
for (const [name, ref] of [["the previous commit", commit("HEAD~1")], ["main", main]]) {
  // A shallow clone or a first commit has no earlier contract.
  if (
    ref === undefined ||
    spawnSync("git", ["cat-file", "-e", `${ref}:proto`], { cwd: root, stdio: "ignore" }).status !== 0
  ) continue
  // Uses `git archive`, because buf's own `.git#ref=` cannot read a worktree or a shallow clone.
  const past = mkdtempSync(join(tmpdir(), "coupon-contract-"))
  try {
    const archive = execFileSync("git", ["archive", ref, "proto", "buf.yaml"], { cwd: root, maxBuffer: 1 << 28 })
    execFileSync("tar", ["-x", "-C", past], { input: archive })
    check(`the contract breaks no client of ${name}`, "buf", "breaking", "--against", past)
  } finally {
    rmSync(past, { recursive: true, force: true })
  }
}
process.exit(failed === 0 ? 0 : 1)
