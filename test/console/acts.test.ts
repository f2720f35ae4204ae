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

/** The fields of an interface of the service. */
const fieldsOf = (file: string, name: string): ReadonlyArray<string> => {
  const [, body] = new RegExp(`interface ${name} \\{\n(.*?)\n\\}`, "s").exec(
    Fs.readFileSync(Path.join(root, "src", file), "utf8")
  )!
  return Array.from(body!.matchAll(/^ {2}readonly (\w+)\??:/gm), ([, field]) => field!)
}

it("each setting of a campaign or a webhook that the audit log has is named in the console", () => {
  const words = Fs.readFileSync(Path.join(root, "console/src/words/fieldTexts.ts"), "utf8")
  const [, texts = ""] = /^const names.*?\{\n(.*?)\n\}/ms.exec(words) ?? []
  const named = Array.from(texts.matchAll(/^ {2}(\w+): (?:m\.|\(\) =>)/gm), ([, field]) => field)
  const recorded = [
    ...fieldsOf("sql/text/CampaignText.ts", "SettingsState"),
    ...fieldsOf("domain/webhooks/Webhook.ts", "WebhookDefinition")
  ]
  expect(recorded).toEqual(expect.arrayContaining(["couponLimit", "undoWindow", "onFailure"]))
  expect(named).toEqual(expect.arrayContaining(recorded))
})

it("a name turns nothing around it in a sentence, whatever marks of direction it has", () => {
  const folder = Path.join(root, "console/messages")
  // Names in advice are those of settings.
  const isOfOthers = (path: string) => path.endsWith(".json") && !path.endsWith("advice.json")
  const texts = Fs.readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(isOfOthers)
    .flatMap((path) => Object.values(JSON.parse(Fs.readFileSync(Path.join(folder, path), "utf8")) as object))
    .filter((text): text is string => typeof text === "string" && text.includes("{name}"))
  expect(texts.length).toBeGreaterThan(40)
  expect(texts.filter((text) => text.replaceAll("\u2068{name}\u2069", "").includes("{name}"))).toEqual([])
})
