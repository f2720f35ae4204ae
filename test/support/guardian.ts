import { spawn, type ChildProcess } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"

/**
 * Whatever a test process starts must not outlive it, not even when it is killed with SIGKILL, where no exit handler
 * runs. So a small shell stands by in a session of its own and reads a pipe that only the test process holds open: each
 * line tells it what to guard or to forget, and at the end of the pipe it kills and removes what is left.
 */
const SCRIPT = `
trap '' INT TERM HUP
declare -A groups dirs
while IFS=' ' read -r verb what; do
  case $verb in
    group) groups[$what]=1 ;;
    ended) unset "groups[$what]" ;;
    dir) dirs[$what]=1 ;;
    removed) unset "dirs[$what]" ;;
  esac
done
for group in "\${!groups[@]}"; do kill -KILL -- "-$group" 2>/dev/null; done
for dir in "\${!dirs[@]}"; do rm -rf -- "$dir" || { sleep 1; rm -rf -- "$dir"; }; done
`

let guardian: ChildProcess | undefined

const tell = (line: string): void => {
  if (guardian === undefined) {
    guardian = spawn("bash", ["-c", SCRIPT], { stdio: ["pipe", "ignore", "ignore"], detached: true })
    guardian.unref()
    const pipe = guardian.stdin as unknown as { unref?: () => void }
    pipe.unref?.()
  }
  guardian.stdin?.write(`${line}\n`)
}

/** Starts a program as the leader of a process group that ends with this process at the latest. */
export const spawnGuarded = (
  command: string,
  args: ReadonlyArray<string>,
  options: { readonly env?: NodeJS.ProcessEnv; readonly cwd?: string } = {}
): ChildProcess => {
  const child = spawn(command, args, { ...options, detached: true, stdio: ["ignore", "pipe", "pipe"] })
  const { pid } = child
  if (pid !== undefined) {
    tell(`group ${pid}`)
    child.once("exit", () => tell(`ended ${pid}`))
  }
  return child
}

/** A directory for this process alone, removed with it at the latest. */
export const temporaryDirectory = (name: string): string => {
  const dir = Fs.mkdtempSync(Path.join(Os.tmpdir(), `coupon-${name}-`))
  tell(`dir ${dir}`)
  return dir
}

export const removeDirectory = (dir: string): void => {
  Fs.rmSync(dir, { recursive: true, force: true, maxRetries: 3 })
  tell(`removed ${dir}`)
}
