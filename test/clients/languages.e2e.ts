import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type FaultProxy, startProxy } from "../support/FaultProxy.ts"
import { table } from "../../src/contract/FailureTable.ts"
import type { ClaimFailure } from "../../src/domain/Failure.ts"
import * as Failures from "../../src/domain/Failure.ts"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"
import { root, run } from "../package/built.ts"
import { coupon, echo, issuing, type Running, start } from "../transport/Stub.ts"

/** What a page's program has to make of each failure; `repeated`: it claims again, and gets the coupon. */
const outcomes: ReadonlyArray<readonly [ClaimFailure | Failures.PermissionDenied, string]> = [
  [new Failures.CouponAlreadyClaimed({ coupon }), "already held"],
  [new Failures.CampaignNotStarted(), "come again"],
  [new Failures.CampaignPaused(), "come again"],
  [new Failures.CodesExhausted(), "come again"],
  [new Failures.CouponSoldOut(), "over"],
  [new Failures.CampaignEnded(), "over"],
  [new Failures.Overloaded({ retryAfterSeconds: 1 }), "repeated"],
  [new Failures.Unavailable({ retryAfterSeconds: 1 }), "repeated"],
  [new Failures.OutcomeUnknown(), "repeated"],
  [new Failures.DeadlineExceeded(), "repeated"],
  [new Failures.RecordNotFound(), "failed"],
  [new Failures.PermissionDenied({ reason: "no" }), "failed"]
]

/** A campaign whose first claim gets no answer. */
const LOST = 99

interface Language {
  readonly name: "go" | "python" | "java"
  /** Programs without which it cannot be tested. */
  readonly needs: ReadonlyArray<string>
  /** Generates and builds in the directory that has the page's files; the program to run. */
  readonly build: (directory: string) => Promise<readonly [program: string, ...args: ReadonlyArray<string>]>
  /** What its client is given of a URL. */
  readonly target: (url: string) => string
}

const buf = Path.join(root, "node_modules/.bin/buf")
const generate = (directory: string, env: Readonly<Record<string, string>> = {}) =>
  run(buf, ["generate", Path.join(root, "proto"), "--path", Path.join(root, "proto/coupon")], directory, env)

const languages: ReadonlyArray<Language> = [
  {
    name: "go",
    needs: ["go"],
    target: (url) => url,
    build: async (directory) => {
      // The plugins are programs of the module's own dependencies.
      await run("go", ["mod", "download", "all"], directory)
      await generate(directory)
      await run("go", ["mod", "tidy"], directory)
      await run("go", ["vet", "./..."], directory)
      await run("go", ["build", "-o", "claims", "."], directory)
      return [Path.join(directory, "claims")]
    }
  },
  {
    name: "python",
    needs: ["python3"],
    target: (url) => new URL(url).host,
    build: async (directory) => {
      await run("python3", ["-m", "venv", "env"], directory)
      const bin = Path.join(directory, "env/bin")
      await run(Path.join(bin, "pip"), ["install", "--quiet", "-r", "requirements.txt"], directory)
      await generate(directory, { PATH: `${bin}:${process.env["PATH"]}` })
      return [Path.join(bin, "python"), "claim.py"]
    }
  },
  {
    name: "java",
    needs: ["javac", "java"],
    target: (url) => url,
    build: async (directory) => {
      await run("javac", ["-Xlint:all,-serial", "-Werror", "Claim.java"], directory)
      return ["java", "-Dstdout.encoding=UTF-8", "-cp", directory, "Claim"]
    }
  }
]

/** Writes the files that a page has, by the names behind their fences. */
const writeFiles = (language: string, directory: string): void => {
  const page = Fs.readFileSync(Path.join(root, `docs/guides/clients/${language}.md`), "utf8")
  const files = [...page.matchAll(/^```\w+ file=(\S+)\n(.*?)^```$/gms)]
  expect(files.length).toBeGreaterThan(0)
  for (const [, name, text] of files) Fs.writeFileSync(Path.join(directory, name!), text!)
}

const has = (program: string) => spawnSync("sh", ["-c", `command -v ${program}`]).status === 0

describe("the table of docs/guides/clients.md", () => {
  it("has every message that a claim may come to", () => {
    const page = Fs.readFileSync(Path.join(root, "docs/guides/clients.md"), "utf8")
    const mine = outcomes.map(([{ _tag }]) => table[_tag].message)
    for (const message of mine.slice(0, -2)) expect(page).toContain(`\`${message}\``)
  })
})

for (const language of languages) {
  const missing = language.needs.filter((program) => !has(program))
  if (missing.length > 0) {
    it.skip(`the client in ${language.name} needs ${missing.join(", ")}`, () => {})
    continue
  }
  describe(`the client in ${language.name}`, () => {
    const directory = temporaryDirectory(`client-${language.name}`)
    let program: readonly [string, ...ReadonlyArray<string>]
    let server: Running
    let proxy: FaultProxy
    /** How often each user has claimed. */
    const claims = new Map<bigint, number>()
    const FIRST_USER = 9_007_199_254_740_993n

    beforeAll(async () => {
      const issueCoupon = issuing((campaignId, userId) => {
        const claimed = (claims.get(userId) ?? 0) + 1
        claims.set(userId, claimed)
        // The claim that is lost: its connection is cut before the answer.
        if (campaignId === LOST && claimed === 1) return Effect.never
        const [failure, outcome] = outcomes[campaignId - 1] ?? []
        return failure === undefined || (outcome === "repeated" && claimed > 1)
          ? Effect.succeed({ ...coupon, campaignId, userId })
          : Effect.fail(failure as ClaimFailure)
      })
      server = await start({ useCases: () => ({ ...echo, issueCoupon }) })
      proxy = await startProxy(Number(new URL(server.url).port))
      writeFiles(language.name, directory)
      program = await language.build(directory)
    })
    afterAll(async () => {
      await (proxy as FaultProxy | undefined)?.stop()
      await (server as Running | undefined)?.close()
      removeDirectory(directory)
    })

    const claim = async (url: string, users: ReadonlyArray<string>) => {
      const [name, ...args] = program
      return (await run(name, [...args, language.target(url), ...users], directory)).trimEnd().split("\n")
    }

    it("does what the table says with each message", async () => {
      const users = outcomes.map((_, k) => `${k + 1}/${FIRST_USER + BigInt(k)}`)
      const expected = outcomes.map(([, outcome]) =>
        outcome === "failed"
          ? ` "" true`
          : outcome === "repeated"
          ? `claimed "${coupon.code}" false`
          : `${outcome} "${outcome === "already held" ? coupon.code : ""}" false`)
      expect(await claim(server.url, users)).toEqual(expected)
      expect(outcomes.map((_, k) => claims.get(FIRST_USER + BigInt(k))))
        .toEqual(outcomes.map(([, outcome]) => outcome === "repeated" ? 2 : 1))
    })

    it("claims again when the answer is lost", async () => {
      const answered = claim(proxy.url(server.url).replace(/\/$/, ""), [`${LOST}/5`])
      await expect.poll(() => claims.get(5n), { timeout: 30_000 }).toBe(1)
      proxy.reset()
      expect(await answered).toEqual([`claimed "${coupon.code}" false`])
      expect(claims.get(5n)).toBe(2)
    })
  })
}
