import type { LoadGenerator } from "../e2e/load.ts"
import type { Node, Rig } from "./Rig.ts"

/** What a directed scenario works with: two instances, each behind proxies, on stores that are empty. */
export interface Stage {
  readonly rig: Rig
  readonly load: LoadGenerator
  readonly a: Node
  readonly b: Node
}

/** A short run in which one particular mistake must show. */
export interface Scenario {
  readonly what: string
  readonly env?: Readonly<Record<string, string>>
  /** What the instances load before the program, besides the mutant. */
  readonly preload?: ReadonlyArray<string>
  /** Statements that the database is prepared with, once the schema is there. */
  readonly prepare?: ReadonlyArray<string>
  /** Resolves with violations that only show meanwhile; the final verdict comes after. */
  readonly play: (stage: Stage) => Promise<ReadonlyArray<string> | void>
}
