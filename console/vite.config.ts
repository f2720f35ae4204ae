import { defineConfig } from "vite"

/** `scripts/console.mjs` builds by this. */
export default defineConfig({
  base: "/console/",
  build: {
    target: "es2022",
    // Below `assets/` names change with their content, so browsers keep these files for good.
    assetsDir: "assets",
    // The policy of the page allows no `data:` scripts, and fonts are the system's.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false }
  }
})
