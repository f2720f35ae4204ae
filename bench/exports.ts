import { createClient } from "@libsql/client"
import * as http from "node:http"
import * as Path from "node:path"
import { pathToFileURL } from "node:url"
import mysql from "mysql2/promise"
import { fillCampaign } from "./others.ts"
import { createCampaign, startEmbedded, type Stage } from "./Stage.ts"

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
const rows = (campaignId: number, after: number) =>
  `SELECT campaign_id, id, user_id, code, issued_at FROM coupons WHERE campaign_id = ${campaignId} ` +
  `AND id > ${after} ORDER BY id LIMIT ${PAGE}`

const rawOnce = async (expected: number, read: (after: number) => Promise<number>): Promise<number> => {
  const start = performance.now()
  let count = 0
  for (let after = 0; after < expected; after += PAGE) count += await read(after)
  if (count !== expected) throw new Error(`${expected} rows, but ${count} were read`)
  return expected * 1_000 / (performance.now() - start)
}

export interface Exports {
  readonly coupons: number
  /** Rounds of an export and, right after it, of the same rows by the driver alone. */
  readonly embedded: ReadonlyArray<{ readonly perSecond: number; readonly rawPerSecond: number }>
  readonly mysql: ReadonlyArray<{ readonly perSecond: number; readonly rawPerSecond: number }>
}

/** Exports of a campaign of so many coupons, on both stores, each paired with the raw SELECT of its rows. */
export const exports = async (
  stage: Stage,
  options: { readonly coupons: number; readonly rounds: number; readonly say: (text: string) => void }
): Promise<Exports> => {
  const { coupons, rounds, say } = options
  const paired = async (what: string, once: () => Promise<ExportRun>, raw: () => Promise<number>) => {
    const found: Array<{ readonly perSecond: number; readonly rawPerSecond: number }> = []
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
        return await paired("embedded", () => exportOnce(instance.port, campaignId, coupons), () =>
          rawOnce(coupons, async (after) => (await driver.execute(rows(campaignId, after))).rows.length))
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
        rawOnce(coupons, async (after) => ((await driver.query(rows(campaignId, after)))[0] as Array<unknown>).length))
    } finally {
      await driver.end()
      await instance.stop()
    }
  }

  return { coupons, embedded: await onFile(), mysql: await onMysql() }
}
