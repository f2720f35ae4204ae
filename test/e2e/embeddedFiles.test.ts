import * as Fs from "node:fs"
import * as Path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { checkInvariants } from "../invariants/invariants.ts"
import { openStores } from "../invariants/Snapshot.ts"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"
import { startInstance, type Instance } from "../support/Instance.ts"
import { inLongProfile } from "../support/profile.ts"
import { type Load, type LoadGenerator, makeLoad, newcomers, tally } from "./load.ts"
import { clock, deferral, impatient, loadFor, since, startFor } from "./scenario.ts"

/** `readyz` of an instance: its status and what it says. */
const readiness = async ({ url }: Instance) => {
  const reply = await fetch(`${url}/readyz`, { headers: { connection: "close" } })
  return {
    status: reply.status,
    body: await reply.json() as { readonly status: string; readonly waitingFor?: ReadonlyArray<string> }
  }
}

/** The logged messages of a level, in words. */
const logged = (instance: Instance, level: string): ReadonlyArray<string> =>
  instance.logs().split("\n").filter((line) => line.startsWith("{")).map((line) =>
    JSON.parse(line) as Record<string, string>
  )
    .filter(({ logLevel }) => logLevel === level).map(({ message }) => message!)

describe("the files of an embedded instance", () => {
  const defer = deferral()

  /** A directory that holds DATA_DIR, which is reached through a symbolic link, as a volume is through its mount. */
  const place = (release: (remove: () => unknown) => void = defer) => {
    const root = temporaryDirectory("files")
    release(() => removeDirectory(root))
    const dataDir = Path.join(root, "data")
    Fs.mkdirSync(Path.join(root, "volume"))
    Fs.symlinkSync(Path.join(root, "volume"), dataDir)
    return { root, volume: Path.join(root, "volume"), dataDir, file: (name: string) => Path.join(dataDir, name) }
  }

  const start = (dataDir: string, env: Readonly<Record<string, string>> = {}) =>
    startFor(defer, { DATA_DIR: dataDir, ...env })

  it("are the one file coupon.db after a stop under load", async () => {
    const { dataDir, file, root } = place()
    const load = loadFor(defer)
    const instance = await start(dataDir)
    const campaignId = await load.openCampaign(instance.url, 100_000)
    const running = load.keepClaiming(() => [instance.url], newcomers([campaignId], 1), 20)
    defer(running.stop)
    await expect.poll(() => load.history.length).toBeGreaterThan(300)
    expect(await instance.stop()).toBe(0)
    await running.stop()
    const alone = Path.join(root, "alone")
    Fs.mkdirSync(alone)
    Fs.copyFileSync(file("coupon.db"), Path.join(alone, "coupon.db"))
    await checkInvariants({ dataDir: alone }, load.history)
    expect(logged(instance, "WARN").join()).not.toContain("coupon.db-wal")
  })

  it("are for their owner alone, also those that an earlier release made", async () => {
    const { dataDir, file, volume } = place()
    const names = ["", "coupon.db", "coupon.db-wal", "coupon.db-shm", "lock.db"]
    const rights = () => Object.fromEntries(names.map((name) => [name, Fs.statSync(file(name)).mode & 0o777]))
    const closed = { "": 0o700, "coupon.db": 0o600, "coupon.db-wal": 0o600, "coupon.db-shm": 0o600, "lock.db": 0o600 }
    Fs.chmodSync(volume, 0o755)
    const first = await start(dataDir)
    expect(rights()).toEqual(closed)
    await first.stop()
    // As it was before: whatever the umask gave.
    Fs.chmodSync(volume, 0o755)
    for (const name of ["coupon.db", "lock.db"]) Fs.chmodSync(file(name), 0o644)
    const second = await start(dataDir)
    expect(rights()).toEqual(closed)
    await second.stop()
    // A directory that is not the service's alone keeps its rights: others may need them.
    Fs.writeFileSync(file("of-another-program"), "")
    Fs.chmodSync(volume, 0o755)
    const third = await start(dataDir)
    expect(rights()).toEqual({ ...closed, "": 0o755 })
    expect(logged(third, "WARN").join("\n")).toMatch(/DATA_DIR: \S+ holds other files too/)
    await third.stop()
  })

  it("are named where the log could not be emptied, because another process reads the file", async () => {
    const { dataDir } = place()
    const load = loadFor(defer)
    const instance = await start(dataDir)
    const campaignId = await load.openCampaign(instance.url, 10)
    const reader = await openStores({ dataDir })
    defer(reader.close)
    const view = reader.ledger(campaignId)
    await view
    const { DatabaseSync } = await import("node:sqlite")
    const shell = new DatabaseSync(Path.join(dataDir, "coupon.db"), { readOnly: true })
    defer(() => shell.close())
    shell.exec("BEGIN")
    shell.prepare("SELECT COUNT(*) FROM campaigns").get()
    expect(await load.claim(instance.url, { campaignId, userId: 1 })).toMatchObject({ outcome: "OK" })
    expect(await instance.stop()).toBe(0)
    expect(logged(instance, "WARN").join()).toMatch(/coupon\.db-wal could not be emptied \(another process/)
  })

  /** What may happen to them, and how it is undone; `saved`: nothing is lost even if it is not. */
  const accidents: ReadonlyArray<{
    readonly what: string
    readonly happens: (at: ReturnType<typeof place>) => () => void
    readonly says: RegExp
    readonly saved: boolean
  }> = [
    // Commits are written to the first two alone; what is not written to is noticed in the same way, whichever it is.
    ...(inLongProfile(
      ["coupon.db", "coupon.db-wal", "coupon.db-shm", "lock.db"],
      ["coupon.db", "coupon.db-wal", "lock.db"]
    ).map((name) => ({
      what: `${name} alone is moved away`,
      happens: ({ file }: ReturnType<typeof place>) => {
        Fs.renameSync(file(name), file("aside"))
        return () => Fs.renameSync(file("aside"), file(name))
      },
      says: new RegExp(`: ${name} was deleted or moved away`),
      saved: name !== "coupon.db"
    }))),
    {
      what: "coupon.db is replaced by a copy of itself",
      happens: ({ file }) => {
        Fs.renameSync(file("coupon.db"), file("aside"))
        Fs.copyFileSync(file("aside"), file("coupon.db"))
        return () => Fs.renameSync(file("aside"), file("coupon.db"))
      },
      says: /: coupon\.db is another file now/,
      saved: false
    },
    {
      what: "the directory is moved away",
      happens: ({ root, volume }) => {
        Fs.renameSync(volume, Path.join(root, "away"))
        return () => Fs.renameSync(Path.join(root, "away"), volume)
      },
      says: /: it was deleted or moved away/,
      saved: false
    },
    {
      what: "another volume, with a ledger of its own, takes its place",
      happens: ({ dataDir, root, volume }) => {
        const other = Path.join(root, "other")
        Fs.cpSync(volume, other, { recursive: true })
        const lead = (to: string) => {
          Fs.symlinkSync(to, `${dataDir}.new`)
          Fs.renameSync(`${dataDir}.new`, dataDir)
        }
        lead(other)
        return () => lead(volume)
      },
      says: /: coupon\.db is another file now/,
      saved: false
    }
  ]

  describe("under load, on an instance that survives them all", () => {
    const releases: Array<() => unknown> = []
    let at: ReturnType<typeof place>
    let instance: Instance
    let load: LoadGenerator
    let running: Load
    beforeAll(async () => {
      at = place((release) => releases.unshift(release))
      instance = await startInstance({ ...impatient, DATA_DIR: at.dataDir })
      releases.unshift(instance.kill)
      load = makeLoad()
      releases.unshift(load.close)
      const campaignId = await load.openCampaign(instance.url, 1_000_000)
      running = load.keepClaiming(() => [instance.url], newcomers([campaignId], 1), 10)
      releases.unshift(running.stop)
    })
    afterAll(async () => {
      for (const release of releases) await release()
    })
    const moreOk = (from: number) =>
      expect.poll(() => since(load.history, from).filter(({ outcome }) => outcome === "OK").length)
        .toBeGreaterThan(100)

    for (const { happens, says, what } of accidents) {
      it(`if ${what}: no OK from that moment on, not ready, and on when they are back`, async () => {
        await moreOk(clock())
        const earlier = logged(instance, "ERROR").length

        const undo = happens(at)
        const then = clock()
        // A look a second for what commits are not written to.
        const isWrittenTo = !/-shm|lock/.test(what)
        await expect.poll(async () => (await readiness(instance)).status).toBe(503)
        const noticed = isWrittenTo ? then : clock()
        expect((await readiness(instance)).body).toEqual({
          status: "unavailable",
          waitingFor: [expect.stringMatching(says) as string]
        })
        const reply = await fetch(`${instance.url}/grpc.health.v1.Health/Check`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: "{}"
        })
        expect(await reply.json()).toMatchObject({ status: "NOT_SERVING" })
        await expect.poll(() => since(load.history, noticed).filter(({ outcome }) => outcome === "UNAVAILABLE").length)
          .toBeGreaterThan(10)
        expect(tally(since(load.history, noticed))).not.toHaveProperty("OK")
        await expect.poll(() => logged(instance, "ERROR").slice(earlier)).toEqual([expect.stringMatching(says)])

        undo()
        await expect.poll(async () => (await readiness(instance)).status).toBe(200)
        await moreOk(clock())
      })
    }

    it("keep all that was promised meanwhile", async () => {
      await running.stop()
      expect(await instance.stop()).toBe(0)
      await checkInvariants({ dataDir: at.dataDir }, load.history)
    })
  })

  for (const { happens, saved, what } of accidents) {
    if (saved) {
      it(`if ${what} for good: everything that was promised is in coupon.db, also after a kill`, async () => {
        const at = place()
        const load = loadFor(defer)
        const instance = await start(at.dataDir)
        const campaignId = await load.openCampaign(instance.url, 1_000_000)
        const running = load.keepClaiming(() => [instance.url], newcomers([campaignId], 1), 10)
        defer(running.stop)
        await expect.poll(() => load.history.filter(({ outcome }) => outcome === "OK").length).toBeGreaterThan(100)
        happens(at)
        await expect.poll(() => logged(instance, "ERROR").join()).toContain("a restart mends it")
        await running.stop()
        await instance.kill()
        Fs.rmSync(at.file("aside"))
        const again = await start(at.dataDir)
        expect(await load.claim(again.url, { campaignId, userId: 1_000_000 })).toMatchObject({ outcome: "OK" })
        expect(await again.stop()).toBe(0)
        await checkInvariants({ dataDir: at.dataDir }, load.history)
      })
    }
  }

  it("if the directory is deleted for good, do not keep the instance from ending", async () => {
    const { dataDir, volume } = place()
    const load = loadFor(defer)
    const instance = await start(dataDir, { REQUEST_TIMEOUT: "2 seconds", SHUTDOWN_TIMEOUT: "2 seconds" })
    const campaignId = await load.openCampaign(instance.url, 10)
    expect(await load.claim(instance.url, { campaignId, userId: 1 })).toMatchObject({ outcome: "OK" })
    Fs.rmSync(volume, { recursive: true })
    // The first one is committed, into nowhere, and so in doubt; whatever is asked later does nothing.
    expect(["OUTCOME_UNKNOWN", "UNAVAILABLE"]).toContain(
      (await load.claim(instance.url, { campaignId, userId: 2 })).outcome
    )
    expect(await load.claim(instance.url, { campaignId, userId: 3 })).toMatchObject({ outcome: "UNAVAILABLE" })
    await instance.stop()
    expect(logged(instance, "ERROR").join()).toMatch(/it was deleted or moved away.*ends with this process/)
  })
})
