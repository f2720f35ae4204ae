import { createClient } from "@libsql/client"
import * as http from "node:http"
import * as Path from "node:path"
import { pathToFileURL } from "node:url"
import mysql from "mysql2/promise"
import { generate, ISSUE_PATH } from "../Load.ts"
import { fillCampaign } from "../others.ts"
import { median, type Quantiles } from "../Quantiles.ts"
import { freshUsers } from "../rates.ts"
import { type Figure, ratios } from "../Results.ts"
import { createCampaign, startEmbedded, type Stage } from "../Stage.ts"

/** Coupons a second, of a run. */
export interface ExportRun {
  readonly perSecond: number
  readonly bytes: number
}

/** Counts the coupons of a stream of `ExportCouponsResponse` in protobuf, an envelope a message, as its bytes come. */
const makeCounter = () => {
  let rest: Buffer = Buffer.alloc(0)
  let coupons = 0
  const count = (message: Buffer) => {
    let at = 0
    const varint = () => {
      let value = 0
      for (let shift = 0;; shift += 7) {
        const byte = message[at++]!
        value += (byte & 127) * 2 ** shift
        if (byte < 128) return value
      }
    }
    while (at < message.length) {
      const tag = message[at++]!
      const value = varint()
      if (tag === 10) {
        coupons++
        at += value
      } else if (tag !== 16) throw new Error(`an export has a field with the tag ${tag}`)
    }
  }
  return {
    add: (chunk: Buffer) => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      while (rest.length >= 5) {
        const length = rest.readUInt32BE(1)
        if (rest.length < 5 + length) return
        const [flags, message] = [rest[0], rest.subarray(5, 5 + length)]
        rest = rest.subarray(5 + length)
        if (flags === 0) count(message)
        else if (message.toString() !== "{}") throw new Error(`an export ended with ${message.toString()}`)
      }
    },
    coupons: () => coupons
  }
}

/** One call of ExportCoupons over Connect with protobuf, whose client does no more than count what comes. */
export const exportOnce = (port: number, campaignId: number, expected: number): Promise<ExportRun> =>
  new Promise((resolve, reject) => {
    const varint = (value: number): Array<number> =>
      value < 128 ? [value] : [value % 128 + 128, ...varint(Math.floor(value / 128))]
    const message = Buffer.from([8, ...varint(campaignId)])
    const envelope = Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message])
    const counter = makeCounter()
    const start = performance.now()
    let bytes = 0
    const request = http.request({
      port,
      method: "POST",
      path: "/coupon.v1.CouponService/ExportCoupons",
      headers: { "content-type": "application/connect+proto", "content-length": envelope.length },
      agent: false
    }, (response) => {
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length
        try {
          counter.add(chunk)
        } catch (error) {
          reject(error as Error)
          request.destroy()
        }
      })
      response.on("error", reject)
      response.on("end", () => {
        const seconds = (performance.now() - start) / 1_000
        if (response.statusCode !== 200 || counter.coupons() !== expected) {
          reject(new Error(`an export of ${expected} coupons: ${response.statusCode}, ${counter.coupons()} came`))
        } else resolve({ perSecond: expected / seconds, bytes })
      })
    })
    request.on("error", reject)
    request.end(envelope)
  })

/** What the rows are read by: pages of a thousand, with no more than the driver makes of them. */
const PAGE = 1_000
const rows = (campaignId: number, after: number, by = "") =>
  `SELECT campaign_id, id, user_id, code, issued_at FROM coupons${by} WHERE campaign_id = ${campaignId} ` +
  `AND id > ${after} ORDER BY id LIMIT ${PAGE}`

const rawOnce = async (expected: number, read: (after: number) => Promise<number>): Promise<number> => {
  const start = performance.now()
  let count = 0
  for (let after = 0; after < expected; after += PAGE) count += await read(after)
  if (count !== expected) throw new Error(`${expected} rows, but ${count} were read`)
  return expected * 1_000 / (performance.now() - start)
}

/** A round of an export and, right after it, of the same rows by the driver alone. */
interface Round {
  readonly perSecond: number
  readonly rawPerSecond: number
}

export interface Exports {
  readonly coupons: number
  readonly embedded: ReadonlyArray<Round>
  readonly mysql: ReadonlyArray<Round>
  /** Claims at that many a second on the embedded stores: alone, and while one export after another runs. */
  readonly claims: { readonly rate: number; readonly alone: Quantiles; readonly during: Quantiles }
}

export const exportFigures = ({ claims, coupons, embedded, mysql }: Exports): ReadonlyArray<Figure> => [
  ...([["embedded", embedded], ["MySQL", mysql]] as const).map(([name, rounds]) => {
    const rates = rounds.map(({ perSecond }) => perSecond)
    const { max, median: ratio, min } = ratios(rates, rounds.map(({ rawPerSecond }) => rawPerSecond))
    return {
      name: `export, ${name}`,
      target: ">= 200,000 coupons/s",
      measured: `${Math.round(median(rates)).toLocaleString("en")}/s`,
      met: median(rates) >= 200_000,
      detail: `${ratio.toFixed(2)} (${min.toFixed(2)} to ${max.toFixed(2)}) of the raw SELECT of the same ` +
        `${coupons.toLocaleString("en")} rows over the same driver, right after each; over Connect with protobuf`
    }
  }),
  {
    name: `embedded: p99 of claims at ${claims.rate}/s while an export runs ÷ without`,
    target: "report",
    measured: (claims.during.p99 / claims.alone.p99).toFixed(2),
    met: undefined,
    detail: `${claims.during.p99.toFixed(1)} ms ÷ ${claims.alone.p99.toFixed(1)} ms, medians ` +
      `${claims.during.p50.toFixed(1)} and ${claims.alone.p50.toFixed(1)} ms`
  }
]

/** Exports of a campaign of so many coupons, on both stores, each paired with the raw SELECT of its rows. */
export const exports = async (
  stage: Stage,
  options: {
    readonly coupons: number
    readonly rounds: number
    readonly seconds: number
    readonly say: (text: string) => void
  }
): Promise<Exports> => {
  const { coupons, rounds, say, seconds } = options
  const paired = async (what: string, once: () => Promise<ExportRun>, raw: () => Promise<number>) => {
    const found: Array<Round> = []
    for (let round = 0; round <= rounds; round++) {
      const { bytes, perSecond } = await once()
      const rawPerSecond = await raw()
      const ratio = (perSecond / rawPerSecond).toFixed(2)
      say(`export, ${what}: ${Math.round(perSecond)}/s ÷ ${Math.round(rawPerSecond)}/s of the driver = ${ratio}, ` +
        `${Math.round(bytes / coupons)} bytes each`)
      // The first round warms up.
      if (round > 0) found.push({ perSecond, rawPerSecond })
    }
    return found
  }

  /** Claims of another campaign, at a pace that the store carries: alone, and while exports run one after another. */
  const claimsBeside = async (port: number, exported: number, campaignId: number) => {
    const rate = 500
    const load = { port, path: ISSUE_PATH, campaignId, users: 0, connections: 64, rate, seconds: 2 * seconds }
    const claims = async (length: number) => {
      const made = await generate({ ...load, seconds: length, firstUser: freshUsers() })
      const { latencyMillis, requests, statuses } = made
      if (statuses["200"] !== requests) throw new Error(`claims were answered ${JSON.stringify(statuses)}`)
      return latencyMillis
    }
    await claims(2)
    const alone = await claims(load.seconds)
    let isOver = false
    const running = (async () => {
      while (!isOver) await exportOnce(port, exported, coupons)
    })()
    const during = await claims(load.seconds)
    isOver = true
    await running
    say(`claims at ${rate}/s: p99 ${during.p99.toFixed(1)} ms while an export runs, ${alone.p99.toFixed(1)} without`)
    return { rate, alone, during }
  }

  const onFile = async () => {
    const { directory, instance, stop } = await startEmbedded()
    try {
      const campaignId = await createCampaign(instance.url)
      const file = pathToFileURL(Path.join(directory, "coupon.db")).href
      const driver = createClient({ url: file })
      try {
        await driver.execute("PRAGMA busy_timeout = 5000")
        await driver.batch([
          {
            sql: `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
INSERT INTO coupons (campaign_id, id, user_id, code, issued_at)
SELECT ?, i, 1000000 + 7 * i, '가나다라' || (100000 + i * 7919 % 900001) || '파하' || i, ? + i / 100 FROM n`,
            args: [coupons, campaignId, Date.now()]
          },
          { sql: "UPDATE campaigns SET current_coupon = ? WHERE id = ?", args: [coupons, campaignId] }
        ], "write")
        const embedded = await paired("embedded", () => exportOnce(instance.port, campaignId, coupons), () =>
          rawOnce(coupons, async (after) => (await driver.execute(rows(campaignId, after))).rows.length))
        return { embedded, claims: await claimsBeside(instance.port, campaignId, await createCampaign(instance.url)) }
      } finally {
        driver.close()
      }
    } finally {
      await stop()
    }
  }

  const onMysql = async () => {
    const instance = await stage.distributed()
    const driver = await mysql.createConnection({ uri: stage.mysqlUrl, dateStrings: true, supportBigNumbers: true })
    try {
      const campaignId = await createCampaign(instance.url)
      await fillCampaign(stage, campaignId, coupons, say)
      return await paired("MySQL", () => exportOnce(instance.port, campaignId, coupons), () =>
        // As the service does: else MySQL may look all of the campaign up by another index for each page, and sort.
        rawOnce(coupons, async (after) =>
          ((await driver.query(rows(campaignId, after, " FORCE INDEX (PRIMARY)")))[0] as Array<unknown>).length))
    } finally {
      await driver.end()
      await instance.stop()
    }
  }

  return { coupons, ...await onFile(), mysql: await onMysql() }
}
