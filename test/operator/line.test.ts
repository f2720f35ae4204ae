import { spawnSync } from "node:child_process"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { root } from "../../src/cli/App.ts"
import { width } from "../../src/base/text/TextWidth.ts"
import { entries } from "../../src/cli/Guide.ts"
import * as CommandWords from "../../src/cli/line/CommandWords.ts"
import { examples } from "../../src/cli/line/Examples.ts"
import * as HelpPage from "../../src/cli/line/HelpPage.ts"
import * as Mistakes from "../../src/cli/line/Mistakes.ts"
import * as Arguments from "../../src/cli/Arguments.ts"
import * as Completions from "../../src/cli/line/Completions.ts"
import * as Confirmation from "../../src/cli/line/Confirmation.ts"
import { coupon } from "./Command.ts"

const run = coupon("http://127.0.0.1:1")

/** The words of a line as a shell has them; only single quotes are used. */
const wordsOf = (line: string): ReadonlyArray<string> =>
  Array.from(line.matchAll(/'([^']*)'|(\S+)/g), ([, quoted, plain]) => quoted ?? plain!)

const leaves = CommandWords.leavesOf(root.descriptor)

const BUILT_IN = new Set(["--help", "--version", "--wizard", "--completions", "--log-level"])

const optionsOf = (leaf: string) =>
  HelpPage.partsOf(Effect.runSync(CommandWords.find(root.descriptor, leaf.split(" "))).command).options
    .filter(({ name }) => !["--version", "--wizard", "--completions", "--log-level"].includes(name))

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

  it.each([60, 71, 100, 200])("fits a terminal of %i columns", (columns) => {
    const groups = new Set(leaves.flatMap((leaf) => leaf.split(" ").slice(0, -1)))
    for (const path of ["", ...groups, ...leaves]) {
      const named = Effect.runSync(CommandWords.find(root.descriptor, path === "" ? [] : path.split(" ")))
      for (const line of HelpPage.render(named, columns).split("\n")) {
        expect(width(line), `${path}: ${line}`).toBeLessThanOrEqual(Math.min(columns, 100))
      }
    }
  })

  it("continues an example that is too long on the next line, as a shell reads it", () => {
    const named = Effect.runSync(CommandWords.find(root.descriptor, ["campaign", "create"]))
    const page = HelpPage.render(named, 60).replaceAll(/ \\\n +/g, " ")
    for (const example of examples["campaign create"]!) expect(page).toContain(`  ${example}`)
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
    ["campaign get", "<campaign-id> is missing (coupon campaign get --help)"],
    ["campaign create", "--name is missing; --limit is missing (coupon campaign create --help)"],
    ["campaign create --name x --limit", "--limit needs a value (coupon campaign create --help)"],
    [
      "campaign create --name x --limt 5",
      "there is no option --limt; did you mean --limit? (coupon campaign create --help)"
    ],
    [
      "campaign create --nam x --limit 5",
      "there is no option --nam; did you mean --name? (coupon campaign create --help)"
    ],
    [
      "keys create --name x --role BOSS",
      "--role must be one of ISSUER, REDEEMER, VIEWER, OPERATOR, ADMIN, and is 'BOSS' (coupon keys create --help)"
    ],
    ["campaign get x", "<campaign-id> must be an integer, and is 'x' (coupon campaign get --help)"],
    ["campaign update 1 --limit x", "--limit must be an integer, and is 'x' (coupon campaign update --help)"],
    ["campaign get 1 2", "'2' is one argument too many (coupon campaign get --help)"],
    ["--limit 5 campaign list", "--limit comes before a command: first the command, then its options (coupon --help)"],
    [
      "campaign --limit 5",
      "--limit comes before a command: first the command, then its options (coupon campaign --help)"
    ],
    ["--completions tcsh", "--completions must be one of bash, sh, zsh, fish"],
    ["k8s scaled-objects 1", "there is no command coupon k8s scaled-objects; did you mean coupon k8s scaled-object?"],
    ["campaign get 1 --tz Mars", "--tz must be a zone of the IANA database, such as Asia/Seoul or UTC"],
    ["list --campaign 1", "there is no option --campaign (coupon list --help)"],
    ["list --limt=5", "there is no option --limt; did you mean --limit? (coupon list --help)"],
    ["list --desc", "give a campaign, or --user, or both"],
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

describe("completions", () => {
  const script = Effect.runSync(Completions.render(root.descriptor, "bash"))
  /** What bash offers for the last word of a line. */
  const offered = (...words: ReadonlyArray<string>): ReadonlyArray<string> => {
    const ask = "COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _coupon; printf '%s\\n' \"${COMPREPLY[@]}\""
    const { stderr, stdout } = spawnSync("bash", ["-c", `${script}\n${ask}`, "bash", "coupon", ...words], {
      encoding: "utf8"
    })
    expect(stderr).toBe("")
    return stdout.split("\n").filter((word) => word !== "")
  }

  it("of bash know commands of two words, their options, and the words of these", () => {
    expect(offered("camp")).toEqual(["campaign"])
    expect(offered("campaign", "p")).toEqual(["pause"])
    expect(offered("campaign", "")).toEqual(
      ["create", "get", "list", "history", "timeline", "update", "pause", "resume", "end"]
    )
    expect(offered("campaign", "get", "--c")).toEqual(["--codes"])
    expect(offered("campaign", "get", "1", "--output", "y")).toEqual(["yaml"])
    expect(offered("--url", "http://x", "campaign", "list", "--phase", "s")).toEqual(["scheduled", "sold-out"])
    expect(offered("webhook", "rotate-secret", "wh_1", "--ov")).toEqual(["--overlap"])
    // Names of files, which bash adds itself.
    expect(offered("apply", "-f", "")).toEqual([])
    expect(offered("codes", "import", "1", "")).toEqual([])
  })

  it.each(["bash", "sh", "zsh", "fish"])("of %s have every command and option", (shell) => {
    const text = Effect.runSync(Completions.render(root.descriptor, shell))
    for (const leaf of leaves) {
      expect(text).toContain(`'${leaf}'`)
      for (const { name } of optionsOf(leaf)) {
        expect(text, leaf).toContain(shell === "fish" ? `-l ${name.slice(2)} ` : `'${name}'`)
      }
    }
  })
})

describe("options without a value", () => {
  it("are known, so that none takes an argument for its value", () => {
    const flags = leaves.flatMap(optionsOf).filter(({ name, usage }) => usage.endsWith(name)).map(({ name }) => name)
    expect(new Set(flags.filter((name) => !BUILT_IN.has(name)))).toEqual(Arguments.FLAGS)
  })
})

describe("options in front of the command", () => {
  it("are those of the command", () => {
    expect(Arguments.canonical(["--url", "http://x", "--json", "campaign", "get", "1"]))
      .toEqual(["campaign", "get", "1", "--url", "http://x", "--json"])
    expect(Arguments.canonical(["--timeout=3s", "campaign", "list"])).toEqual(["campaign", "list", "--timeout=3s"])
  })
})
