// Reads the messages for paraglide: messages/LOCALE/AREA.json, in which `title` of `sale.json` is the message
// `sale_title`, and {name} stands for a parameter. A plugin of our own, because the usual one is fetched from a CDN at
// each build. It is loaded as text, so it imports nothing.

const key = "console.messages"

/** A text as paraglide's pattern: texts and parameters. */
const patternOf = (text) =>
  text.split(/(\{\w+\})/).filter((part) => part !== "").map((part) =>
    /^\{\w+\}$/.test(part)
      ? { type: "expression", arg: { type: "variable-reference", name: part.slice(1, -1) } }
      : { type: "text", value: part }
  )

const parametersOf = (text) => [...new Set(Array.from(text.matchAll(/\{(\w+)\}/g), ([, name]) => name))]

export default {
  key,
  toBeImportedFiles: ({ settings }) =>
    settings.locales.flatMap((locale) =>
      settings[key].areas.map((area) => ({ path: `./messages/${locale}/${area}.json`, locale, metadata: { area } }))
    ),
  importFiles: ({ files }) => {
    const bundles = new Map()
    const messages = []
    const variants = []
    for (const { content, locale, toBeImportedFilesMetadata: { area } } of files) {
      for (const [name, text] of Object.entries(JSON.parse(new TextDecoder().decode(content)))) {
        const id = `${area}_${name}`
        const parameters = parametersOf(text)
        const known = bundles.get(id)
        const declared = known?.declarations.map((one) => one.name) ?? []
        bundles.set(id, {
          id,
          declarations: [...new Set([...declared, ...parameters])].map((one) => ({ type: "input-variable", name: one }))
        })
        messages.push({ bundleId: id, locale, selectors: [] })
        variants.push({ messageBundleId: id, messageLocale: locale, matches: [], pattern: patternOf(text) })
      }
    }
    return { bundles: [...bundles.values()], messages, variants }
  }
}
