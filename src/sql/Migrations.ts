import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { readdir, readFile } from "node:fs/promises"

/** One step of the schema, from `migrations/<dialect>/<id>_<name>.sql` or, if the program can do without, `….optional.sql`. */
export interface Migration {
  /** 1, 2, 3, … without a gap. */
  readonly id: number
  readonly name: string
  /** One that the database refuses is passed over, and tried again whenever the schema is migrated. */
  readonly isOptional: boolean
  readonly text: string
}

/** The schema cannot be brought to what this program needs; trying again does not help. */
export class MigrationRefused extends Data.TaggedError("MigrationRefused")<{ readonly message: string }> {}

/** What a dialect offers the runner, which holds the database's migration lock throughout. */
export interface MigrationTarget<E> {
  /** Runs a text of several statements. */
  readonly run: (text: string) => Effect.Effect<void, E>
  /** Ids in `schema_migrations`, which exists. */
  readonly applied: Effect.Effect<ReadonlyArray<number>, E>
  /** Adds a row to `schema_migrations`. */
  readonly record: (migration: Migration) => Effect.Effect<void, E>
  /** Why the database itself refused a text, such as a missing privilege; `undefined`: it did not, it is out of reach. */
  readonly refusal: (error: E) => string | undefined
}

/** Reads the migrations of a dialect. A missing or misnamed file is a broken installation, hence a defect. */
export const load = (dialect: "mysql" | "libsql"): Effect.Effect<ReadonlyArray<Migration>> =>
  Effect.promise(async () => {
    const directory = new URL(`../../migrations/${dialect}/`, import.meta.url)
    const files = (await readdir(directory)).filter((file) => file.endsWith(".sql")).sort()
    return Promise.all(files.map(async (file, index) => {
      const [, digits, name, optional] = /^(\d{4})_(\w+?)(\.optional)?\.sql$/.exec(file) ?? []
      if (name === undefined || Number(digits) !== index + 1) throw new Error(`migration ${index + 1} of ${dialect} is missing; found ${file}`)
      return { id: index + 1, name, isOptional: optional !== undefined, text: await readFile(new URL(file, directory), "utf8") }
    }))
  })

/** The migrations that are not among the applied ones, in order. */
export const missing = (
  appliedIds: ReadonlyArray<number>,
  migrations: ReadonlyArray<Migration>
): Effect.Effect<ReadonlyArray<Migration>, MigrationRefused> => {
  const newest = Math.max(0, ...appliedIds)
  return newest > migrations.length
    ? new MigrationRefused({
      message: `The database has migration ${newest}, but this program knows only ${migrations.length}: run a newer program.`
    })
    : Effect.succeed(migrations.filter(({ id }) => !appliedIds.includes(id)))
}

/**
 * Applies what is missing, in order, and returns the names of what it applied. Not `@effect/sql`'s Migrator: on MySQL
 * every DDL statement commits implicitly, and with it the row in which Migrator records a migration *before* running it,
 * so that a crash half way would skip the rest of the migration for ever. Here a migration is recorded after it ran and
 * its statements bear being run again, so that a crash repeats it.
 */
export const apply = <E>(
  target: MigrationTarget<E>,
  migrations: ReadonlyArray<Migration>
): Effect.Effect<ReadonlyArray<string>, E | MigrationRefused> =>
  Effect.gen(function*() {
    const done: Array<string> = []
    for (const migration of yield* missing(yield* target.applied, migrations)) {
      const facts = Effect.annotateLogs({ migration: migration.id, name: migration.name })
      const refusal = yield* Effect.matchEffect(target.run(migration.text), {
        onSuccess: () => Effect.succeed(undefined),
        onFailure: (error) => {
          const reason = migration.isOptional ? target.refusal(error) : undefined
          return reason === undefined ? Effect.fail(error) : Effect.succeed(reason)
        }
      })
      if (refusal === undefined) {
        yield* target.record(migration)
        yield* facts(Effect.logInfo("migration applied"))
        done.push(migration.name)
      } else {
        yield* facts(Effect.logWarning(`an optional migration was refused, and the service does without it: ${refusal}`))
      }
    }
    return done
  })
