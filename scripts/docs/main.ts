// npm run docs [-- --port N]: serves the documents on loopback, and follows changes of the files.
// npm run docs:build: builds them to dist/docs; a link that leads nowhere fails it.
// npm run docs:sync: gives Korean pages the commands and outputs of the English ones, block by block.
import { existsSync, watch, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { build, createServer } from "vitepress"
import { koreanOf, read, root, translatable } from "./Pages.ts"
import { stage, stagedRoot } from "./Stage.ts"
import { withBlocksOf } from "./Structure.ts"

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { port: { type: "string", default: "5173" } }
})

const serve = async () => {
  stage({ fresh: true })
  let pending: NodeJS.Timeout | undefined
  const again = () => {
    clearTimeout(pending)
    pending = setTimeout(() => {
      try {
        stage({ fresh: false })
      } catch (error) {
        console.error((error as Error).message)
      }
    }, 100)
  }
  for (const file of ["docs", "README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"]) {
    watch(join(root, file), { recursive: file === "docs" }, again)
  }
  const server = await createServer(stagedRoot, { host: "127.0.0.1", port: Number(values.port) })
  await server.listen()
  server.printUrls()
}

const sync = () => {
  for (const file of translatable()) {
    const korean = koreanOf(file)
    if (!existsSync(join(root, korean))) continue
    try {
      const synced = withBlocksOf(read(file), read(korean))
      if (synced === read(korean)) continue
      writeFileSync(join(root, korean), synced)
      console.log(`${korean}: blocks of ${file}`)
    } catch (error) {
      console.error(`${korean}: ${(error as Error).message}`)
      process.exitCode = 1
    }
  }
}

const [command] = positionals
if (command === "build") {
  console.log(`${stage({ fresh: true }).length} pages`)
  await build(stagedRoot)
} else if (command === "serve") await serve()
else if (command === "sync") sync()
else {
  console.error("npm run docs [-- --port N], npm run docs:build, or npm run docs:sync")
  process.exitCode = 1
}
