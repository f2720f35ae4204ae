import { execFileSync } from "node:child_process"
import { randomUUID } from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"
import { databasePrograms, freePort, query, startDatabase, type DatabaseServer } from "../support/privateServers.ts"
import { eventually } from "./topologies.ts"

/** Why no group can be started here, or `undefined`: one can. */
export const groupMissing = (): string | undefined => {
  const program = databasePrograms().mysql
  if (program === undefined) return "no MySQL server here (mysqld on the PATH, or MYSQLD)"
  return pluginOf(program.command) === undefined ? "this MySQL has no plugin group_replication.so" : undefined
}

/** The directory of plugins, if the group's is among them. */
const pluginOf = (command: string): string | undefined => {
  const help = execFileSync(command, ["--no-defaults", "--verbose", "--help"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
    maxBuffer: 2 ** 26
  })
  const dir = /^plugin-dir\s+(\S+)/m.exec(help)?.[1]
  return dir !== undefined && Fs.existsSync(Path.join(dir, "group_replication.so")) ? dir : undefined
}

export interface Member {
  readonly server: DatabaseServer
  readonly uuid: string
}

/** Three MySQL servers in one group with a single primary; commits wait for a majority. */
export interface MySqlGroup {
  readonly members: ReadonlyArray<Member>
  /** For `MYSQL_URL`, with all hosts. */
  readonly url: (database: string) => string
  /** The member that is the primary by the word of a majority. */
  readonly primary: () => Promise<Member>
  /** Takes a member that was restarted or left into the group again, and waits until it is in step. */
  readonly join: (member: Member) => Promise<void>
  /** Whatever a member has executed, the primary has, too. */
  readonly isSubset: (member: Member) => Promise<boolean>
  readonly stop: () => Promise<void>
}

interface Row {
  readonly uuid: string
  readonly state: string
  readonly role: string
}

const MEMBERS = "SELECT member_id AS uuid, member_state AS state, member_role AS role " +
  "FROM performance_schema.replication_group_members"

export const startGroup = async (): Promise<MySqlGroup> => {
  const dir = temporaryDirectory("group")
  const servers: Array<DatabaseServer> = []
  const stop = async () => {
    // A paused server has to run again to receive SIGTERM.
    await Promise.all(servers.map((server) => server.stop()))
    removeDirectory(dir)
  }
  try {
    // As the servers of other tests, but not into the binary log: it is the group's.
    const init = Path.join(dir, "init.sql")
    Fs.writeFileSync(init, [
      "SET sql_log_bin = 0;",
      "CREATE DATABASE IF NOT EXISTS coupon;",
      "CREATE USER IF NOT EXISTS 'coupon'@'%' IDENTIFIED BY 'coupon';",
      "GRANT ALL ON *.* TO 'coupon'@'%';",
      ""
    ].join("\n"))
    const ports = [await freePort(), await freePort(), await freePort()]
    const name = randomUUID()
    const group = (option: string, value: string) => `--loose-group-replication-${option}=${value}`
    servers.push(...await Promise.all(ports.map((port, k) =>
      startDatabase("mysql", {
        args: [
          ...[`--init-file=${init}`, "--performance-schema=ON"],
          ...[`--server-id=${k + 1}`, "--log-bin=binlog", "--report-host=127.0.0.1"],
          ...["--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--plugin-load-add=group_replication.so"],
          ...[group("group-name", name), group("local-address", `127.0.0.1:${port}`)],
          group("ip-allowlist", "127.0.0.1/8"),
          group("group-seeds", ports.map((seed) => `127.0.0.1:${seed}`).join(",")),
          // Off: a member that is restarted takes writes until it joins again. The service must not be taken in.
          ...[group("start-on-boot", "OFF"), group("bootstrap-group", "OFF")],
          ...[group("consistency", "BEFORE_ON_PRIMARY_FAILOVER"), group("recovery-get-public-key", "ON")],
          ...[group("member-expel-timeout", "0"), group("unreachable-majority-timeout", "5")],
          group("exit-state-action", "READ_ONLY")
        ]
      }))))
    const members: ReadonlyArray<Member> = await Promise.all(servers.map(async (server) => ({
      server,
      uuid: String((await query(server.url, "SELECT @@server_uuid AS uuid"))[0]!["uuid"])
    })))
    const rows = async (member: Member) => await query(member.server.url, MEMBERS) as unknown as ReadonlyArray<Row>
    const isOnline = async (member: Member) =>
      (await rows(member)).some(({ state, uuid }) => uuid === member.uuid && state === "ONLINE")

    const join: MySqlGroup["join"] = async (member) => {
      await query(member.server.url, "STOP GROUP_REPLICATION").catch(() => {})
      await eventually(
        "a member that joins",
        () => query(member.server.url, "START GROUP_REPLICATION").then(() => true),
        (done) => done,
        60_000
      )
      await eventually("a member in step", () => isOnline(member), (online) => online, 60_000)
    }
    const primary: MySqlGroup["primary"] = async () => {
      for (const end = Date.now() + 60_000; Date.now() < end; await pause(50)) {
        for (const member of members) {
          const seen = await Promise.race([rows(member), pause(1_000, [] as ReadonlyArray<Row>)]).catch(
            (): ReadonlyArray<Row> => []
          )
          const online = seen.filter(({ state }) => state === "ONLINE")
          const self = online.find(({ uuid }) => uuid === member.uuid)
          if (self?.role === "PRIMARY" && 2 * online.length > seen.length) return member
        }
      }
      throw new Error("the group has no primary")
    }

    for (const { server } of members) {
      await query(
        server.url,
        "RESET BINARY LOGS AND GTIDS",
        "CHANGE REPLICATION SOURCE TO source_user = 'coupon', source_password = 'coupon' " +
          "FOR CHANNEL 'group_replication_recovery'"
      )
    }
    await query(
      servers[0]!.url,
      "SET GLOBAL group_replication_bootstrap_group = ON",
      "START GROUP_REPLICATION",
      "SET GLOBAL group_replication_bootstrap_group = OFF"
    )
    for (const member of members.slice(1)) await join(member)
    return {
      members,
      url: (database) =>
        `mysql://coupon:coupon@${servers.map(({ port }) => `127.0.0.1:${port}`).join(",")}/${database}`,
      primary,
      join,
      isSubset: async (member) => {
        const executed = async ({ server }: Member) =>
          String((await query(server.url, "SELECT @@global.gtid_executed AS gtids"))[0]!["gtids"])
        const has = await executed(member)
        const [row] = await query(
          (await primary()).server.url,
          `SELECT GTID_SUBSET('${has.replace(/\s/g, "")}', @@global.gtid_executed) AS held`
        )
        return Number(row!["held"]) === 1
      },
      stop
    }
  } catch (error) {
    await stop()
    throw error
  }
}
