// Copies campaigns and coupons to an empty ledger, and compares all of them at the end.
import * as MySql from "mysql2/promise"
import type { OldSystem } from "./OldSystem.ts"
import { limitOf, numbered, type Numbered, type Survey } from "./Survey.ts"

export const openLedger = (url: string): Promise<MySql.Connection> =>
  MySql.createConnection({ uri: url, dateStrings: true, timezone: "Z", charset: "utf8mb4_bin" })

type Row = Readonly<Record<string, string | number>>

const select = async (ledger: MySql.Connection, statement: string, ...values: ReadonlyArray<number>) =>
  (await ledger.query(statement, [...values]))[0] as unknown as ReadonlyArray<Row>

/** Why the ledger cannot be copied to; `undefined`: it can. */
export const refusal = async (ledger: MySql.Connection): Promise<string | undefined> => {
  const tables = await select(ledger, "SHOW TABLES LIKE 'schema_migrations'")
  if (tables.length === 0) return "MYSQL_URL has no schema: run npm run migrate first"
  const [{ campaigns } = { campaigns: 0 }] = await select(ledger, "SELECT COUNT(*) AS campaigns FROM campaigns")
  return campaigns === 0 ? undefined : `MYSQL_URL has ${campaigns} campaigns: only an empty ledger can be copied to`
}

/**
 * Copies all of it. Coupons first, a page at a time; the campaigns last, in one transaction. So a copy that was cut off
 * has no campaign, claims find none, and it can be run again.
 */
export const copy = async (old: OldSystem, ledger: MySql.Connection, { campaigns, counts }: Survey): Promise<void> => {
  for await (const page of numbered(old)) {
    if (page.length === 0) continue
    await ledger.query(
      "INSERT INTO coupons (campaign_id, id, user_id, code, issued_at) VALUES ? " +
        "ON DUPLICATE KEY UPDATE issued_at = VALUES(issued_at)",
      [page.map(({ campaignId, code, issuedAt, number, userId }) => [campaignId, number, userId, code, issuedAt])]
    )
  }
  await ledger.beginTransaction()
  for (const campaign of campaigns) {
    const { createdAt, id, name, startTime, updatedAt } = campaign
    const issued = counts.get(id)!
    await ledger.query(
      "INSERT INTO campaigns (id, name, coupon_limit, current_coupon, start_time, created_at, updated_at) " +
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
      [id, name, limitOf(campaign, issued), issued, startTime, createdAt, updatedAt]
    )
  }
  await ledger.commit()
}

/** One time, however many digits its fraction has. */
const instant = (time: string | number): number => Date.parse(`${String(time).replace(" ", "T")}Z`)

/** Compares every campaign and every coupon; what differs, at most ten lines of it. */
export const differences = async (
  old: OldSystem,
  ledger: MySql.Connection,
  { campaigns, counts }: Survey
): Promise<ReadonlyArray<string>> => {
  const found: Array<string> = []
  const say = (text: string) => {
    if (found.length < 10) found.push(text)
  }
  const stored = new Map(
    (await select(ledger, "SELECT id, name, coupon_limit, current_coupon, start_time, created_at FROM campaigns"))
      .map((row) => [Number(row["id"]), row])
  )
  if (stored.size !== campaigns.length) say(`${campaigns.length} campaigns there, ${stored.size} here`)
  for (const campaign of campaigns) {
    const row = stored.get(campaign.id)
    const issued = counts.get(campaign.id)!
    const same = row !== undefined && row["name"] === campaign.name &&
      Number(row["coupon_limit"]) === limitOf(campaign, issued) && Number(row["current_coupon"]) === issued &&
      instant(row["start_time"]!) === instant(campaign.startTime) &&
      instant(row["created_at"]!) === instant(campaign.createdAt)
    if (!same) say(`campaign ${campaign.id} differs`)
  }

  let copied = 0
  for await (const page of numbered(old)) {
    copied += page.length
    for (const [campaignId, part] of Map.groupBy(page, ({ campaignId }) => campaignId)) {
      const rows = new Map(
        (await select(
          ledger,
          "SELECT id, user_id, code, issued_at FROM coupons WHERE campaign_id = ? AND id BETWEEN ? AND ?",
          campaignId,
          part[0]!.number,
          part.at(-1)!.number
        )).map((row) => [Number(row["id"]), row])
      )
      const same = ({ code, issuedAt, number, userId }: Numbered) => {
        const row = rows.get(number)
        return row !== undefined && Number(row["user_id"]) === userId && row["code"] === code &&
          instant(row["issued_at"]!) === instant(issuedAt)
      }
      for (const coupon of part) if (!same(coupon)) say(`campaign ${campaignId}: coupon ${coupon.number} differs`)
    }
  }
  const [{ coupons } = { coupons: 0 }] = await select(ledger, "SELECT COUNT(*) AS coupons FROM coupons")
  if (coupons !== copied) say(`${copied} coupons were to be copied, ${coupons} are here`)
  return found
}
