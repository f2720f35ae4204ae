import * as Fs from "node:fs"
import * as Path from "node:path"
import { ESLint } from "eslint"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"

const eslint = new ESLint({ cwd: fileURLToPath(new URL("..", import.meta.url)) })

/** What the lint says of a file that does not exist. */
const complaints = async (filePath: string, code: string): Promise<ReadonlyArray<string>> => {
  const [result] = await eslint.lintText(`${code}\n`, { filePath })
  return (result?.messages ?? []).map(({ message }) => message)
}

const refused: ReadonlyArray<readonly [file: string, code: string, message: RegExp]> = [
  ["src/cli/X.ts", `import { Ledger } from "../ports/Ledger.ts"`, /cli\/ may not import ports\/Ledger\.ts/],
  [
    "src/cli/commands/X.ts",
    `import { make } from "../../redis/RedisGate.ts"`,
    /cli\/ may not import redis\/RedisGate\.ts/
  ],
  ["src/cli/X.ts", `import Redis from "ioredis"`, /cli\/ may not import ioredis/],
  ["src/cli.ts", `import { make } from "./sql/mysql/MySqlLedger.ts"`, /only src\/Backend\.ts chooses adapters/],
  [
    "src/operator/X.ts",
    `import { make } from "../sql/mysql/MySqlLedger.ts"`,
    /operator\/ may not import sql\/mysql\/MySqlLedger\.ts/
  ],
  ["src/base/X.ts", `import type { EpochMillis } from "../domain/Time.ts"`, /base\/ may not import domain\/Time\.ts/],
  ["src/base/X.ts", `import { readFileSync } from "node:fs"`, /base\/ may not import node:fs/],
  ["src/domain/X.ts", `export * from "../ports/Gate.ts"`, /domain\/ may not import ports\/Gate\.ts/],
  [
    "src/domain/X.ts",
    `import * as Config from "../config/AppConfig.ts"`,
    /domain\/ may not import config\/AppConfig\.ts/
  ],
  ["src/domain/X.ts", `import { readFileSync } from "node:fs"`, /domain\/ may not import node:fs/],
  ["src/config/X.ts", `import { Gate } from "../ports/Gate.ts"`, /config\/ may not import ports\/Gate\.ts/],
  ["src/contract/X.ts", `import { Route } from "../rpc/Route.ts"`, /contract\/ may not import rpc\/Route\.ts/],
  ["src/contract/X.ts", `import { readFileSync } from "node:fs"`, /contract\/ may not import node:fs/],
  ["src/client/X.ts", `import { VERSION } from "../config/Version.ts"`, /client\/ may not import config\/Version\.ts/],
  ["src/client/X.ts", `import * as Output from "../cli/Output.ts"`, /client\/ may not import cli\/Output\.ts/],
  [
    "src/client/X.ts",
    `import * as Command from "@effect/cli/Command"`,
    /client\/ may not import @effect\/cli\/Command/
  ],
  ["src/cli/X.ts", `import { createClient } from "@connectrpc/connect"`, /cli\/ may not import @connectrpc\/connect/],
  [
    "src/ports/X.ts",
    `import { AppConfig } from "../config/AppConfig.ts"`,
    /ports\/ may not import config\/AppConfig\.ts/
  ],
  ["src/ports/X.ts", `import * as Metrics from "../metrics/Metrics.ts"`, /ports\/ may not import metrics\/Metrics\.ts/],
  ["src/metrics/X.ts", `import { Gate } from "../ports/Gate.ts"`, /metrics\/ may not import ports\/Gate\.ts/],
  ["src/security/X.ts", `import { Gate } from "../ports/Gate.ts"`, /security\/ may not import ports\/Gate\.ts/],
  [
    "src/agents/X.ts",
    `import { IssueCoupon } from "../claim/IssueCoupon.ts"`,
    /agents\/ may not import claim\/IssueCoupon\.ts/
  ],
  [
    "src/claim/X.ts",
    `import { Campaigns } from "../campaigns/Campaigns.ts"`,
    /claim\/ may not import campaigns\/Campaigns\.ts/
  ],
  ["src/claim/X.ts", `import { Redis } from "ioredis"`, /claim\/ may not import ioredis/],
  ["src/claim/X.ts", `import * as Gate from "../redis/RedisGate.ts"`, /claim\/ may not import redis\/RedisGate\.ts/],
  [
    "src/campaigns/X.ts",
    `import type { Server } from "../http/Server.ts"`,
    /campaigns\/ may not import http\/Server\.ts/
  ],
  [
    "src/campaigns/X.ts",
    `import * as SqlClient from "@effect/sql/SqlClient"`,
    /campaigns\/ may not import @effect\/sql\/SqlClient/
  ],
  [
    "src/redis/X.ts",
    `import * as MySql from "../sql/mysql/connection/MySql.ts"`,
    /redis\/ may not import sql\/mysql\/connection\/MySql\.ts/
  ],
  ["src/redis/X.ts", `import * as mysql from "mysql2/promise"`, /redis\/ may not import mysql2\/promise/],
  ["src/sql/X.ts", `import * as Gate from "../redis/RedisGate.ts"`, /sql\/ may not import redis\/RedisGate\.ts/],
  ["src/sql/X.ts", `import { script } from "./mysql/Script.ts"`, /sql\/X\.ts may not import sql\/mysql\/Script\.ts/],
  ["src/sql/X.ts", `import type { LibSqlDriver } from "./libsql/LibSql.ts"`, /may not import sql\/libsql\/LibSql\.ts/],
  ["src/sql/text/X.ts", `export * from "../mysql/Literals.ts"`, /may not import sql\/mysql\/Literals\.ts/],
  [
    "src/sql/mysql/X.ts",
    `import { LibSqlDriver } from "../libsql/LibSql.ts"`,
    /may not import sql\/libsql\/LibSql\.ts/
  ],
  [
    "src/sql/mysql/admin/X.ts",
    `import { make } from "../../libsql/Statements.ts"`,
    /may not import sql\/libsql\/Statements\.ts/
  ],
  [
    "src/sql/libsql/X.ts",
    `export const late = () => import("../mysql/Script.ts")`,
    /may not import sql\/mysql\/Script\.ts/
  ],
  ["src/sql/libsql/admin/X.ts", `import "../../mysql/Script.ts"`, /may not import sql\/mysql\/Script\.ts/],
  ["src/sql/mysql/X.ts", `import { Redis } from "ioredis"`, /sql\/ may not import ioredis/],
  [
    "src/sql/X.ts",
    `export const late = () => import("../memory/MemoryGate.ts")`,
    /sql\/ may not import memory\/MemoryGate\.ts/
  ],
  ["src/memory/X.ts", `import { Redis } from "ioredis"`, /memory\/ may not import ioredis/],
  ["src/memory/X.ts", `import * as Server from "../http/Server.ts"`, /memory\/ may not import http\/Server\.ts/],
  ["src/telemetry/X.ts", `import * as Server from "../http/Server.ts"`, /telemetry\/ may not import http\/Server\.ts/],
  ["src/rpc/X.ts", `import * as Server from "../http/Server.ts"`, /rpc\/ may not import http\/Server\.ts/],
  [
    "src/rpc/X.ts",
    `import * as Ledger from "../sql/mysql/MySqlLedger.ts"`,
    /rpc\/ may not import sql\/mysql\/MySqlLedger\.ts/
  ],
  [
    "src/rpc/admission/X.ts",
    `import * as Gate from "../../memory/MemoryGate.ts"`,
    /rpc\/ may not import memory\/MemoryGate\.ts/
  ],
  ["src/http/X.ts", `import * as Backend from "../Backend.ts"`, /http\/ may not import Backend\.ts/],
  [
    "src/http/X.ts",
    `import { IssueCoupon } from "../claim/IssueCoupon.ts"`,
    /http\/ may not import claim\/IssueCoupon\.ts/
  ],
  [
    "src/console/X.ts",
    `import { Campaigns } from "../campaigns/Campaigns.ts"`,
    /console\/ may not import campaigns\/Campaigns\.ts/
  ],
  ["src/main.ts", `import * as Gate from "./redis/RedisGate.ts"`, /only src\/Backend\.ts chooses adapters/],
  ["src/main.ts", `export type Gate = import("./redis/RedisGate.ts").Gate`, /only src\/Backend\.ts chooses adapters/],
  [
    "src/main.ts",
    `import * as Servers from "../test/support/servers.ts"`,
    /src may not import test\/support\/servers\.ts/
  ],
  ["src/main.ts", `export const late = (name: string) => import(name)`, /computed name/],
  ["src/main.ts", `import { Effect } from "effect"`, /import the module/],
  [
    "src/claim/X.ts",
    `export const home = process.env["HOME"]`,
    /only src\/config\/AppConfig\.ts reads the environment/
  ],
  ["src/main.ts", `export const home = process["env"]`, /only src\/config\/AppConfig\.ts reads the environment/],
  ["src/main.ts", `export const { env } = process`, /only src\/config\/AppConfig\.ts reads the environment/],
  ["src/main.ts", `import { env } from "node:process"`, /only src\/config\/AppConfig\.ts reads/],
  ["src/operator/X.ts", `export const bytes = () => process.memoryUsage.rss()`, /out of file descriptors/],
  ["src/http/X.ts", `export const bytes = () => process.memoryUsage().rss`, /out of file descriptors/]
]

const allowed: ReadonlyArray<readonly [file: string, code: string]> = [
  [
    "src/domain/X.ts",
    `import * as Either from "effect/Either"\nimport { codes } from "./CouponCode.ts"\nexport const x = [Either, codes]`
  ],
  ["src/domain/codes/RandomBytes.ts", `import { randomFillSync } from "node:crypto"\nexport const x = randomFillSync`],
  ["src/base/X.ts", `import * as Schedule from "effect/Schedule"\nexport const x = Schedule`],
  ["src/ports/X.ts", `import { rootMessage } from "../base/RootMessage.ts"\nexport const x = rootMessage`],
  ["src/claim/X.ts", `import type { Coupon } from "../domain/Coupon.ts"\nexport type X = Coupon`],
  ["src/campaigns/X.ts", `import { IssueCoupon } from "../claim/IssueCoupon.ts"\nexport const x = IssueCoupon`],
  ["src/client/X.ts", `import { table } from "../contract/FailureTable.ts"\nexport const x = table`],
  ["src/cli/X.ts", `import { CouponClient } from "../client/CouponClient.ts"\nexport const x = CouponClient`],
  [
    "src/redis/X.ts",
    `import { Redis } from "ioredis"\nimport { Gate } from "../ports/Gate.ts"\nexport const x = [Redis, Gate]`
  ],
  [
    "src/sql/mysql/admin/X.ts",
    `import { script } from "../Script.ts"\nimport { make } from "../../SqlLedger.ts"\nexport const x = [script, make]`
  ],
  ["src/sql/libsql/X.ts", `import { integer } from "../text/Literals.ts"\nexport const x = integer`],
  ["src/contract/gen/X.ts", `import * as anything from "../../sql/mysql/connection/MySql.ts"`],
  ["src/Backend.ts", `import * as Gate from "./redis/RedisGate.ts"\nexport const x = Gate`],
  ["src/config/AppConfig.ts", `export const home = process.env["HOME"]`],
  ["test/X.test.ts", `import * as Gate from "../src/redis/RedisGate.ts"\nexport const x = [Gate, process.env["HOME"]]`]
]

describe("lines", () => {
  const line = (columns: number) => `export const x = "${"x".repeat(columns - 19)}"`
  const folders = Fs.readdirSync(fileURLToPath(new URL("../src/", import.meta.url)), { withFileTypes: true })
    .filter((entry) => entry.isDirectory()).map(({ name }) => `src/${name}/X.ts`)

  it.each([...folders, "src/X.ts", "test/X.test.ts", "bench/X.ts", "scripts/x.mjs"])(
    "of more than 120 columns are rejected in %s",
    async (file) => {
      expect(await complaints(file, line(120))).toEqual([])
      expect(await complaints(file, line(121))).toEqual([expect.stringContaining("length of 121")])
    }
  )

  it("of generated code have no limit", async () => {
    const found = await complaints("src/contract/gen/X.ts", line(200))
    expect(found.filter((message) => !message.startsWith("File ignored"))).toEqual([])
  })
})

describe("import directions", () => {
  for (const [file, code, message] of refused) {
    it(`refuses in ${file}: ${code.split("\n")[0]}`, async () => {
      expect(await complaints(file, code)).toEqual(expect.arrayContaining([expect.stringMatching(message)]))
    })
  }

  for (const [file, code] of allowed) {
    it(`allows in ${file}: ${code.split("\n")[0]}`, async () => {
      // ESLint warns of an ignored file, such as generated code, when it is asked about it.
      expect((await complaints(file, code)).filter((message) => !message.startsWith("File ignored"))).toEqual([])
    })
  }
})

/** What each file of src imports of src, generated code apart. */
const imports = (): ReadonlyMap<string, ReadonlyArray<string>> => {
  const source = fileURLToPath(new URL("../src/", import.meta.url))
  const files = Fs.readdirSync(source, { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".ts") && !file.includes("/gen/")
  )
  return new Map(files.map((file) => {
    const text = Fs.readFileSync(Path.join(source, file), "utf8")
    const specifiers = [...text.matchAll(/(?:\bfrom|\bimport\()\s*"(\.[^"]+)"/g)].map(([, specifier]) => specifier!)
    return [file, specifiers.map((specifier) => Path.join(Path.dirname(file), specifier))]
  }))
}

describe("files", () => {
  it("import in no circle", () => {
    const graph = imports()
    expect(graph.size).toBeGreaterThan(100)
    const done = new Set<string>()
    const visit = (file: string, path: ReadonlyArray<string>): void => {
      if (path.includes(file)) throw new Error(`a circle: ${[...path.slice(path.indexOf(file)), file].join(" -> ")}`)
      if (done.has(file)) return
      for (const next of graph.get(file) ?? []) visit(next, [...path, file])
      done.add(file)
    }
    for (const file of graph.keys()) visit(file, [])
  })

  it("are about a dozen a folder", () => {
    const count = new Map<string, number>()
    for (const file of imports().keys()) count.set(Path.dirname(file), (count.get(Path.dirname(file)) ?? 0) + 1)
    expect([...count].filter(([, files]) => files > 14)).toEqual([])
  })
})
