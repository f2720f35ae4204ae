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
  ["src/cli/X.ts", `import { Ledger } from "../issuance/Ledger.ts"`, /cli\/ may not import issuance\/Ledger\.ts/],
  ["src/cli/X.ts", `import { make } from "../redis/RedisGate.ts"`, /cli\/ may not import redis\/RedisGate\.ts/],
  ["src/cli/X.ts", `import Redis from "ioredis"`, /cli\/ may not import ioredis/],
  ["src/cli.ts", `import { make } from "./sql/MySqlLedger.ts"`, /only src\/Backend\.ts chooses adapters/],
  ["src/operator/X.ts", `import { make } from "../sql/MySqlLedger.ts"`, /operator\/ may not import sql\/MySqlLedger\.ts/],
  ["src/domain/X.ts", `export * from "../issuance/Gate.ts"`, /domain\/ may not import issuance\/Gate\.ts/],
  ["src/domain/X.ts", `import * as Config from "../AppConfig.ts"`, /domain\/ may not import AppConfig\.ts/],
  ["src/domain/X.ts", `import { readFileSync } from "node:fs"`, /domain\/ may not import node:fs/],
  ["src/issuance/X.ts", `import { Redis } from "ioredis"`, /issuance\/ may not import ioredis/],
  ["src/issuance/X.ts", `import * as Gate from "../redis/RedisGate.ts"`, /issuance\/ may not import redis\/RedisGate\.ts/],
  ["src/issuance/X.ts", `import type { Server } from "../transport/Server.ts"`, /issuance\/ may not import transport\/Server\.ts/],
  ["src/issuance/X.ts", `import * as SqlClient from "@effect/sql/SqlClient"`, /issuance\/ may not import @effect\/sql\/SqlClient/],
  ["src/redis/X.ts", `import * as MySql from "../sql/MySql.ts"`, /redis\/ may not import sql\/MySql\.ts/],
  ["src/redis/X.ts", `import * as mysql from "mysql2/promise"`, /redis\/ may not import mysql2\/promise/],
  ["src/sql/X.ts", `import * as Gate from "../redis/RedisGate.ts"`, /sql\/ may not import redis\/RedisGate\.ts/],
  ["src/sql/X.ts", `import { Redis } from "ioredis"`, /sql\/ may not import ioredis/],
  ["src/sql/X.ts", `export const late = () => import("../memory/MemoryGate.ts")`, /sql\/ may not import memory\/MemoryGate\.ts/],
  ["src/memory/X.ts", `import { Redis } from "ioredis"`, /memory\/ may not import ioredis/],
  ["src/memory/X.ts", `import * as Server from "../transport/Server.ts"`, /memory\/ may not import transport\/Server\.ts/],
  ["src/transport/X.ts", `import * as Ledger from "../sql/MySqlLedger.ts"`, /transport\/ may not import sql\/MySqlLedger\.ts/],
  ["src/transport/deep/X.ts", `import * as Gate from "../../memory/MemoryGate.ts"`, /transport\/ may not import memory\/MemoryGate\.ts/],
  ["src/transport/X.ts", `import * as Backend from "../Backend.ts"`, /transport\/ may not import Backend\.ts/],
  ["src/main.ts", `import * as Gate from "./redis/RedisGate.ts"`, /only src\/Backend\.ts chooses adapters/],
  ["src/main.ts", `export type Gate = import("./redis/RedisGate.ts").Gate`, /only src\/Backend\.ts chooses adapters/],
  ["src/main.ts", `import * as Servers from "../test/support/servers.ts"`, /src may not import test\/support\/servers\.ts/],
  ["src/main.ts", `export const late = (name: string) => import(name)`, /computed name/],
  ["src/main.ts", `import { Effect } from "effect"`, /import the module/],
  ["src/issuance/X.ts", `export const home = process.env["HOME"]`, /only src\/AppConfig\.ts reads the environment/],
  ["src/main.ts", `export const home = process["env"]`, /only src\/AppConfig\.ts reads the environment/],
  ["src/main.ts", `export const { env } = process`, /only src\/AppConfig\.ts reads the environment/],
  ["src/main.ts", `import { env } from "node:process"`, /only src\/AppConfig\.ts reads/],
  ["src/operator/X.ts", `export const bytes = () => process.memoryUsage.rss()`, /out of file descriptors/],
  ["src/transport/X.ts", `export const bytes = () => process.memoryUsage().rss`, /out of file descriptors/]
]

const allowed: ReadonlyArray<readonly [file: string, code: string]> = [
  ["src/domain/X.ts", `import * as Either from "effect/Either"\nimport { codes } from "./CouponCode.ts"\nexport const x = [Either, codes]`],
  ["src/domain/CouponCode.ts", `import { randomFillSync } from "node:crypto"\nexport const x = randomFillSync`],
  ["src/issuance/X.ts", `import type { Coupon } from "../domain/Coupon.ts"\nexport type X = Coupon`],
  ["src/redis/X.ts", `import { Redis } from "ioredis"\nimport { Gate } from "../issuance/Gate.ts"\nexport const x = [Redis, Gate]`],
  ["src/transport/gen/X.ts", `import * as anything from "../../sql/MySql.ts"`],
  ["src/Backend.ts", `import * as Gate from "./redis/RedisGate.ts"\nexport const x = Gate`],
  ["src/AppConfig.ts", `export const home = process.env["HOME"]`],
  ["test/X.test.ts", `import * as Gate from "../src/redis/RedisGate.ts"\nexport const x = [Gate, process.env["HOME"]]`]
]

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
