import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { createClient } from "@libsql/client"
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { exitCodes } from "../../src/cli/ExitCode.ts"
import type { CampaignSettings } from "../../src/domain/Campaign.ts"
import { defaultCodes } from "../../src/domain/codes/CampaignCodes.ts"
import { DEFAULT_UNDO_WINDOW_MILLIS } from "../../src/domain/validity/UndoWindow.ts"
import { migrate } from "../../src/sql/libsql/LibSql.ts"
import { settingsState } from "../../src/sql/text/CampaignText.ts"

// What the recipes of CONTRIBUTING.md promise that no compiler and no other test sees.

const root = fileURLToPath(new URL("../..", import.meta.url))

/** The text of all files of a folder. */
const textOf = (folder: string): string =>
  Fs.readdirSync(Path.join(root, folder), { encoding: "utf8", recursive: true })
    .filter((file) => /\.(?:ts|sql)$/.test(file))
    .map((file) => Fs.readFileSync(Path.join(root, folder, file), "utf8"))
    .join("\n")

/** The files of `src/sql`, without those of the other dialect. */
const sqlFiles = (other: string): ReadonlyArray<string> =>
  Fs.readdirSync(Path.join(root, "src/sql"), { encoding: "utf8", recursive: true })
    .filter((file) => file.endsWith(".ts") && !file.startsWith(`${other}${Path.sep}`))
    .map((file) => Fs.readFileSync(Path.join(root, "src/sql", file), "utf8"))

const TEXT = /"[^"]*"(?:\s*\+\s*"[^"]*")*/.source

/** The text, or the object, that an expression in a statement's list of columns stands for. */
const declared = (expression: string, file: string, files: ReadonlyArray<string>): string => {
  const [, owner, name] = /(\w+\.)?(\w+)\)?(?:\.join\(.*)?$/.exec(expression) ?? []
  const places: ReadonlyArray<readonly [pattern: string, files: ReadonlyArray<string>]> =
    owner !== undefined && !expression.startsWith("Object.")
      ? [[`\\b${name}:\\s*(${TEXT})`, files]]
      : [
        [`const ${name} =\\s*(${TEXT})`, [file]],
        [`const ${name}Of = [^{]*(\\{[^]*?\\n  \\}\\))`, [file]],
        [`export const ${name} =\\s*(${TEXT})`, files]
      ]
  const [found] = places.flatMap(([pattern, where]) =>
    where.flatMap((text) => new RegExp(pattern).exec(text)?.[1] ?? []))
  if (found === undefined) throw new Error(`what is ${expression}, which an INSERT writes?`)
  return found
}

/** The columns that INSERT statements name, as `table.column`. */
const insertedColumns = (files: ReadonlyArray<string>): ReadonlySet<string> =>
  new Set(files.flatMap((file) =>
    Array.from(
      file.matchAll(/(?:INTO|insertIfAbsent\})\s+([a-z_]+)\s*\(((?:\$\{[^}]*\}|[^)$])*)\)/g),
      ([, table, list]) => {
        const meant = Array.from(list!.matchAll(/\$\{([^}]*)\}/g), ([, one]) => declared(one!, file, files))
        const words = [list!.replaceAll(/\$\{[^}]*\}/g, ""), ...meant].join(" ").match(/[a-z_]+/g) ?? []
        return words.map((column) => `${table}.${column}`)
      }
    ).flat()
  ))

/** Columns that a row gets without an INSERT of ours that names them. All others have to be in one. */
const WITHOUT_INSERT: Readonly<Record<string, ReadonlyArray<string>>> = {
  "numbered by the database": ["admin_audit.id", "campaigns.id", "webhook_attempts.id", "webhook_parked.id"],
  "the one row that a migration made": [
    ...["audit_id", "hash", "id", "sequence"].map((column) => `admin_audit_head.${column}`),
    ...["id", "identity", "served_in_production_at"].map((column) => `deployment.${column}`)
  ],
  "at its default until something happens": [
    "api_keys.revoked_at",
    "campaign_event_heads.removed_sequence",
    ...["phase", "phase_at", "sequence"].map((column) => `campaign_phases.${column}`),
    ...["code_count", "current_coupon", "returned", "status", "version"].map((column) => `campaigns.${column}`),
    ...["accepted", "chunks", "duplicate_in_campaign", "duplicate_in_file", "invalid", "received"]
      .map((column) => `code_imports.${column}`),
    ...["due_at", "end_number", "end_sequence", "failures", "lease_until", "number", "owner", "token"]
      .map((column) => `webhook_cursors.${column}`),
    ...["is_due", "lease_until", "owner", "token"].map((column) => `webhook_parked.${column}`)
  ]
}

describe("a stored field", () => {
  it.each([["libsql", "mysql"], ["mysql", "libsql"]])("is written by an INSERT of %s", async (_, other) => {
    const client = createClient({ url: ":memory:" })
    await Effect.runPromise(migrate(client))
    const { rows } = await client.execute(
      `SELECT m.name AS "table", c.name AS "column" FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c
WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'`
    )
    client.close()
    expect(rows.length).toBeGreaterThan(50)
    const inserted = insertedColumns(sqlFiles(other))
    const stored = rows.map(({ column, table }) => `${String(table)}.${String(column)}`)
    const left = stored.filter((column) => !inserted.has(column)).toSorted()
    expect(left).toEqual(Object.values(WITHOUT_INSERT).flat().toSorted())
  })
})

describe("an exit code", () => {
  it("has a failure that ends with it", () => {
    const uses = textOf("src/cli").replace(/exitCodes = \{.*?\} as const/s, "")
    const unused = Object.keys(exitCodes).filter((name) => !uses.includes(`"${name}"`))
    expect(unused).toEqual([])
  })
})

describe("a setting of campaigns", () => {
  const before: CampaignSettings = {
    name: "a",
    couponLimit: 1,
    returned: 0,
    status: "ACTIVE",
    startTime: 0,
    endTime: undefined,
    codes: defaultCodes,
    validity: undefined,
    undoWindowMillis: DEFAULT_UNDO_WINDOW_MILLIS
  }
  /** Another value for each. A setting without one does not compile. */
  const others: { readonly [Setting in keyof CampaignSettings]-?: CampaignSettings[Setting] } = {
    name: "b",
    couponLimit: 2,
    returned: 1,
    status: "PAUSED",
    startTime: 1,
    endTime: 2,
    codes: { _tag: "Pool" },
    validity: { _tag: "After", after: "P1D", zone: undefined },
    undoWindowMillis: 1_000
  }

  it.each(Object.keys(others) as Array<keyof CampaignSettings>)("%s shows in the audit log when it changes", (name) => {
    expect(settingsState({ ...before, [name]: others[name] })).not.toEqual(settingsState(before))
  })
})
