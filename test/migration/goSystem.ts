import { Redis } from "ioredis"
import { query } from "../support/servers.ts"

/** The tables as GORM makes them for the service in Go. */
const TABLES = [
  `CREATE TABLE campaigns (id INT AUTO_INCREMENT, name VARCHAR(100) NOT NULL, coupon_limit BIGINT NOT NULL,
current_coupon BIGINT NOT NULL DEFAULT 0, start_time DATETIME(3) NOT NULL, created_at DATETIME(3) NULL,
updated_at DATETIME(3) NULL, PRIMARY KEY (id)) DEFAULT CHARACTER SET utf8mb4`,
  `CREATE TABLE coupons (id INT AUTO_INCREMENT, campaign_id INT NOT NULL, user_id INT NOT NULL,
code VARCHAR(20) NOT NULL, created_at DATETIME(3) NULL, PRIMARY KEY (id),
UNIQUE INDEX idx_campaign_user (campaign_id, user_id), UNIQUE INDEX idx_campaign_code (campaign_id, code),
UNIQUE INDEX idx_coupons_code (code)) DEFAULT CHARACTER SET utf8mb4`
]

/** The code of the n-th coupon, in the alphabet of both systems. */
export const codeOf = (n: number): string => `가나다라마바${String(n).padStart(4, "0")}`

/** What the old stores hold: campaigns 1 (sold out), 3 (half) and 4 (not open), whose ids have a gap. */
export const fill = async (databaseUrl: string, redisUrl: string): Promise<void> => {
  await query(databaseUrl, ...TABLES, `INSERT INTO campaigns (id, name, coupon_limit, current_coupon, start_time,
created_at, updated_at) VALUES
(1, '여름 이벤트', 300, 300, '2025-06-25 00:00:00.000', '2025-06-24 09:54:21.123', '2025-06-25 00:00:01.456'),
(3, '가을', 8000, 6000, '2025-09-01 00:00:00.000', '2025-08-30 00:00:00.000', '2025-08-30 00:00:00.000'),
(4, '겨울', 10, 0, '2099-12-01 00:00:00.000', NULL, NULL)`)
  // Issued in turns, so that numbers within a campaign are not those of the table; user 1 holds one in each.
  const coupons = [
    ...Array.from({ length: 600 }, (_, k) => [k % 2 === 0 ? 1 : 3, 1 + (k >> 1), codeOf(k)] as const),
    ...Array.from({ length: 5_700 }, (_, k) => [3, 1_001 + k, codeOf(600 + k)] as const)
  ]
  for (let at = 0; at < coupons.length; at += 1_000) {
    await query(databaseUrl, `INSERT INTO coupons (campaign_id, user_id, code, created_at) VALUES ${
      coupons.slice(at, at + 1_000).map(([campaignId, userId, code], k) =>
        `(${campaignId}, ${userId}, '${code}', '2025-09-01 00:00:${String((at + k) % 60).padStart(2, "0")}.500')`
      ).join(",")
    }`)
  }
  const redis = new Redis(redisUrl)
  await redis.set("coupon:issued:campaign:1", 300)
  await redis.set("coupon:issued:campaign:3", 6_010)
  for (let at = 0; at < coupons.length; at += 1_000) {
    await redis.hset("cache:coupon:issued", Object.fromEntries(coupons.slice(at, at + 1_000).map(
      ([campaignId, userId, code]) => [`campaign:${campaignId}:user:${userId}`, code]
    )))
  }
  redis.disconnect()
}

/** A task of Asynq in one of its states, as `hset` and the state's collection have it. */
export const addTask = async (
  redisUrl: string,
  state: "pending" | "archived",
  { campaignId, userId }: { readonly campaignId: number; readonly userId: number }
): Promise<void> => {
  const redis = new Redis(redisUrl)
  const payload = Buffer.from(`{"campaign_id":${campaignId},"user_id":${userId}}`)
  const type = Buffer.from("task:coupon:issue")
  // Fields 1 (type) and 2 (payload) of Asynq's TaskMessage.
  const message = Buffer.concat([Buffer.from([0x0a, type.length]), type, Buffer.from([0x12, payload.length]), payload])
  const id = `${state}-${userId}`
  await redis.hset(`asynq:{default}:t:${id}`, { msg: message, state })
  if (state === "pending") await redis.lpush("asynq:{default}:pending", id)
  else await redis.zadd("asynq:{default}:archived", 1, id)
  redis.disconnect()
}
