import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"

const root = Path.resolve(Path.dirname(fileURLToPath(import.meta.url)), "../..")

/** Where the service names an act: as a field, or as an argument of what makes an entry of the audit log. */
const NAMED =
  /(?:\baction: |\b(?:actOf|entryOf|state|change)\((?:\s*(?:\w+|\{[^}]*\}),)?\s*)"([a-z]+(?:\.[a-z_]+)+)"/g

it("each act that the service records has words in the console, and no other one has", () => {
  const sources = Fs.readdirSync(Path.join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => Fs.readFileSync(Path.join(root, "src", path), "utf8"))
  const recorded = new Set(sources.flatMap((text) => [...text.matchAll(NAMED)].map(([, name]) => name)))
  const words = Fs.readFileSync(Path.join(root, "console/src/words/actTexts.ts"), "utf8")
  const worded = new Set([...words.matchAll(/^ {2}"([a-z._]+)": m\./gm)].map(([, name]) => name))
  expect(recorded).toContain("webhook.rotate_secret")
  expect(worded).toEqual(recorded)
})
