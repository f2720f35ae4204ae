import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

/** `npm run test:cdc`: it needs Java, Maven and what that fetches, hence no part of `npm test`. */
export default defineConfig({
  test: {
    root: Path.resolve(Path.dirname(fileURLToPath(import.meta.url)), "../.."),
    include: ["test/cdc/*.e2e.ts"],
    reporters: ["default", "./test/support/TotalsReporter.ts"],
    pool: "forks",
    fileParallelism: false,
    expect: { poll: { timeout: 120_000, interval: 100 } },
    testTimeout: 300_000,
    // Maven fetches what it lacks in it.
    hookTimeout: 600_000,
    teardownTimeout: 60_000
  }
})
