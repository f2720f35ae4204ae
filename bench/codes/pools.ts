import { residentMiB } from "../Cpu.ts"
import { generate } from "../Load.ts"
import { fillCampaign, rebuildGate } from "../others.ts"
import { median, type Quantiles } from "../Quantiles.ts"
import { durableRun, type Sample } from "../rates.ts"
import { type Figure, ratios } from "../Results.ts"
import { call, createCampaign, type Stage } from "../Stage.ts"

/** Issues a second in one round, the mean of two runs each: from the pool, with codes that are drawn, with expiry. */
interface Round {
  readonly poolPerSecond: number
  readonly drawnPerSecond: number
  readonly expiringPerSecond: number
}

export interface Pools {
  readonly codes: number
  readonly importPerSecond: number
  /** Resident memory of the service, MiB: before, and the most during the import. */
  readonly residentBefore: number
  readonly residentMost: number
  readonly rounds: ReadonlyArray<Round>
  /** FindCoupon at that many calls a second in a campaign of so many coupons. */
  readonly lookUp: { readonly rate: number; readonly coupons: number; readonly latencyMillis: Quantiles }
}

export const poolFigures = (of: Pools): ReadonlyArray<Figure> => {
  const thousands = (value: number) => Math.round(value).toLocaleString("en")
  const pool = of.rounds.map(({ poolPerSecond }) => poolPerSecond)
  const drawn = of.rounds.map(({ drawnPerSecond }) => drawnPerSecond)
  const expiring = of.rounds.map(({ expiringPerSecond }) => expiringPerSecond)
  const { max, median: ratio, min } = ratios(pool, drawn)
  const dated = ratios(expiring, drawn)
  const { coupons, latencyMillis: { max: slowest, p50, p99 }, rate } = of.lookUp
  return [{
    name: "issues/s from a pool ÷ with codes that are drawn",
    target: ">= 0.90",
    measured: ratio.toFixed(2),
    met: ratio >= 0.9,
    detail: `${thousands(median(pool))}/s ÷ ${thousands(median(drawn))}/s, ${pool.length} rounds ` +
      `${min.toFixed(2)} to ${max.toFixed(2)}, 128 connections`
  }, {
    name: "issues/s of coupons that expire ÷ of coupons that do not",
    target: ">= 0.97",
    measured: dated.median.toFixed(2),
    met: dated.median >= 0.97,
    detail: `at the end of a day in a zone: ${thousands(median(expiring))}/s ÷ ${thousands(median(drawn))}/s, ` +
      `${pool.length} rounds ${dated.min.toFixed(2)} to ${dated.max.toFixed(2)}, 128 connections`
  }, {
    name: `import of ${thousands(of.codes)} codes`,
    target: ">= 50,000 codes/s",
    measured: `${thousands(of.importPerSecond)}/s`,
    met: of.importPerSecond >= 50_000,
    detail: `10,000 a chunk, one chunk at a time; RSS ${Math.round(of.residentBefore)} MiB before, at most ` +
      `${Math.round(of.residentMost)} MiB`
  }, {
    name: `look-up by code at ${thousands(rate)}/s: p99`,
    target: "<= 5 ms in 10 M",
    measured: `${p99.toFixed(1)} ms`,
    met: p99 <= 5 ? coupons >= 9_000_000 ? true : undefined : false,
    detail: `in a campaign with ${thousands(coupons)} coupons; median ${p50.toFixed(1)} ms, the slowest ` +
      `${slowest.toFixed(1)} ms`
  }]
}

const SERVICE = "coupon.v1.CouponService"
const CHUNK = 10_000
const LOOK_UPS = 1_000

/** The dearest kind. */
const VALIDITY = { after: "P30D", endOfDayZone: "Asia/Seoul" }

/** An import, claims from its pool and of coupons that expire against others, and look-ups. */
export const pools = async (
  stage: Stage,
  options: {
    readonly codes: number
    readonly coupons: number
    readonly rounds: number
    readonly seconds: number
    readonly say: (text: string) => void
  }
): Promise<Pools> => {
  const { codes, coupons, rounds, say, seconds } = options
  const instance = await stage.distributed({ LATENCY_TARGET: "1s" })
  try {
    const campaignId = await createCampaign(instance.url, 10_000_000, { codeSource: "CODE_SOURCE_POOL" })
    const residentBefore = residentMiB(instance.pid)
    let residentMost = residentBefore
    const { codeImport } = await call(instance.url, `${SERVICE}/StartImport`, { campaignId, requestId: "bench" })
    const { importId } = codeImport as { readonly importId: number }
    const start = performance.now()
    let spent = 0
    for (let chunkIndex = 0; chunkIndex * CHUNK < codes; chunkIndex++) {
      const begin = performance.now()
      const chunk = Array.from({ length: Math.min(CHUNK, codes - chunkIndex * CHUNK) }, (_, k) =>
        `B${(Math.imul(chunkIndex * CHUNK + k + 1, 2_654_435_761) >>> 0).toString(36).toUpperCase().padStart(8, "0")}`)
      spent += performance.now() - begin
      await call(instance.url, `${SERVICE}/AppendCodes`, { campaignId, importId, chunkIndex, codes: chunk })
      residentMost = Math.max(residentMost, residentMiB(instance.pid))
    }
    const finished = await call(instance.url, `${SERVICE}/FinishImport`, { campaignId, importId })
    // To make the codes is not the service's work.
    const importPerSecond = codes * 1_000 / (performance.now() - start - spent)
    const { accepted } = finished["codeImport"] as { readonly accepted: string }
    if (Number(accepted) !== codes) throw new Error(`${codes} codes were sent, and ${accepted} taken`)
    say(`an import of ${codes} codes: ${Math.round(importPerSecond)}/s, RSS ${Math.round(residentMost)} MiB`)

    const kinds = {
      poolPerSecond: () => durableRun(stage, instance, 128, seconds, campaignId),
      drawnPerSecond: () => durableRun(stage, instance, 128, seconds),
      expiringPerSecond: async () => {
        const dated = await createCampaign(instance.url, 10_000_000, { couponValidity: VALIDITY })
        return durableRun(stage, instance, 128, seconds, dated)
      }
    } satisfies Record<keyof Round, () => Promise<Sample>>
    const names = Object.keys(kinds) as ReadonlyArray<keyof Round>
    const found: Array<Round> = []
    let issued = 0
    for (let round = 0; round <= rounds; round++) {
      const sum: Record<keyof Round, number> = { poolPerSecond: 0, drawnPerSecond: 0, expiringPerSecond: 0 }
      // There and back, so that what the machine becomes during a round weighs on each alike.
      for (const name of [...names, ...names.toReversed()]) sum[name] += (await kinds[name]()).perSecond / 2
      issued += 2 * sum.poolPerSecond * seconds
      const ratio = (perSecond: number) => (perSecond / sum.drawnPerSecond).toFixed(2)
      say(`from a pool: ${Math.round(sum.poolPerSecond)}/s ÷ ${Math.round(sum.drawnPerSecond)}/s = ` +
        `${ratio(sum.poolPerSecond)}; with expiry: ${Math.round(sum.expiringPerSecond)}/s = ` +
        ratio(sum.expiringPerSecond))
      // The first round warms up.
      if (round > 0) found.push(sum)
      if (issued + 3 * sum.poolPerSecond * seconds > codes) break
    }
    if (found.length === 0) throw new Error(`a pool of ${codes} codes is too small for two rounds`)

    const filled = await createCampaign(instance.url)
    await fillCampaign(stage, filled, coupons, say)
    // Otherwise the service finds that the gate lacks them, and rebuilds it during the look-ups.
    await rebuildGate(stage, instance, filled, coupons)
    const step = Math.floor(coupons / LOOK_UPS)
    const rows = await stage.sql(`SELECT code FROM coupons WHERE campaign_id = ${filled} AND id % ${step} = 1`)
    const bodies = rows.slice(0, LOOK_UPS).map(({ code }) => JSON.stringify({ campaignId: filled, code: String(code) }))
    const rate = 1_000
    const load = {
      port: instance.port,
      path: `/${SERVICE}/FindCoupon`,
      campaignId: filled,
      firstUser: 0,
      users: 0,
      connections: 64,
      rate,
      bodies
    }
    await generate({ ...load, seconds: 3 * seconds })
    const { latencyMillis, requests, statuses } = await generate({ ...load, seconds: 3 * seconds })
    if (statuses["200"] !== requests) throw new Error(`look-ups were answered ${JSON.stringify(statuses)}`)
    say(`look-ups at ${rate}/s in ${coupons}: p99 ${latencyMillis.p99.toFixed(1)} ms`)
    const lookUp = { rate, coupons, latencyMillis }
    return { codes, importPerSecond, residentBefore, residentMost, rounds: found, lookUp }
  } finally {
    await instance.stop()
  }
}
