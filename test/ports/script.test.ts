import { describe, expect, it } from "vitest"
import { named, script } from "../../src/sql/mysql/Script.ts"

describe("a script", () => {
  it("is one text, whose named results are found whatever stands before them", () => {
    const { results, text } = script(
      "SET @a = 1",
      named("rows", "SELECT @a AS a"),
      named("header", "DELETE FROM t"),
      "COMMIT"
    )
    expect(text).toBe("SET @a = 1;\nSELECT @a AS a;\nDELETE FROM t;\nCOMMIT")
    const { affectedRows, rows } = results([{ affectedRows: 0 }, [{ a: 1 }], { affectedRows: 3 }, { affectedRows: 0 }])
    expect(rows("rows")).toEqual([{ a: 1 }])
    expect(affectedRows("header")).toBe(3)
  })

  it("refuses a name that occurs twice, and results that are not one a statement", () => {
    expect(() => script(named("a", "SELECT 1"), named("a", "SELECT 2"))).toThrow("two statements are named a")
    expect(() => script("SELECT 1", "SELECT 2").results([[]])).toThrow("2 statements has 1 results")
  })
})
