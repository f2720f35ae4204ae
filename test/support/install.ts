import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"

/** Shows what goes on before the first test, which may take a while on a machine that lacks a server. */
export const say = (text: string): void => {
  process.stdout.write(`${text}\n`)
}

/** Whether `install` may work here: as root, with apt-get. */
export const installable = (): boolean =>
  process.getuid?.() === 0 && spawnSync("apt-get", ["--version"], { stdio: "ignore" }).status === 0

/**
 * Installs server programs without starting any service: Debian starts what it installs, on the standard ports, unless
 * a policy says no. A policy that is already there is the machine's own and stays.
 */
export const install = (packages: ReadonlyArray<string>): void => {
  const policy = "/usr/sbin/policy-rc.d"
  const ours = !Fs.existsSync(policy)
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" }
  const apt = (...args: ReadonlyArray<string>) => {
    const { status, error } = spawnSync("apt-get", ["-q", "-o", "DPkg::Lock::Timeout=300", ...args], {
      env,
      stdio: ["ignore", "inherit", "inherit"]
    })
    if (status !== 0) {
      throw new Error(`apt-get ${args.join(" ")} failed${error === undefined ? "" : `: ${error.message}`}`)
    }
  }
  if (ours) Fs.writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755, flag: "wx" })
  try {
    say(`installing ${packages.join(", ")} for the tests (apt-get)`)
    apt("update")
    apt("install", "-y", "--no-install-recommends", ...packages)
  } finally {
    if (ours) Fs.rmSync(policy, { force: true })
  }
}
