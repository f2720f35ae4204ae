import type { Row } from "../Rows.ts"

/** A statement whose result is read by its name. */
export interface NamedStatement<Name extends string> {
  readonly name: Name
  readonly sql: string
}

/** Names a statement of a script, so that its result can be read. */
export const named = <const Name extends string>(name: Name, sql: string): NamedStatement<Name> => ({ name, sql })

/** Several statements that are sent as one text, and what the named ones of them returned. */
export interface Script<Name extends string> {
  readonly text: string
  /** The named results of this text, given what the driver returned for it. */
  readonly results: (all: ReadonlyArray<unknown>) => Results<Name>
}

export interface Results<Name extends string> {
  /** The rows of a statement that returns rows. */
  readonly rows: (name: Name) => ReadonlyArray<Row>
  /** How many rows a statement has changed. */
  readonly affectedRows: (name: Name) => number
}

/**
 * A script of these statements, one a string, without semicolons at their ends: the driver returns one result a
 * statement, in their order. Throws if a name occurs twice.
 */
export const script = <Name extends string = never>(
  ...statements: ReadonlyArray<string | NamedStatement<Name>>
): Script<Name> => {
  const positions = new Map<string, number>()
  let text = ""
  statements.forEach((statement, position) => {
    if (typeof statement !== "string") {
      if (positions.has(statement.name)) throw new Error(`two statements are named ${statement.name}`)
      positions.set(statement.name, position)
    }
    text += `${position === 0 ? "" : ";\n"}${typeof statement === "string" ? statement : statement.sql}`
  })
  return {
    text,
    results: (all) => {
      if (all.length !== statements.length) {
        throw new Error(`a script of ${statements.length} statements has ${all.length} results`)
      }
      const of = (name: Name) => all[positions.get(name)!]
      return {
        rows: (name) => of(name) as ReadonlyArray<Row>,
        affectedRows: (name) => (of(name) as { readonly affectedRows: number }).affectedRows
      }
    }
  }
}
