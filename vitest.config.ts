import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/globalSetup.ts"],
    reporters: ["default", "./test/support/TotalsReporter.ts"],
    // Processes, not threads: tests start, pause and kill servers and instances of the service.
    pool: "forks",
    // A bound for what must happen, not a measure: machines differ.
    expect: { poll: { timeout: 10_000, interval: 5 } },
    testTimeout: 30_000,
    hookTimeout: 90_000,
    teardownTimeout: 30_000
  }
})
