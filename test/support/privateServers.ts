import { execFileSync, type ChildProcess } from "node:child_process"
import { randomInt } from "node:crypto"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import * as MySql from "mysql2/promise"
import { removeDirectory, spawnGuarded, temporaryDirectory } from "./guardian.ts"
import { onceARun } from "./onceARun.ts"

/** The two servers that the MySQL ledger is tested on. */
export type DatabaseKind = "mysql" | "mariadb"

/**
 * A server that belongs to one test: on loopback, in a temporary directory, ended with the test process at the latest.
 */
export interface PrivateServer {
  readonly url: string
  readonly port: number
  /** Of the running process: another one after `restart`. */
  readonly pid: number
  /** Ends it in good order and removes its directory. Safe to repeat, also after `kill`. */
  readonly stop: () => Promise<void>
  /** SIGKILL; resolves when the process is gone. The data stay for `restart`. */
  readonly kill: () => Promise<void>
  /** Starts it again on the same port and data (killing it first if it still runs); resolves when it serves. */
  readonly restart: () => Promise<void>
  /** SIGSTOP: connections stay open and receive nothing. */
  readonly pause: () => void
  /** SIGCONT. */
  readonly resume: () => void
}

export interface RedisServer extends PrivateServer {
  readonly flushAll: () => Promise<void>
  /** Writes a snapshot that the next `restart` loads; without one it starts empty. */
  readonly save: () => Promise<void>
  /** Sends one command given as words; resolves with the first line of the reply, rejects on an error reply. */
  readonly command: (...words: ReadonlyArray<string>) => Promise<string>
}

export type DatabaseServer = PrivateServer

// Below the ports that a system gives to outgoing connections (from 32,768 on Linux): one of those may be taken by any
// connection of any process between the question and a server's start, or while a server that was killed is down.
const FIRST_PORT = 10_240
const LAST_PORT = 32_767
const given = new Set<number>()

/**
 * A loopback port that was free a moment ago; never one that a system's own MySQL or Redis would use, nor an outgoing
 * connection, and never the same twice.
 */
export const freePort = async (): Promise<number> => {
  for (;;) {
    const port = randomInt(FIRST_PORT, LAST_PORT + 1)
    const free = await new Promise<boolean>((resolve, reject) => {
      const server = Net.createServer()
      server.once("error", (error: NodeJS.ErrnoException) => {
        if (error.code === "EADDRINUSE") resolve(false)
        else reject(error)
      })
      server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)))
    })
    if (free && !given.has(port)) {
      given.add(port)
      return port
    }
  }
}

const STARTUP_MILLIS = 60_000

/** What ran a private server last, so that `stop`, `kill` and `restart` are the same for every kind. */
const supervise = async (kind: string, dir: string, launch: {
  readonly command: string
  readonly args: (port: number) => ReadonlyArray<string>
  /** Resolves if the server answers, rejects otherwise. */
  readonly probe: (port: number) => Promise<unknown>
  /** Receives what it prints. */
  readonly log?: ((text: string) => void) | undefined
}): Promise<Omit<PrivateServer, "url">> => {
  interface Running {
    readonly child: ChildProcess
    readonly pid: number
    readonly gone: Promise<void>
    log: string
  }
  let running: Running | undefined

  const start = async (port: number): Promise<void> => {
    const child = spawnGuarded(launch.command, launch.args(port), { cwd: dir })
    let failure: Error | undefined
    child.once("error", (error) => {
      failure = error
    })
    const current = {
      child,
      pid: child.pid ?? -1,
      gone: new Promise<void>((resolve) => {
        child.once("exit", () => resolve())
        child.once("error", () => resolve())
      }),
      log: ""
    }
    const keep = (chunk: Buffer) => {
      const text = chunk.toString()
      current.log = (current.log + text).slice(-8_000)
      launch.log?.(text)
    }
    child.stdout?.on("data", keep)
    child.stderr?.on("data", keep)
    running = current
    const end = Date.now() + STARTUP_MILLIS
    for (;;) {
      const ended = failure !== undefined || child.exitCode !== null || child.signalCode !== null
      if (ended || Date.now() > end) {
        child.kill("SIGKILL")
        await current.gone
        running = undefined
        throw new Error(
          `${kind} ${ended ? "ended while starting" : `did not answer within ${STARTUP_MILLIS / 1_000} s`}` +
            `${failure === undefined ? "" : `: ${failure.message}`}\n${current.log}`
        )
      }
      // The answer must come from our child, not from a stranger that took the port: a child that lost the port has
      // ended.
      const answered = await launch.probe(port).then(() => true, () => false)
      if (answered && child.exitCode === null && child.signalCode === null) return
      await delay(20)
    }
  }

  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (running === undefined) return
    const { child, gone } = running
    child.kill("SIGCONT")
    child.kill(signal)
    if (signal !== "SIGKILL") {
      const patience = new AbortController()
      const late = delay(20_000, undefined, { signal: patience.signal }).then(() => child.kill("SIGKILL"), () => {})
      await gone
      patience.abort()
      await late
    }
    await gone
    running = undefined
  }

  let port = await freePort()
  // Another process may take the port between the question and the start.
  for (let attempt = 1;; attempt++) {
    try {
      await start(port)
      break
    } catch (error) {
      if (attempt === 3 || !/in use/i.test(String(error))) {
        removeDirectory(dir)
        throw error
      }
      port = await freePort()
    }
  }

  const alive = () => {
    if (running === undefined) throw new Error(`the private ${kind} server is not running`)
    return running
  }
  return {
    port,
    get pid() {
      return alive().pid
    },
    stop: async () => {
      await end("SIGTERM")
      removeDirectory(dir)
    },
    kill: () => end("SIGKILL"),
    restart: async () => {
      await end("SIGKILL")
      await start(port)
    },
    pause: () => {
      alive().child.kill("SIGSTOP")
    },
    resume: () => {
      alive().child.kill("SIGCONT")
    }
  }
}

// --- Redis

const redisCommand = (port: number, words: ReadonlyArray<string>): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = Net.connect(port, "127.0.0.1")
    let reply = ""
    socket.setTimeout(10_000, () => socket.destroy(new Error("redis-server did not answer within 10 s")))
    socket.once("connect", () => {
      socket.write(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`)
    })
    socket.on("data", (chunk) => {
      reply += chunk.toString()
      const line = /^([^\r]*)\r\n/.exec(reply)?.[1]
      if (line === undefined) return
      socket.destroy()
      if (line.startsWith("-")) reject(new Error(line.slice(1)))
      else resolve(line)
    })
    socket.once("error", reject)
    socket.once("close", () => reject(new Error("redis-server closed the connection")))
  })

/** Starts a `redis-server` of its own; nothing is persisted unless `args` or `save` say so. */
export const startRedis = async (options: { readonly args?: ReadonlyArray<string> } = {}): Promise<RedisServer> => {
  const dir = temporaryDirectory("redis")
  const server = await supervise("redis-server", dir, {
    command: "redis-server",
    args: (port) => [
      ...["--port", String(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no"],
      ...["--enable-debug-command", "yes", ...options.args ?? []]
    ],
    probe: async (port) => {
      const reply = await redisCommand(port, ["PING"])
      if (reply !== "+PONG") throw new Error(reply)
    }
  })
  const command = (...words: ReadonlyArray<string>) => redisCommand(server.port, words)
  return Object.defineProperties({
    url: `redis://127.0.0.1:${server.port}`,
    command,
    flushAll: async () => {
      await command("FLUSHALL", "SYNC")
    },
    save: async () => {
      await command("SAVE")
    }
  }, Object.getOwnPropertyDescriptors(server)) as RedisServer
}

/** What a sentinel watches: as soon as two of them agree that it is gone, they promote one of its replicas. */
export interface SentinelTarget {
  readonly name: string
  readonly port: number
  /** Silence after which it counts as gone, in milliseconds. */
  readonly downAfterMillis: number
}

/** Starts a sentinel of its own. */
export const startSentinel = async (target: SentinelTarget): Promise<RedisServer> => {
  const dir = temporaryDirectory("sentinel")
  const config = Path.join(dir, "sentinel.conf")
  const server = await supervise("sentinel", dir, {
    command: "redis-server",
    args: (port) => {
      // It rewrites the file, and must find there what it wrote when it is started again.
      if (!Fs.existsSync(config)) {
        Fs.writeFileSync(config, [
          `port ${port}`,
          "bind 127.0.0.1",
          `dir ${dir}`,
          `sentinel monitor ${target.name} 127.0.0.1 ${target.port} 2`,
          `sentinel down-after-milliseconds ${target.name} ${target.downAfterMillis}`,
          `sentinel failover-timeout ${target.name} ${4 * target.downAfterMillis}`,
          ""
        ].join("\n"))
      }
      return [config, "--sentinel"]
    },
    probe: async (port) => {
      const reply = await redisCommand(port, ["PING"])
      if (reply !== "+PONG") throw new Error(reply)
    }
  })
  const command = (...words: ReadonlyArray<string>) => redisCommand(server.port, words)
  return Object.defineProperties({
    url: `redis://127.0.0.1:${server.port}`,
    command,
    flushAll: async () => {},
    save: async () => {}
  }, Object.getOwnPropertyDescriptors(server)) as RedisServer
}

// --- MySQL and MariaDB

/**
 * The server program of each kind on this machine. Debian's MariaDB installs a `mysqld` that is MariaDB, so a name
 * proves nothing and the program is asked. `MYSQLD` names a MySQL that is not on the PATH.
 */
export const databasePrograms = (): Readonly<
  Partial<Record<DatabaseKind, { readonly command: string; readonly version: string }>>
> => {
  const found: Partial<Record<DatabaseKind, { command: string; version: string }>> = {}
  for (const command of [process.env["MYSQLD"], "mysqld", "mariadbd", "/usr/sbin/mysqld", "/usr/sbin/mariadbd"]) {
    if (command === undefined || command === "") continue
    try {
      const text = execFileSync(command, ["--no-defaults", "--version"], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"]
      })
      const kind = /mariadb/i.test(text) ? "mariadb" : "mysql"
      found[kind] ??= { command, version: /Ver (\d+\.\d+)/.exec(text)?.[1] ?? "?" }
    } catch {
      // Not on this machine.
    }
  }
  return found
}

/** The kinds that `startDatabase` can start here. */
export const privateDatabases = (): ReadonlyArray<DatabaseKind> =>
  Object.keys(databasePrograms()).sort() as Array<DatabaseKind>

const asRoot = process.getuid?.() === 0 ? ["--user=root"] : []

/** Creates a data directory, `dir`/data, with nothing of the tests in it. */
const createData = (kind: DatabaseKind, command: string, dir: string): void => {
  const data = Path.join(dir, "data")
  // A starting server removes temporary tables that it finds, also those of another server that starts in the same
  // /tmp.
  const tmpdir = `--tmpdir=${dir}`
  const [program, args] = kind === "mysql"
    ? [command, [
      "--no-defaults", "--initialize-insecure", "--secure-file-priv=NULL", `--datadir=${data}`, tmpdir,
      "--innodb-redo-log-capacity=64M", ...asRoot
    ]]
    : ["mariadb-install-db", [
      ...["--no-defaults", `--datadir=${data}`, tmpdir, "--skip-test-db", "--auth-root-authentication-method=normal"],
      ...["--innodb-log-file-size=32M", ...asRoot]
    ]]
  try {
    execFileSync(program, args, { stdio: ["ignore", "pipe", "pipe"], encoding: "utf8" })
  } catch (error) {
    const { stdout, stderr } = error as { readonly stdout?: string; readonly stderr?: string }
    throw new Error(`${program} could not create a data directory\n${stdout ?? ""}${stderr ?? ""}`, { cause: error })
  }
  // Each server has an identity of its own, which it makes at its first start.
  Fs.rmSync(Path.join(data, "auto.cnf"), { force: true })
}

/** A copy of the data directory that the first server of a kind in this run began with: creating one takes seconds. */
const initialise = async (kind: DatabaseKind, command: string, dir: string): Promise<void> => {
  const template = await onceARun(`data-${kind}`, (made) => createData(kind, command, made))
  if (template === undefined) createData(kind, command, dir)
  else {
    const mode = Fs.constants.COPYFILE_FICLONE
    await Fs.promises.cp(Path.join(template, "data"), Path.join(dir, "data"), { recursive: true, mode })
  }
  Fs.writeFileSync(
    Path.join(dir, "init.sql"),
    "CREATE DATABASE IF NOT EXISTS coupon;\n" +
      "CREATE USER IF NOT EXISTS 'coupon'@'%' IDENTIFIED BY 'coupon';\n" +
      "GRANT ALL ON *.* TO 'coupon'@'%' WITH GRANT OPTION;\n"
  )
}

/**
 * Starts a database server of its own with an empty database `coupon`. Durability is the server's default (every commit
 * is flushed), so that `kill` and `restart` prove something; only buffers are smaller.
 */
export const startDatabase = async (
  kind: DatabaseKind,
  options: { readonly args?: ReadonlyArray<string>; readonly log?: (text: string) => void } = {}
): Promise<DatabaseServer> => {
  const program = databasePrograms()[kind]
  if (program === undefined) {
    throw new Error(`no ${kind} server program on this machine; there is: ${privateDatabases().join(", ") || "none"}`)
  }
  const dir = temporaryDirectory(kind)
  try {
    await initialise(kind, program.command, dir)
  } catch (error) {
    removeDirectory(dir)
    throw error
  }
  const address = (port: number) => `mysql://coupon:coupon@127.0.0.1:${port}/coupon`
  const server = await supervise(kind, dir, {
    command: program.command,
    log: options.log,
    args: (port) => [
      ...[
        "--no-defaults", `--datadir=${Path.join(dir, "data")}`, `--tmpdir=${dir}`, `--port=${port}`,
        "--bind-address=127.0.0.1"
      ],
      ...[
        `--socket=${Path.join(dir, "s.sock")}`,
        `--pid-file=${Path.join(dir, "pid")}`,
        `--init-file=${Path.join(dir, "init.sql")}`
      ],
      ...[
        "--skip-name-resolve", "--max-connections=300", "--performance-schema=OFF", "--innodb-buffer-pool-size=64M",
        ...asRoot
      ],
      ...kind === "mysql"
        ? ["--mysqlx=OFF", "--secure-file-priv=NULL", "--innodb-redo-log-capacity=64M"]
        : ["--innodb-log-file-size=32M"],
      ...options.args ?? []
    ],
    probe: async (port) => {
      const connection = await MySql.createConnection({ uri: address(port), connectTimeout: 5_000 })
      connection.destroy()
    }
  })
  return Object.defineProperties(
    { url: address(server.port) },
    Object.getOwnPropertyDescriptors(server)
  ) as DatabaseServer
}

/** Runs statements on a server, each on its own, and returns the rows of the last. */
export const query = async (
  url: string,
  ...statements: ReadonlyArray<string>
): Promise<ReadonlyArray<Record<string, unknown>>> => {
  const connection = await MySql.createConnection({ uri: url, connectTimeout: 10_000 })
  try {
    let rows: unknown = []
    for (const statement of statements) [rows] = await connection.query(statement)
    return Array.isArray(rows) ? rows : []
  } finally {
    connection.destroy()
  }
}

/**
 * The name of a campaign's key in Redis, by the ledger of its deployment. `part`: m, i, p or e
 * (docs/internals/protocol.md, "The gate").
 */
export const gateKey = async (databaseUrl: string, campaignId: number | string, part: string): Promise<string> => {
  const [row] = await query(databaseUrl, "SELECT redis_key_prefix AS prefix FROM deployment")
  return `${String(row!["prefix"])}{c${campaignId}}:${part}`
}
