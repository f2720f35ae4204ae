import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describe, expect } from "vitest"
import * as Migrations from "../../src/sql/Migrations.ts"

const migration = (id: number, isOptional: boolean): Migrations.Migration => ({ id, name: `m${id}`, isOptional, text: `text ${id}` })

/** A database that fails texts, by its own refusal or because it is out of reach. */
const databaseThat = (fails: Readonly<Record<string, "Refused" | "Away">>) => {
  const recorded: Array<number> = []
  return {
    recorded,
    target: {
      run: (text: string) => fails[text] === undefined ? Effect.void : Effect.fail(fails[text]),
      applied: Effect.sync(() => [...recorded]),
      record: ({ id }: Migrations.Migration) => Effect.sync(() => void recorded.push(id)),
      refusal: (error: "Refused" | "Away") => error === "Refused" ? "no privilege" : undefined
    }
  }
}

const all = [migration(1, false), migration(2, true), migration(3, false)]

describe("migrations", () => {
  it.effect("go on without an optional one that is refused, and try it again the next time", () =>
    Effect.gen(function*() {
      const fails: Record<string, "Refused"> = { "text 2": "Refused" }
      const { recorded, target } = databaseThat(fails)
      expect(yield* Migrations.apply(target, all)).toEqual(["m1", "m3"])
      expect(yield* Migrations.apply(target, all)).toEqual([])
      delete fails["text 2"]
      expect(yield* Migrations.apply(target, all)).toEqual(["m2"])
      expect(recorded).toEqual([1, 3, 2])
    }))

  it.effect("stop at one that is refused and not optional", () =>
    Effect.gen(function*() {
      const { recorded, target } = databaseThat({ "text 1": "Refused" })
      expect(yield* Effect.flip(Migrations.apply(target, all))).toBe("Refused")
      expect(recorded).toEqual([])
    }))

  it.effect("stop where the database is out of reach, also at an optional one", () =>
    Effect.gen(function*() {
      const { recorded, target } = databaseThat({ "text 2": "Away" })
      expect(yield* Effect.flip(Migrations.apply(target, all))).toBe("Away")
      expect(recorded).toEqual([1])
    }))
})
