import { execFileSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { exitCodes } from "../../src/cli/ExitCode.ts"
import { startInstance, type Instance } from "../support/Instance.ts"
import { coupon, startCommand } from "./Command.ts"

describe("coupon codes", () => {
  const directory = mkdtempSync(Path.join(tmpdir(), "coupon-codes-"))
  let instance: Instance
  let run: ReturnType<typeof coupon>
  beforeAll(async () => {
    instance = await startInstance()
    run = coupon(instance.url)
  })
  afterAll(async () => {
    rmSync(directory, { recursive: true, force: true })
    await (instance as Instance | undefined)?.kill()
  })

  const file = (name: string, content: string | Uint8Array): string => {
    const path = Path.join(directory, name)
    writeFileSync(path, content)
    return path
  }
  const rejects = Path.join(directory, "rejects.csv")
  const openPool = async (limit = 100): Promise<string> => {
    const { code, out } = await run("campaign", "create", "--json", "--name", "p", "--limit", String(limit), "--pool")
    expect(code).toBe(0)
    return String((JSON.parse(out) as { readonly campaignId: number }).campaignId)
  }
  const importing = (id: string, path: string, ...more: ReadonlyArray<string>) =>
    run("codes", "import", id, path, "--rejects", rejects, ...more)

  it("preview shows what a pattern makes, and how many coupons that is enough for", async () => {
    const shown = await run("codes", "preview", "--pattern", "SUMMER-####-####-C", "--alphabet", "crockford32")
    expect(shown).toMatchObject({ code: 0, err: "" })
    expect(shown.out).toMatch(/^(SUMMER-[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]\n){5}\n/)
    expect(shown.out).toMatch(/^check +DAMM$/m)
    expect(shown.out).toMatch(/^for a limit of +1,099,511 coupons at most$/m)
    const json = await run("codes", "preview", "--alphabet", "digits", "--count", "2", "--json")
    expect(JSON.parse(json.out)).toMatchObject({ length: 10, space: 1e10, coupons: 10_000, check: "NONE" })
    const composed = await run("codes", "preview", "--characters", "\u1100\u1161")
    expect(composed.err).toMatch(/^pattern and alphabet must not hold the characters of/)
    const wrong = await run("codes", "preview", "--pattern", "SUMMER")
    expect(wrong).toMatchObject({ code: exitCodes.USAGE.code, out: "" })
    expect(wrong.err).toContain("--pattern must have a #")
  })

  it("create takes a format, and says by field what is wrong with it", async () => {
    const args = ["campaign", "create", "--name", "f", "--limit", "10"]
    const made = await run(...args, "--json", "--pattern", "X-########", "--alphabet", "safe20")
    const id = String((JSON.parse(made.out) as { readonly campaignId: number }).campaignId)
    expect((await run("issue", id, "1")).out).toMatch(/^X-[2-9CFGHJMPQRVWX]{8}\n$/)
    expect((await run("campaign", "get", id)).out).toMatch(/^codes +X-######## of SAFE20$/m)
    const wrong = await run(...args, "--pattern", "##")
    expect(wrong.code).toBe(exitCodes.USAGE.code)
    expect(wrong.err).toContain("INVALID_ARGUMENT: codeFormat.pattern makes 1,444 codes, too few for 10 coupons")
    expect((await run(...args, "--pool", "--pattern", "##########")).code).toBe(exitCodes.USAGE.code)
    const changed = await run("campaign", "update", id, "--pattern", "Y-########")
    expect(changed.err).toContain("codeFormat is fixed: 1 coupons are issued")
  })

  it("import brings all codes of a file, once, and status shows them", async () => {
    const id = await openPool(3)
    const path = file("codes.csv", "\ufeffid,code\r\n1,A-1\r\n2,\"B,2\"\r\n3,C-3\r\n")
    const imported = await importing(id, path)
    expect(imported).toMatchObject({ code: 0, err: "", out: expect.stringMatching(/^3 codes were added/) as string })
    const again = await importing(id, path)
    expect(again.code).toBe(0)
    expect(again.out).toMatch(/^these codes are in the pool already/)
    const codes = await Promise.all([1, 2, 3].map(async (user) => (await run("issue", id, String(user))).out.trim()))
    expect(codes.toSorted()).toEqual(["A-1", "B,2", "C-3"])
    const status = await run("codes", "status", id)
    expect(status.out).toMatch(/^codes in the pool +3$/m)
    expect(status.out).toMatch(/^codes left +0$/m)
    expect(status.out).toMatch(/^ *1 +FINISHED +3 +3 +0/m)
    expect((await run("verify", id)).code).toBe(0)
    expect(existsSync(rejects)).toBe(false)
  })

  it("import goes on where it stopped", async () => {
    const id = await openPool()
    const path = file("long.csv", Array.from({ length: 40_000 }, (_, k) => `CODE-${k}`).join("\n"))
    const killed = startCommand(["codes", "import", id, path], { COUPON_URL: instance.url })
    const receivedSoFar = async () => {
      const { out } = await run("codes", "status", id, "--json")
      const { imports } = JSON.parse(out) as { readonly imports: ReadonlyArray<{ readonly received: number }> }
      return imports[0]?.received ?? 0
    }
    while (await receivedSoFar() === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    killed.kill("SIGKILL")
    await killed.ended
    expect((await run("codes", "status", id)).out).toMatch(/^ *1 +OPEN /m)
    const { out } = await run("codes", "import", id, path, "--json", "--timeout", "60s")
    expect(JSON.parse(out)).toMatchObject({ importId: 1, received: 40_000, accepted: 40_000 })
    expect((await run("verify", id)).code).toBe(0)
  })

  it("import adds nothing where codes are rejected, unless that is meant", async () => {
    const id = await openPool()
    const path = file("some.ndjson", "\"A\"\n{\"code\":\"A\"}\n\"B 2\"\n\"C\"\n")
    const refused = await importing(id, path)
    expect(refused).toMatchObject({ code: exitCodes.PRECONDITION.code, out: "" })
    expect(refused.err).toContain(`2 codes rejected, see ${rejects}; nothing was added to the pool`)
    expect(readFileSync(rejects, "utf8")).toBe(
      "line,why,code\n2,duplicate in the file,A\n" +
        "3,\"invalid: must not hold U+0020, a space or a character that cannot be seen\",B 2\n"
    )
    expect((await run("codes", "status", id)).out).toMatch(/^codes in the pool +0$/m)
    const dry = await importing(id, file("dry.csv", "X\nY\n"), "--dry-run")
    expect(dry.err).toContain("another import of campaign")
    const skipped = await importing(id, path, "--skip-rejected", "--json")
    expect(JSON.parse(skipped.out)).toMatchObject({ state: "FINISHED", accepted: 2, received: 4 })
    const dryAgain = await importing(id, file("dry.csv", "X\nC\n"), "--dry-run")
    expect(dryAgain.code).toBe(exitCodes.PRECONDITION.code)
    expect(dryAgain.out).toMatch(/^a dry run: nothing was added; 1 code rejected/)
    expect(dryAgain.err).toContain(`1 code rejected, see ${rejects}`)
    expect(dryAgain.out).toMatch(/^state +ABORTED$/m)
    // A dry run ends as the import would.
    expect((await importing(id, file("dry.csv", "X\nC\n"), "--dry-run", "--skip-rejected")).code).toBe(0)
    expect(await importing(id, file("good.csv", "X\nY\n"), "--dry-run")).toMatchObject({ code: 0, err: "" })
    expect((await importing(id, file("empty.csv", ""), "--dry-run")).code).toBe(exitCodes.USAGE.code)
    expect((await run("codes", "status", id)).out).toMatch(/^codes in the pool +2$/m)
  })

  it.each([
    ["nul.csv", "A\nB\0\n", /line 2 holds a NUL/],
    ["quote.csv", "A\n\"B\n", /line 2 has a quote/],
    ["latin1.csv", Buffer.from("A\nB\xe9C\n", "latin1"), /line 2 has bytes that are not UTF-8/],
    ["long.ndjson", `"A"\n"${"x".repeat(10_000_000)}"\n`, /line 2 has more than 65,536 characters/],
    ["no.ndjson", "\"A\"\n{\n", /line 2 is no JSON/]
  ])("import of %s says which line is wrong and stores nothing", async (name, content, message) => {
    const id = await openPool()
    const ended = await importing(id, file(name, content))
    expect(ended).toMatchObject({ code: exitCodes.USAGE.code, out: "" })
    expect(ended.err).toMatch(message)
    expect(ended.err).toContain("nothing was stored")
    expect((await run("codes", "status", id)).out).toMatch(/^ *1 +ABORTED +/m)
  })

  it("import reads a pipe, which has no digest, once", async () => {
    const id = await openPool()
    const pipe = Path.join(directory, "codes.pipe")
    execFileSync("mkfifo", [pipe])
    const imported = importing(id, pipe)
    await writeFile(pipe, "A\n")
    expect(await imported).toMatchObject({ code: 0, out: expect.stringMatching(/^1 code was added/) as string })
  })

  it("import takes a name of 64 characters, of four bytes each", async () => {
    const named = await importing(await openPool(), file("a.csv", "A\n"), "--request-id", "\u{1f39f}".repeat(64))
    expect(named).toMatchObject({ code: 0, err: "" })
  })

  it("abort gives an import up", async () => {
    const id = await openPool()
    await importing(id, file("left.csv", "A\nA\n"))
    expect(await run("codes", "abort", id, "1")).toMatchObject({ code: 0 })
    expect(await run("codes", "abort", id, "99")).toMatchObject({
      code: exitCodes.NOT_FOUND.code,
      err: expect.stringContaining(`coupon codes status ${id}`) as string
    })
    // The same file begins another one.
    const again = await importing(id, file("left.csv", "A\nA\n"), "--skip-rejected")
    expect(again).toMatchObject({ code: 0 })
    expect((await run("codes", "status", id)).out).toMatch(/^ *2 +FINISHED +2 +1 +1/m)
    const finished = await run("codes", "abort", id, "2")
    expect(finished.code).toBe(exitCodes.PRECONDITION.code)
    expect(finished.err).toBe("import 2 is finished: its codes are in the pool\n")
    expect((await run("codes", "import", id, directory)).err).toBe(`${directory} is a directory\n`)
    expect((await run("codes", "import", id, Path.join(directory, "none.csv"))).code).toBe(exitCodes.USAGE.code)
    const drawn = await run("campaign", "create", "--json", "--name", "d", "--limit", "1")
    const other = String((JSON.parse(drawn.out) as { readonly campaignId: number }).campaignId)
    expect((await importing(other, file("x.csv", "A\n"))).err).toContain("codeSource is POOL")
  })
})
