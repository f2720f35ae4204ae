import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { readdir, readFile } from "node:fs/promises"

export type Dialect = "mysql" | "libsql"

/**
 * The last migration of each dialect that every program knows which can meet the schema. Those up to it are recorded
 * with their id.
 */
const BASE: Readonly<Record<Dialect, number>> = { mysql: 4, libsql: 3 }

/** One step of the schema, from `migrations/<dialect>/<id>_<name>.sql`, `….optional.sql` or `….contract.sql`. */
export interface Migration {
  /** 1, 2, 3, … without a gap. */
  readonly id: number
  readonly name: string
  /** One that the database refuses is passed over, and tried again whenever the schema is migrated. */
  readonly isOptional: boolean
  /**
   * It only adds: programs that do not know it run on the schema that has it. So are all later ones but those named
   * `contract`.
   */
  readonly expands: boolean
  readonly text: string
}

/**
 * The id under which a migration stands in `schema_migrations`: negative if it only adds. A program must know every
 * positive id, and need not know a negative one. That is also how programs read the table that know no negative ids
 * (docs/internals/decisions.md, "Expand and contract").
 */
export const recordedId = ({ expands, id }: Migration): number => expands ? -id : id

/** The schema cannot be brought to what this program needs; trying again does not help. */
export class SchemaUnfit extends Data.TaggedError("SchemaUnfit")<{ readonly message: string }> {}

/** What a dialect offers the runner, which holds the database's migration lock throughout. */
export interface MigrationTarget<E> {
  /** Runs a migration's text of several statements, then adds its row to `schema_migrations` under `recordedId`. */
  readonly run: (migration: Migration) => Effect.Effect<void, E>
  /** Ids in `schema_migrations`, which exists. */
  readonly recorded: Effect.Effect<ReadonlyArray<number>, E>
  /**
   * Why the database itself refused a text, such as a missing privilege; `undefined`: it did not, it is out of reach.
   */
  readonly refusal: (error: E) => string | undefined
}

/** Reads the migrations of a dialect. A missing or misnamed file is a broken installation, hence a defect. */
export const load = (dialect: Dialect): Effect.Effect<ReadonlyArray<Migration>> =>
  Effect.promise(async () => {
    const directory = new URL(`../../migrations/${dialect}/`, import.meta.url)
    const files = (await readdir(directory)).filter((file) => file.endsWith(".sql")).sort()
    return Promise.all(files.map(async (file, index) => {
      const [, digits, name, kind] = /^(\d{4})_(\w+?)(?:\.(optional|contract))?\.sql$/.exec(file) ?? []
      if (name === undefined || Number(digits) !== index + 1) {
        throw new Error(`migration ${index + 1} of ${dialect} is missing; found ${file}`)
      }
      return {
        id: index + 1,
        name,
        isOptional: kind === "optional",
        expands: index + 1 > BASE[dialect] && kind !== "contract",
        text: await readFile(new URL(file, directory), "utf8")
      }
    }))
  })

/** The migrations that are not recorded, in order. Fails if one is recorded that this program would have to know. */
export const missing = (
  recordedIds: ReadonlyArray<number>,
  migrations: ReadonlyArray<Migration>
): Effect.Effect<ReadonlyArray<Migration>, SchemaUnfit> =>
  Effect.gen(function*() {
    const needed = Math.max(0, ...recordedIds)
    if (needed > migrations.length) {
      return yield* new SchemaUnfit({
        message: `The database has migration ${needed}, but this program knows only ${migrations.length}: ` +
          "run a newer program."
      })
    }
    const newer = Math.max(0, ...recordedIds.map((id) => -id))
    if (newer > migrations.length) {
      yield* Effect.logInfo(
        `the schema is that of a newer program (migration ${newer}), ` +
          `which only added to what this one knows (${migrations.length})`
      )
    }
    const recorded = new Set(recordedIds.map(Math.abs))
    return migrations.filter(({ id }) => !recorded.has(id))
  })

/**
 * Applies what is missing, in order, and returns the names of what it applied. Not `@effect/sql`'s Migrator: on MySQL
 * every DDL statement commits implicitly, and with it the row in which Migrator records a migration *before* running
 * it, so that a crash half way would skip the rest of the migration for ever. Here a migration is recorded after it ran
 * and its statements bear being run again, so that a crash repeats it.
 */
export const apply = <E>(
  target: MigrationTarget<E>,
  migrations: ReadonlyArray<Migration>
): Effect.Effect<ReadonlyArray<string>, E | SchemaUnfit> =>
  Effect.gen(function*() {
    const done: Array<string> = []
    for (const migration of yield* missing(yield* target.recorded, migrations)) {
      const facts = Effect.annotateLogs({ migration: migration.id, name: migration.name })
      const refusal = yield* Effect.matchEffect(target.run(migration), {
        onSuccess: () => Effect.succeed(undefined),
        onFailure: (error) => {
          const reason = migration.isOptional ? target.refusal(error) : undefined
          return reason === undefined ? Effect.fail(error) : Effect.succeed(reason)
        }
      })
      if (refusal === undefined) {
        yield* facts(Effect.logInfo("migration applied"))
        done.push(migration.name)
      } else {
        yield* facts(Effect.logWarning(
          `an optional migration was refused, and the service does without it: ${refusal}`
        ))
      }
    }
    return done
  })
