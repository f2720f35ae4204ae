import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { paraglideVitePlugin } from "@inlang/paraglide-js"
import { svelte } from "@sveltejs/vite-plugin-svelte"
import { defineConfig } from "vite"
import { messages } from "./messages.config.ts"

const root = Path.dirname(fileURLToPath(import.meta.url))
const service = process.env["SERVICE"] ?? "http://127.0.0.1:8080"

/**
 * Builds the console into dist/console; `scripts/console.mjs` runs it. For development: `npx vite console`, with the
 * service at SERVICE.
 */
export default defineConfig({
  root,
  base: "/console/",
  cacheDir: Path.join(root, "../.cache/vite"),
  resolve: {
    alias: {
      // Of its 200 components only dialogs are used, and Vite compiles what it loads before it leaves anything out.
      "bits-ui": Path.join(root, "../node_modules/bits-ui/dist/bits/dialog/index.js"),
      "node:crypto": Path.join(root, "src/api/nodeCrypto.ts"),
      $contract: Path.join(root, "../src/contract"),
      $domain: Path.join(root, "../src/domain"),
      $client: Path.join(root, "../src/client")
    }
  },
  plugins: [
    paraglideVitePlugin(messages),
    // Elements are made one by one and never from text, so that the page needs no policy of Trusted Types.
    svelte({ configFile: false, compilerOptions: { fragments: "tree" } })
  ],
  build: {
    outDir: Path.join(root, "../dist/console"),
    target: "es2023",
    // The polyfill would be an inline script, and files as data URLs would need another source in the policy.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rollupOptions: {
      output: {
        // A file for the messages of each area, instead of hundreds of one message each.
        manualChunks: (id) => {
          const area = /paraglide\/messages\/([a-z]+)_\w+\.js$/.exec(id)?.[1]
          return area === undefined ? undefined : `messages-${area}`
        }
      }
    }
  },
  server: {
    proxy: Object.fromEntries(
      ["/coupon.v1.", "/operator/", "/console/session", "/console/csp"].map((path) => [path, service])
    )
  }
})
