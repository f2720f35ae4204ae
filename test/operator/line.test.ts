import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { root } from "../../src/cli/App.ts"
import { entries } from "../../src/cli/Guide.ts"
import { leavesOf } from "../../src/cli/line/CommandWords.ts"
import { examples } from "../../src/cli/line/Examples.ts"
import * as Mistakes from "../../src/cli/line/Mistakes.ts"
import * as Arguments from "../../src/cli/Arguments.ts"
import * as Confirmation from "../../src/cli/line/Confirmation.ts"
import { coupon } from "./Command.ts"

const run = coupon("http://127.0.0.1:1")

/** The words of a line as a shell has them; only single quotes are used. */
const wordsOf = (line: string): ReadonlyArray<string> =>
  Array.from(line.matchAll(/'([^']*)'|(\S+)/g), ([, quoted, plain]) => quoted ?? plain!)

const leaves = leavesOf(root.descriptor)

/** Older names of commands, which their newer ones are documented by. */
const ALIASES = ["audit"]

describe("the help of each command", () => {
  it.each(leaves)("coupon %s --help has an example that is right, and no words of the library", async (leaf) => {
    const { code, out } = await run(...leaf.split(" "), "--help")
    expect(code).toBe(0)
    expect(out).not.toMatch(/user-defined|An integer|true or false value|This (?:setting|option)|--wizard/)
    for (const line of out.split("\n")) {
      expect(line.length, line).toBeLessThanOrEqual(line.startsWith("  coupon ") ? 120 : 100)
    }
    if (ALIASES.includes(leaf)) return
    const shown = examples[leaf] ?? []
    expect(shown.length).toBeGreaterThan(0)
    for (const example of shown) {
      expect(out).toContain(`  ${example}\n`.trimEnd())
      const [program, ...args] = wordsOf(example)
      expect(program).toBe("coupon")
      const check = Mistakes.check(root.descriptor, Arguments.canonical(args))
      const outcome = await Effect.runPromise(Effect.either(Effect.provide(check, NodeContext.layer)))
      expect(outcome, example).toMatchObject({ _tag: "Right" })
    }
  })

  it("of a group lists its commands", async () => {
    const { out } = await run("keys", "--help")
    for (const { usage } of entries.filter((one) => one.usage.startsWith("keys "))) expect(out).toContain(usage)
  })
})

describe("a line that is wrong", () => {
  const cases: ReadonlyArray<readonly [line: string, message: string]> = [
    ["campain list", "there is no command coupon campain; did you mean coupon campaign?"],
    ["campaign lst", "there is no command coupon campaign lst; did you mean coupon campaign list?"],
    ["pause 1", "there is no command coupon pause; did you mean coupon campaign pause?"],
    [
      "campaign",
      "coupon campaign needs one of its commands: create, get, list, history, timeline, update, pause, resume, end"
    ],
    ["campaign get", "Missing argument <campaign-id> (coupon campaign get --help)"],
    ["campaign get x", "<campaign-id> must be an integer, and is 'x' (coupon campaign get --help)"],
    ["campaign update 1 --limit x", "--limit must be an integer, and is 'x' (coupon campaign update --help)"],
    ["campaign get 1 2", "'2' is one argument too many (coupon campaign get --help)"],
    ["campaign get 1 --code", "there is no option --code; did you mean --codes? (coupon campaign get --help)"]
  ]

  it.each(cases)("coupon %s says what it is, as JSON too", async (line, message) => {
    expect(await run(...line.split(" "))).toEqual({ code: 2, out: "", err: `${message}\n` })
    const asJson = await run(...line.split(" "), "--json")
    expect({ ...asJson, err: JSON.parse(asJson.err) as unknown }).toEqual({
      code: 2,
      out: "",
      err: { error: { code: "USAGE", message, exitCode: 2 } }
    })
  })
})

describe("what cannot be undone", () => {
  const asked = (answer: string) => {
    const questions: Array<string> = []
    const ask = (question: string) => {
      questions.push(question)
      return Promise.resolve(answer)
    }
    return { questions, terminal: { isThere: true, ask } }
  }
  const given = { what: "campaign 1 Summer ends for good", word: "Summer", yes: false, json: false }
  const outcome = (options: Partial<typeof given>, terminal: Confirmation.Terminal) =>
    Effect.runPromise(Effect.either(Confirmation.confirm({ ...given, ...options }, terminal)))

  it("is done when the word was typed, and not otherwise", async () => {
    const right = asked(" Summer ")
    expect(await outcome({}, right.terminal)).toMatchObject({ _tag: "Right" })
    expect(right.questions).toEqual(["campaign 1 Summer ends for good. Type Summer to go on: "])
    for (const answer of ["", "y", "summer"]) {
      expect(await outcome({}, asked(answer).terminal)).toMatchObject({ left: { code: "NOT_CONFIRMED" } })
    }
  })

  it("needs --yes without a terminal and with --json, and with --yes asks nothing", async () => {
    const absent = { isThere: false, ask: () => Promise.reject(new Error("it asks")) }
    const message = "campaign 1 Summer ends for good: give --yes if that is meant"
    expect(await outcome({}, absent)).toMatchObject({ left: { exit: "USAGE", message } })
    expect(await outcome({ json: true }, { ...absent, isThere: true })).toMatchObject({ left: { message } })
    expect(await outcome({ yes: true, json: true }, absent)).toMatchObject({ _tag: "Right" })
  })
})

describe("options in front of the command", () => {
  it("are those of the command", () => {
    expect(Arguments.canonical(["--url", "http://x", "--json", "campaign", "get", "1"]))
      .toEqual(["campaign", "get", "1", "--url", "http://x", "--json"])
    expect(Arguments.canonical(["--timeout=3s", "campaign", "list"])).toEqual(["campaign", "list", "--timeout=3s"])
  })
})
