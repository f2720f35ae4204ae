import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

/** `npm run test:compose`: minutes long, hence no part of `npm test`. */
export default defineConfig({
  test: {
    root: Path.resolve(Path.dirname(fileURLToPath(import.meta.url)), "../.."),
    include: ["test/compose/*.e2e.ts"],
    reporters: ["default", "./test/support/TotalsReporter.ts"],
    pool: "forks",
    // Each has the whole machine.
    fileParallelism: false,
    expect: { poll: { timeout: 60_000, interval: 50 } },
    testTimeout: 180_000,
    // The images are pulled and built in it.
    hookTimeout: 1_200_000,
    teardownTimeout: 120_000
  }
})
