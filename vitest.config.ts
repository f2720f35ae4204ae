import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/globalSetup.ts"],
    reporters: ["default", "./test/support/TotalsReporter.ts"],
    // Processes, not threads: tests start, pause and kill servers and instances of the service.
    pool: "forks",
    testTimeout: 30_000,
    hookTimeout: 90_000,
    teardownTimeout: 30_000
  }
})
