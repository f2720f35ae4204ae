import * as Os from "node:os"
import { defineConfig } from "vitest/config"
import { LongestFirst } from "./test/support/LongestFirst.ts"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/globalSetup.ts"],
    reporters: ["default", "./test/support/TotalsReporter.ts"],
    // Processes, not threads: tests start, pause and kill servers and instances of the service.
    pool: "forks",
    sequence: { sequencer: LongestFirst },
    // Tests wait for servers more than they compute: on two cores two files at once take half as long as one after
    // another. Three take as long as two, since each then waits for the others.
    maxWorkers: Math.max(2, Os.availableParallelism() - 1),
    // Bounds for what must happen, no measures: machines differ, and a busy one may be ten times as slow.
    expect: { poll: { timeout: 60_000, interval: 5 } },
    testTimeout: 120_000,
    hookTimeout: 240_000,
    teardownTimeout: 30_000
  }
})
