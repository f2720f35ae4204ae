import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as OperatorClient from "../../src/client/OperatorClient.ts"
import { startCluster, type Cluster } from "../e2e/cluster.ts"
import { availableDatabases, databaseOn, startRedis } from "../support/servers.ts"
import { coupon } from "./Command.ts"

const BOOTSTRAP = "the-first-key-of-all-0123456789abcdef"

describe("a running stream of the operator plane", () => {
  let cluster: Cluster
  const releases: Array<() => unknown> = []
  beforeAll(async () => {
    const redis = await startRedis()
    releases.unshift(redis.stop)
    const database = await databaseOn(availableDatabases()[0]!)
    releases.unshift(database.drop)
    cluster = await startCluster({ databaseUrl: database.url, redisUrl: redis.url }, 2, { ADMIN_API_KEY: BOOTSTRAP })
    releases.unshift(cluster.stop)
  })
  afterAll(async () => {
    for (const release of releases) await release()
  })

  /** Watches the instance until the stream ends: how many samples came, and the tag of its failure. */
  const watch = (url: string, key: string, sampled: () => void) =>
    Effect.scoped(Effect.gen(function*() {
      const client = yield* OperatorClient.make({ url, key: Redacted.make(key), timeoutMillis: 60_000 })
      return yield* Stream.runForEach(client.Overview(), () => Effect.sync(sampled)).pipe(
        Effect.match({ onFailure: ({ _tag }) => _tag as string, onSuccess: () => "ended" })
      )
    }))

  it("ends when its key is revoked, at whichever instance, and no other stream does", async () => {
    const [here, there] = cluster.urls() as [string, string]
    const admin = coupon(here, { COUPON_API_KEY: BOOTSTRAP })
    const keyOf = async (name: string) => {
      const { out } = await admin("keys", "create", "--name", name, "--role", "VIEWER", "--json")
      return JSON.parse(out) as { readonly id: string; readonly secret: string }
    }
    const [doomed, other] = [await keyOf("doomed"), await keyOf("other")]
    const samples = { here: 0, there: 0, other: 0, admin: 0 }
    const streams = Effect.runFork(Effect.all([
      watch(here, doomed.secret, () => samples.here++),
      watch(there, doomed.secret, () => samples.there++)
    ], { concurrency: 2 }))
    const lasting = Effect.runFork(Effect.all([
      watch(there, other.secret, () => samples.other++),
      watch(there, BOOTSTRAP, () => samples.admin++)
    ], { concurrency: 2 }))
    await expect.poll(() => Math.min(...Object.values(samples)), { timeout: 30_000 }).toBeGreaterThan(1)
    expect(await admin("keys", "revoke", doomed.id)).toMatchObject({ code: 0 })
    expect(await Effect.runPromise(Fiber.join(streams))).toEqual(["Unauthenticated", "Unauthenticated"])
    const { admin: ofAdmin, other: ofOther } = samples
    const more = () => Math.min(samples.admin - ofAdmin, samples.other - ofOther)
    await expect.poll(more, { timeout: 30_000 }).toBeGreaterThan(1)
    await Effect.runPromise(Fiber.interrupt(lasting))
  })

  it("ends when its key expires, or gets other limits, at whichever instance", async () => {
    const [here, there] = cluster.urls() as [string, string]
    const admin = coupon(here, { COUPON_API_KEY: BOOTSTRAP })
    const keyOf = async (name: string, ...args: ReadonlyArray<string>) => {
      const { out } = await admin("keys", "create", "--name", name, "--role", "VIEWER", "--json", ...args)
      return JSON.parse(out) as { readonly id: string; readonly secret: string }
    }
    const elsewhere = await keyOf("moved")
    const narrowed = await keyOf("narrowed")
    const kept = await keyOf("kept", "--expires", "+1d", "--networks", "127.0.0.0/8,::1")
    const expiring = await keyOf("expiring", "--expires", "+8s")
    const samples = { elsewhere: 0, narrowed: 0, expiring: 0, kept: 0 }
    const streams = Effect.runFork(Effect.all([
      watch(there, elsewhere.secret, () => samples.elsewhere++),
      watch(there, narrowed.secret, () => samples.narrowed++),
      watch(there, expiring.secret, () => samples.expiring++)
    ], { concurrency: 3 }))
    const lasting = Effect.runFork(watch(there, kept.secret, () => samples.kept++))
    await expect.poll(() => Math.min(...Object.values(samples)), { timeout: 30_000 }).toBeGreaterThan(0)
    expect(await admin("keys", "limit", elsewhere.id, "--networks", "203.0.113.0/24")).toMatchObject({ code: 0 })
    expect(await admin("keys", "limit", narrowed.id, "--campaigns", "1")).toMatchObject({ code: 0 })
    // The second may call again, and sees what it may see now.
    expect(await Effect.runPromise(Fiber.join(streams))).toEqual(["PermissionDenied", "Unavailable", "Unauthenticated"])
    const seen = samples.kept
    await expect.poll(() => samples.kept, { timeout: 30_000 }).toBeGreaterThan(seen + 1)
    await Effect.runPromise(Fiber.interrupt(lasting))
  })
})
