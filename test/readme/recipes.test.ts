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

describe("a stored field", () => {
  it("is named by some statement", async () => {
    const client = createClient({ url: ":memory:" })
    await Effect.runPromise(migrate(client))
    const { rows } = await client.execute(
      `SELECT m.name AS "table", c.name AS "column" FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c
WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'`
    )
    client.close()
    expect(rows.length).toBeGreaterThan(50)
    const statements = textOf("src/sql")
    const named = new Set(statements.match(/\w+/g))
    const forgotten = rows.filter(({ column }) => !named.has(String(column)))
      .map(({ column, table }) => `${String(table)}.${String(column)}`)
    expect(forgotten).toEqual([])
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
