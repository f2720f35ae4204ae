import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import type { CompilerOptions } from "@inlang/paraglide-js"

const root = Path.dirname(fileURLToPath(import.meta.url))

/** How paraglide compiles the messages: a module a message, so that a page loads those that it shows. */
export const messages: CompilerOptions = {
  project: Path.join(root, "project.inlang"),
  outdir: Path.join(root, "src/paraglide"),
  strategy: ["localStorage", "preferredLanguage", "baseLocale"],
  localStorageKey: "coupon-locale",
  outputStructure: "message-modules",
  isServer: "false"
}
