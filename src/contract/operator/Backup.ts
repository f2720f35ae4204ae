import * as Schema from "effect/Schema"
import { Count } from "./Fields.ts"

/**
 * A backup. Embedded: `Copying`, then `Snapshot`, the file in `Chunk`s and `Done`. MySQL: only `Elsewhere`, because the
 * database makes it.
 */
export const BackupEvent = Schema.Union(
  Schema.TaggedStruct("Copying", { bytes: Count, of: Count }),
  /** What follows: so many bytes, with this hash in hexadecimal digits. */
  Schema.TaggedStruct("Snapshot", { bytes: Count, sha256: Schema.String }),
  Schema.TaggedStruct("Chunk", { base64: Schema.String }),
  Schema.TaggedStruct("Done", {}),
  Schema.TaggedStruct("Elsewhere", {
    /** The database server, its version, and where it is. */
    server: Schema.String,
    /** For a shell; standard output is the backup. */
    command: Schema.String,
    notes: Schema.Array(Schema.String)
  })
)
