import type { Reporter, TestModule, TestRunEndReason } from "vitest/node"

/** Closes the output with one line that people and scripts read alike: `N passed, N failed` (`, N skipped` if any). */
export default class TotalsReporter implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>, errors: ReadonlyArray<unknown>, reason: TestRunEndReason): void {
    let passed = 0
    let failed = errors.length
    let skipped = 0
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === "passed") passed++
        else if (state === "failed") failed++
        // One that never came to its end has not been skipped on purpose.
        else if (state === "pending") failed++
        else skipped++
      }
      // A file that does not load, or a suite whose hooks fail, may have no failed test to show for it.
      if (module.errors().length > 0) failed++
      for (const suite of module.children.allSuites()) if (suite.errors().length > 0) failed++
    }
    if (reason === "interrupted") process.stdout.write("interrupted\n")
    // After the summary of the default reporter, which is printed on the same signal.
    process.once(
      "exit",
      () => process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}\n`)
    )
  }
}
