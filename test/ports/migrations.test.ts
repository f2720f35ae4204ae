import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describe, expect } from "vitest"
import * as Migrations from "../../src/sql/Migrations.ts"

const migration = (id: number, isOptional: boolean): Migrations.Migration => ({
  id,
  name: `m${id}`,
  isOptional,
  expands: false,
  text: `text ${id}`
})

/** A database that fails texts, by its own refusal or because it is out of reach. */
const databaseThat = (fails: Readonly<Record<string, "Rejected" | "Away">>) => {
  const recorded: Array<number> = []
  return {
    recorded,
    target: {
      run: (migration: Migrations.Migration) => {
        const failure = fails[migration.text]
        return failure === undefined
          ? Effect.sync(() => void recorded.push(Migrations.recordedId(migration)))
          : Effect.fail(failure)
      },
      recorded: Effect.sync(() => [...recorded]),
      refusal: (error: "Rejected" | "Away") => error === "Rejected" ? "no privilege" : undefined
    }
  }
}

const all = [migration(1, false), migration(2, true), migration(3, false)]

describe("migrations", () => {
  it.effect("go on without an optional one that is refused, and try it again the next time", () =>
    Effect.gen(function*() {
      const fails: Record<string, "Rejected"> = { "text 2": "Rejected" }
      const { recorded, target } = databaseThat(fails)
      expect(yield* Migrations.apply(target, all)).toEqual(["m1", "m3"])
      expect(yield* Migrations.apply(target, all)).toEqual([])
      delete fails["text 2"]
      expect(yield* Migrations.apply(target, all)).toEqual(["m2"])
      expect(recorded).toEqual([1, 3, 2])
    }))

  it.effect("stop at one that is refused and not optional", () =>
    Effect.gen(function*() {
      const { recorded, target } = databaseThat({ "text 1": "Rejected" })
      expect(yield* Effect.flip(Migrations.apply(target, all))).toBe("Rejected")
      expect(recorded).toEqual([])
    }))

  it.effect("stop where the database is out of reach, also at an optional one", () =>
    Effect.gen(function*() {
      const { recorded, target } = databaseThat({ "text 2": "Away" })
      expect(yield* Effect.flip(Migrations.apply(target, all))).toBe("Away")
      expect(recorded).toEqual([1])
    }))

  const later = (id: number, expands: boolean): Migrations.Migration => ({ ...migration(id, false), expands })

  it.effect("that only add are recorded so that programs which do not know them run on", () =>
    Effect.gen(function*() {
      const { recorded, target } = databaseThat({})
      const newer = [...all, later(4, true), later(5, true)]
      expect(yield* Migrations.apply(target, newer)).toEqual(["m1", "m2", "m3", "m4", "m5"])
      expect(recorded).toEqual([1, 2, 3, -4, -5])
      // The program before, the one that is up to date, and the one before that knows one of the two.
      expect(yield* Migrations.apply(target, all)).toEqual([])
      expect(yield* Migrations.apply(target, newer)).toEqual([])
      expect(yield* Migrations.apply(target, newer.slice(0, 4))).toEqual([])
      // As the first release reads it.
      expect(Math.max(0, ...recorded)).toBe(3)
    }))

  it.effect("that take something away are refused by programs that do not know them, and by no other", () =>
    Effect.gen(function*() {
      const { recorded, target } = databaseThat({})
      const newer = [...all, later(4, true), later(5, false), later(6, true)]
      yield* Migrations.apply(target, newer)
      expect(recorded).toEqual([1, 2, 3, -4, 5, -6])
      for (const known of [3, 4]) {
        const refused = yield* Effect.flip(Migrations.apply(target, newer.slice(0, known)))
        expect(refused).toMatchObject({ _tag: "SchemaUnfit", message: expect.stringContaining("migration 5") })
      }
      expect(yield* Migrations.apply(target, newer.slice(0, 5))).toEqual([])
    }))

  /**
   * Statements that let a column hold one more value, and change nothing that is stored. A program that does not know
   * the value is not given it: a key of a role that it does not know may do nothing.
   */
  const widens: ReadonlyArray<string> = [
    `ALTER TABLE api_keys
  DROP CONSTRAINT api_keys_role,
  ADD CONSTRAINT api_keys_role CHECK (role IN ('ISSUER', 'REDEEMER', 'VIEWER', 'OPERATOR', 'ADMIN'))`,
    "ALTER TABLE coupons MODIFY code VARCHAR(63) NOT NULL, ALGORITHM = INPLACE, LOCK = NONE",
    "DROP TABLE api_keys",
    "ALTER TABLE api_keys_next RENAME TO api_keys",
    // The check of the user of a coupon goes: an erased one is a number like any other to a program that reads it.
    "PRAGMA writable_schema = ON",
    `UPDATE sqlite_schema SET sql = REPLACE(sql, ',
  CONSTRAINT coupons_user_id CHECK (user_id > 0)', '')
WHERE type = 'table' AND name = 'coupons'`,
    "PRAGMA writable_schema = RESET"
  ]

  /** Statements that no program can notice which does not know them. */
  const adds: ReadonlyArray<RegExp> = [
    /^CREATE TABLE IF NOT EXISTS \w+ /i,
    /^CREATE INDEX /i,
    // Rows that an older program inserts lack the column.
    /^ALTER TABLE \w+ ADD COLUMN (?=.*(?:\bDEFAULT\b|(?<!NOT )\bNULL\b))(?!.*\b(?:UNIQUE|REFERENCES)\b)/is,
    /^SET @\w+ = /i,
    // What a prepared statement does is the text of a SET.
    /^(?:PREPARE \w+ FROM @\w+|EXECUTE \w+|DEALLOCATE PREPARE \w+)$/i,
    /^SELECT COUNT\(\*\) (?:=|>) 0 INTO @\w+ FROM information_schema\.(?:columns|table_constraints)/i
  ]

  for (const dialect of ["mysql", "libsql"] as const) {
    it.effect(`of ${dialect} only add, unless they are named contract or optional`, () =>
      Effect.gen(function*() {
        const expanding = (yield* Migrations.load(dialect)).filter(({ expands, isOptional }) => expands && !isOptional)
        expect(expanding.length).toBeGreaterThan(0)
        const others = expanding.flatMap(({ id, text }) => {
          const statements = text.replace(/--.*$/gm, "").split(";").map((statement) => statement.trim())
            .filter((statement) => statement !== "")
          const created = /^CREATE TABLE IF NOT EXISTS (\w+)/i
          const own = new Set(statements.flatMap((statement) => created.exec(statement)?.[1] ?? []))
          return statements.filter((statement) => {
            const [, table] =
              /^(?:INSERT (?:OR )?(?:IGNORE )?INTO|CREATE UNIQUE INDEX .* ON) (\w+)/is.exec(statement) ?? []
            return !(table !== undefined && own.has(table)) && !widens.includes(statement) &&
              !adds.some((pattern) => pattern.test(statement))
          }).map((statement) => `${id}: ${statement}`)
        })
        expect(others).toEqual([])
      }))
  }
})
