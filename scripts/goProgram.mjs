import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

/** Where programs that were built stay. */
export const bin = fileURLToPath(new URL("../.cache/bin", import.meta.url))

/**
 * A program from the PATH or .cache/bin, otherwise built with Go from `source`, a package with its version. Ends the
 * process if there is none. `ask`: arguments with which it ends well at once. `releases`: where it can be had as well.
 */
export const goProgram = ({ ask, name, releases, source }) => {
  const works = (command, args) => spawnSync(command, args, { stdio: "ignore" }).status === 0
  const find = () => [name, join(bin, name)].find((one) => works(one, ask))
  let program = find()
  if (program === undefined && works("go", ["version"])) {
    console.error(`building ${name} with Go, once, which may take a minute or two (go install ${source})`)
    // Elsewhere: a go.mod of the checkout's would decide about versions.
    spawnSync("go", ["install", source], { cwd: "/", stdio: "inherit", env: { ...process.env, GOBIN: bin } })
    program = find()
  }
  if (program === undefined) {
    console.error(
      `${name} is not on the PATH and could not be built. Install Go, then run this again; or:\ngo install ${source}` +
        (releases === undefined ? "" : `\nor take a release from ${releases}`)
    )
    process.exit(1)
  }
  return program
}
