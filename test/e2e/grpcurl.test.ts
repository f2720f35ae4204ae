import { execFile, spawnSync } from "node:child_process"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { startEmbedded, type Cluster } from "./cluster.ts"

const program = process.env["GRPCURL"] ?? "grpcurl"
const installed = spawnSync(program, ["--version"], { stdio: "ignore" }).status === 0
const protos = Path.resolve(Path.dirname(fileURLToPath(import.meta.url)), "../../proto")

const run = promisify(execFile)

/** A client that is not ours, and that knows nothing but the proto file. */
describe("grpcurl", () => {
  if (!installed) {
    it.skip("is not on the PATH, nor named by GRPCURL", () => {})
    return
  }
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await startEmbedded()
  })
  afterAll(() => (cluster as Cluster | undefined)?.stop())

  const call = async (method: string, request: object): Promise<unknown> => {
    const { host } = new URL(cluster.urls()[0]!)
    const { stdout } = await run(program, [
      ...["-plaintext", "-import-path", protos, "-proto", "coupon/v1/coupon.proto"],
      ...["-d", JSON.stringify(request), host, `coupon.v1.CouponService/${method}`]
    ])
    return JSON.parse(stdout)
  }

  const open = async () => {
    const draft = { name: "봄", couponLimit: "2", startTime: "2025-06-25T00:00:00Z" }
    return (await call("CreateCampaign", draft) as { readonly campaignId: number }).campaignId
  }

  it("creates a campaign, claims, and reads both", async () => {
    const campaignId = await open()
    const issued = await call("IssueCoupon", { campaignId, userId: "9223372036854775807" }) as Record<string, string>
    expect(issued).toMatchObject({ message: "OK" })
    expect(await call("GetCampaign", { campaignId })).toMatchObject({
      id: campaignId,
      name: "봄",
      couponLimit: "2",
      currentCoupon: "1",
      issuedCoupons: [issued["code"]],
      status: "CAMPAIGN_STATUS_ACTIVE"
    })
    expect(await call("GetCoupon", { campaignId, userId: "9223372036854775807" })).toEqual({
      coupon: {
        campaignId,
        userId: "9223372036854775807",
        code: issued["code"],
        issuedAt: issued["issuedAt"],
        number: 1,
        state: "COUPON_STATE_ISSUED"
      }
    })
  })

  it("receives the documented failure, with the coupon as its detail", async () => {
    const campaignId = await open()
    const { code } = await call("IssueCoupon", { campaignId, userId: "1" }) as { code: string }
    const failure = await call("IssueCoupon", { campaignId, userId: "1" })
      .then(() => "", (error: { readonly stderr: string }) => error.stderr)
    expect(failure).toContain("Code: AlreadyExists")
    expect(failure).toContain("Message: COUPON_ALREADY_CLAIMED")
    expect(failure).toContain(code)
  })
})
