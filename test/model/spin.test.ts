import { afterAll, describe, expect, test } from "vitest"
import { type Check, checks, mutants, obstacle, search, lineOf } from "./spin.ts"

// Alone they take a second or two each; beside other tests, more.
const PATIENCE = 120_000

describe("the models of the protocol (docs/internals/model.md)", () => {
  const reason = obstacle()
  if (reason !== undefined) {
    test.skip(`not checked here: ${reason}`, () => {})
    return
  }

  const report: Array<string> = []
  afterAll(() => console.info(report.join("\n")))

  test.each(checks.map((check): [string, Check] => [`${check.model}: ${check.name}`, check]))(
    "no state violates anything; %s",
    async (name, check) => {
      const verdict = await search(check)
      report.push(`${name}: ${lineOf(verdict)}`)
      expect(verdict.violation).toBeUndefined()
      expect(verdict.states).toBeGreaterThan(10_000)
    },
    PATIENCE
  )

  test.each(mutants.map((check): [string, Check] => [`${check.model}: ${check.name}`, check]))(
    "the checker notices; %s",
    async (_name, check) => expect((await search(check)).violation).toMatch(/^(assertion violated|invalid end state)/),
    PATIENCE
  )
})
