import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import * as Servers from "./servers.ts"

describe("servers of a test run", () => {
  it("does not show the environment's servers to what a test starts", () => {
    expect([process.env["MYSQL_URL"], process.env["MARIADB_URL"], process.env["REDIS_URL"]]).toEqual([
      undefined,
      undefined,
      undefined
    ])
  })

  it("chooses each port once, and none that the system gives to outgoing connections", async () => {
    const ports = await Promise.all(Array.from({ length: 100 }, Servers.freePort))
    expect(new Set(ports).size).toBe(ports.length)
    const firstOutgoing = Number(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").split("\t")[0])
    expect(Math.max(...ports)).toBeLessThan(firstOutgoing)
  })

  for (const kind of Servers.availableDatabases()) {
    it(`gives each test a database of its own on ${kind}`, async () => {
      const [one, other] = [await Servers.databaseOn(kind), await Servers.databaseOn(kind)]
      await Servers.query(one.url, "CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1)")
      await expect(Servers.query(other.url, "SELECT * FROM t")).rejects.toThrow(/exist/)
      await one.drop()
      await expect(Servers.query(one.url, "SELECT 1")).rejects.toThrow(/Unknown database/)
      await other.drop()
    })
  }

  for (const kind of Servers.privateDatabases()) {
    it(`keeps what a private ${kind} committed when it is killed`, async () => {
      const server = await Servers.startDatabase(kind)
      const { pid } = server
      await Servers.query(server.url, "CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1)")
      await server.kill()
      await expect(Servers.query(server.url, "SELECT 1")).rejects.toThrow()
      await server.restart()
      expect(server.pid).not.toBe(pid)
      expect(await Servers.query(server.url, "SELECT a FROM t")).toEqual([{ a: 1 }])
      await server.stop()
    })
  }

  it("restarts a private Redis empty, unless it was saved", async () => {
    const server = await Servers.startRedis()
    await server.command("SET", "a", "1")
    await server.restart()
    expect(await server.command("EXISTS", "a")).toBe(":0")
    await server.command("SET", "a", "1")
    await server.save()
    await server.kill()
    await server.restart()
    expect(await server.command("EXISTS", "a")).toBe(":1")
    await server.flushAll()
    expect(await server.command("EXISTS", "a")).toBe(":0")
    await server.stop()
  })

  it("pauses a private Redis, which then answers nothing, and resumes it", async () => {
    const server = await Servers.startRedis()
    const state = () => /^\d+ \(.*\) (\S)/.exec(readFileSync(`/proc/${server.pid}/stat`, "utf8"))?.[1]
    server.pause()
    await expect.poll(state).toBe("T")
    const reply = server.command("PING")
    server.resume()
    expect(await reply).toBe("+PONG")
    await server.stop()
  })
})
