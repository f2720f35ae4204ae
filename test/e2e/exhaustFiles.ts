import * as Fs from "node:fs"

// Loaded into the service by --import: SIGUSR2 takes every file descriptor that the process may still have, or gives
// them back.
const held: Array<number> = []

process.on("SIGUSR2", () => {
  if (held.length > 0) {
    for (const fd of held.splice(0)) Fs.closeSync(fd)
    Fs.writeSync(1, "file descriptors given back\n")
    return
  }
  try {
    for (;;) held.push(Fs.openSync("/dev/null", "r"))
  } catch (error) {
    Fs.writeSync(1, `file descriptors exhausted: ${(error as NodeJS.ErrnoException).code}\n`)
  }
})
