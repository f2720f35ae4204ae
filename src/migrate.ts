import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as AppConfig from "./config/AppConfig.ts"
import * as Backend from "./Backend.ts"
import * as MainProgram from "./MainProgram.ts"
import * as Redaction from "./config/Redaction.ts"
import * as SourceFrames from "./SourceFrames.ts"

const usage = `Brings the schema up to date and ends; for deployments whose service may not do so itself.

  npm run migrate        exit code 0: the schema is current, 2: it is not

It reads MYSQL_MIGRATION_URL, or else MYSQL_URL. The embedded stores need no such run: the service migrates them itself.
`

const program = Effect.gen(function*() {
  const applied = yield* Backend.migrate
  const message = applied.length === 0 ? "the schema is current" : `applied ${applied.join(", ")}`
  yield* Effect.sync(() => console.log(message))
}).pipe(
  Effect.provide(AppConfig.layer("works")),
  Effect.catchAllCause((cause) =>
    Effect.sync(() => {
      const text = Cause.isFailType(cause) ? cause.error.message : SourceFrames.readable(Cause.pretty(cause))
      console.error(Redaction.text(text))
      process.exitCode = 2
    })
  )
)

const args = process.argv.slice(2)
if (args.length > 0) {
  console.log(usage)
  if (!args.every((arg) => arg === "--help" || arg === "-h")) process.exitCode = 2
} else MainProgram.run(program, { disableErrorReporting: true, teardown: MainProgram.unfinished })
