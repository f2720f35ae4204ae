import { createHash } from "node:crypto"
import { once } from "node:events"
import { createReadStream } from "node:fs"
import * as Os from "node:os"
import { pathToFileURL } from "node:url"
import { createClient } from "@libsql/client"

// node snapshot.ts TARGET [SOURCE]: copies the libSQL file SOURCE, if given, to TARGET, as it is at one moment. Then
// checks TARGET and prints {"bytes":…,"sha256":…}. This is a process of its own because the engine copies in one
// call: it would delay the service's claims, and only the end of the process stops it. The engine's file locks work
// between processes.

const [target, source] = process.argv.slice(2)
const open = (file: string) => createClient({ url: pathToFileURL(file).href })

try {
  // The service's claims have priority.
  Os.setPriority(Os.constants.priority.PRIORITY_BELOW_NORMAL)
  if (source !== undefined) {
    const from = open(source)
    await from.execute("PRAGMA busy_timeout = 5000")
    await from.execute({ sql: "VACUUM INTO ?", args: [target!] })
    from.close()
  }
  const copy = open(target!)
  const { rows } = await copy.execute("PRAGMA quick_check")
  copy.close()
  const verdict = String(rows[0]?.["quick_check"])
  if (verdict !== "ok") throw new Error(`the copy is damaged: ${verdict}`)
  const hash = createHash("sha256")
  let bytes = 0
  const stream = createReadStream(target!).on("data", (chunk) => {
    hash.update(chunk)
    bytes += chunk.length
  })
  await once(stream, "end")
  console.log(JSON.stringify({ bytes, sha256: hash.digest("hex") }))
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}
