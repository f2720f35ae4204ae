import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

/** `npm run test:clients`: it fetches compilers and libraries of other languages, hence no part of `npm test`. */
export default defineConfig({
  test: {
    root: Path.resolve(Path.dirname(fileURLToPath(import.meta.url)), "../.."),
    include: ["test/clients/*.e2e.ts"],
    reporters: ["default", "./test/support/TotalsReporter.ts"],
    pool: "forks",
    testTimeout: 180_000,
    hookTimeout: 600_000
  }
})
