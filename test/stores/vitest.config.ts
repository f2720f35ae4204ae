import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

/** `npm run test:stores`: failovers of a group of MySQL servers take their time, hence no part of `npm test`. */
export default defineConfig({
  test: {
    root: Path.resolve(Path.dirname(fileURLToPath(import.meta.url)), "../.."),
    include: ["test/stores/*.e2e.ts"],
    reporters: ["default", "./test/support/TotalsReporter.ts"],
    pool: "forks",
    expect: { poll: { timeout: 60_000, interval: 50 } },
    testTimeout: 240_000,
    hookTimeout: 300_000,
    teardownTimeout: 60_000
  }
})
