import { setTimeout as pause } from "node:timers/promises"
import type { Attempt } from "../invariants/History.ts"
import { lagViolations } from "../invariants/invariants.ts"
import { openStores } from "../invariants/Snapshot.ts"
import { gateKey, query } from "../support/privateServers.ts"
import { foreignSession, holdingRow } from "../support/foreignSession.ts"
import { isGroupCommit } from "../support/groupCommit.ts"
import { cursorBeforeAnswer, leaseNotFenced, watchOfTheTail } from "./events/eventScenarios.ts"
import { erasureScenarios } from "./erasureScenarios.ts"
import { fill } from "./judge.ts"
import type { MutationName } from "./mutations.ts"
import { redemptionScenarios } from "./redemptionScenarios.ts"
import { until, type Node } from "./Rig.ts"
import type { Scenario, Stage } from "./Scenario.ts"

/** How long a slot may stay out of reach, given reservations that live 1.5 s and audits each second. */
const PATIENCE = { concurrency: 4, patienceMillis: 6_000 }

const urlOf = (node: Node): string => node.instance().url

const open = ({ a, load }: Stage, limit: number): Promise<number> => load.openCampaign(urlOf(a), limit)

/** Claims for the user until the answer is definite. */
const insist = ({ load }: Stage, node: Node, campaignId: number, userId: number): Promise<Attempt> =>
  load.insist(() => [urlOf(node)], { campaignId, userId })

const held = async ({ rig }: Stage, campaignId: number, userId: number): Promise<boolean> =>
  (await query(rig.databaseUrl, `SELECT 1 FROM coupons WHERE campaign_id = ${campaignId} AND user_id = ${userId}`))
    .length > 0

const settled = ({ rig }: Stage) =>
  until(
    async () => (await query(rig.databaseUrl, "SELECT 1 FROM outbox WHERE kind <> 'VOID' LIMIT 1")).length === 0,
    5_000
  )

/**
 * Matches the n-th message that brings a coupon to a campaign's keys: it names the event stream, and a code is no
 * ASCII. The relay sends a publication if the event stream is on, then a confirmation; a rebuild the same for each
 * page.
 */
const couponWrites = (n: number) => {
  let seen = 0
  return (bytes: Buffer) => bytes.includes("}:e\r\n") && bytes.some((byte) => byte > 0x7f) && ++seen >= n
}

/** The claim of one user stands before the database when its instance dies. */
const dieBeforeCommit = async (stage: Stage, campaignId: number, meanwhile: () => Promise<unknown>): Promise<void> => {
  const { a, load } = stage
  const holding = a.sql.holdRequests(isGroupCommit)
  const claim = load.claim(urlOf(a), { campaignId, userId: 1 })
  const batch = await holding
  await meanwhile()
  await a.instance().kill()
  batch.drop()
  await claim
}

export const scenarios: Readonly<Record<MutationName, Scenario>> = {
  replyBeforeCommit: {
    what: "an instance dies while its batch is held before the database, after whatever it had answered",
    play: async (stage) => {
      const campaignId = await open(stage, 2)
      // Long enough for a reply that does not wait for the database.
      await dieBeforeCommit(stage, campaignId, () => until(() => stage.load.history.length > 0, 500))
      return fill(stage.load, [urlOf(stage.b)], [campaignId], PATIENCE)
    }
  },
  doubtIsFailure: {
    what: "a batch commits, its reply is lost, the claim is not repeated",
    play: async (stage) => {
      const { a, load } = stage
      const campaignId = await open(stage, 2)
      const holding = a.sql.holdReplies(isGroupCommit)
      const claim = load.claim(urlOf(a), { campaignId, userId: 1 })
      const reply = await holding
      await until(() => held(stage, campaignId, 1), 2_000)
      reply.drop()
      await claim
    }
  },
  noVoid: {
    what: "a batch's connection dies before the database receives it, and the bytes arrive after the answer",
    play: async (stage) => {
      const { a, load } = stage
      const campaignId = await open(stage, 2)
      const holding = a.sql.holdRequests(isGroupCommit)
      const claim = load.claim(urlOf(a), { campaignId, userId: 1 })
      const batch = await holding
      batch.sever()
      await claim
      batch.release()
      await until(() => held(stage, campaignId, 1), 3_000)
    }
  },
  pendingIsClaimed: {
    what: "a user asks at two instances; the first dies before its commit",
    play: async (stage) => {
      const campaignId = await open(stage, 2)
      await dieBeforeCommit(stage, campaignId, () => stage.load.claim(urlOf(stage.b), { campaignId, userId: 1 }))
    }
  },
  fullIsSoldOut: {
    what: "the only slot is reserved while another user claims; then its instance dies, and the slot is free",
    play: async (stage) => {
      const campaignId = await open(stage, 1)
      await dieBeforeCommit(stage, campaignId, () => stage.load.claim(urlOf(stage.b), { campaignId, userId: 2 }))
      return fill(stage.load, [urlOf(stage.b)], [campaignId], PATIENCE)
    }
  },
  answersTwice: {
    what: "a user clicks again while a foreign transaction holds the row, with a timeout that passes first",
    play: async (stage) => {
      const { a, load, rig } = stage
      const campaignId = await open(stage, 10)
      const url = urlOf(a)
      await load.claim(url, { campaignId, userId: 1 })
      await foreignSession(rig.databaseUrl, async (connection) => {
        for (const statement of holdingRow(campaignId)) await connection.query(statement)
        const first = load.claim(url, { campaignId, userId: 2 })
        await Promise.all(
          Array.from({ length: 5 }, () => load.claim(url, { campaignId, userId: 2, timeoutMillis: 100 }))
        )
        await connection.query("ROLLBACK")
        await first
      })
    }
  },
  eventOutsideTransaction: {
    what: "the connection of a relay dies when it has inserted events and waits for the head of their log",
    play: async (stage) => {
      const { a, rig } = stage
      const campaignId = await open(stage, 5)
      await insist(stage, a, campaignId, 1)
      await settled(stage)
      await foreignSession(rig.databaseUrl, async (connection) => {
        await connection.query("START TRANSACTION")
        await connection.query(`SELECT 1 FROM campaign_event_heads WHERE campaign_id = ${campaignId} FOR UPDATE`)
        await insist(stage, a, campaignId, 2)
        const waiting = () =>
          query(
            rig.databaseUrl,
            "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID() " +
              "AND info LIKE '%campaign_event_heads%'"
          )
        await until(async () => (await waiting()).length > 0, 5_000)
        for (const row of await waiting()) {
          // It may have given up meanwhile.
          await query(rig.databaseUrl, `KILL ${Number(row["id"] ?? row["ID"])}`).catch(() => {})
        }
        await connection.query("ROLLBACK")
      })
    }
  },
  watchOfTheTail,
  cursorBeforeAnswer,
  leaseNotFenced,
  noReaper: {
    what: "an instance dies with a reservation, and its user never comes back",
    play: async (stage) => {
      const campaignId = await open(stage, 3)
      await dieBeforeCommit(stage, campaignId, async () => {})
      return fill(stage.load, [urlOf(stage.b)], [campaignId], PATIENCE)
    }
  },
  noAudit: {
    what: "Redis comes back from a snapshot that is older than its last confirmations",
    play: async (stage) => {
      const { a, rig } = stage
      const campaignId = await open(stage, 10)
      for (const userId of [1, 2, 3]) await insist(stage, a, campaignId, userId)
      await settled(stage)
      await rig.redis.save()
      for (const userId of [4, 5, 6]) await insist(stage, a, campaignId, userId)
      await settled(stage)
      await rig.redis.kill()
      await rig.redis.restart()
    }
  },
  latchBySismember: {
    // The terms stay: without them the gate has no owner, and no script of ours answers anything.
    what: "a campaign is sold out, Redis loses the set of its holders, and holders ask again at once",
    // The reconciler would see the loss sooner than a holder who is a little late.
    env: { AUDIT_INTERVAL: "60 seconds" },
    play: async (stage) => {
      const { a, b, load, rig } = stage
      const campaignId = await open(stage, 5)
      // Through the other instance: one that saw a coupon itself needs no gate to know its holder.
      for (const userId of [1, 2, 3, 4, 5]) await insist(stage, b, campaignId, userId)
      await settled(stage)
      // Twice: the first answer sets the latch.
      for (const userId of [6, 7]) await insist(stage, a, campaignId, userId)
      await rig.redis.command("UNLINK", await gateKey(rig.databaseUrl, campaignId, "i"))
      await Promise.all([1, 2, 3, 4, 5].map((userId) => load.claim(urlOf(a), { campaignId, userId })))
    }
  },
  noFence: {
    what: "Redis is flushed while an instance rebuilds the gate, another one begins anew and dies, the first goes on",
    // The first instance must not lose patience with its page, nor the audit find the damage before we look. With the
    // event stream, a page is rejected for its lost events too.
    env: {
      HYDRATE_PAGE_SIZE: "10",
      REDIS_REPLY_TIMEOUT: "10 seconds",
      AUDIT_INTERVAL: "60 seconds",
      EVENT_STREAM: "off"
    },
    play: async (stage) => {
      const { a, b, load, rig } = stage
      const campaignId = await open(stage, 60)
      const users = (from: number, count: number) =>
        Array.from({ length: count }, (_, k) => ({ campaignId, userId: from + k }))
      await load.claimAll([urlOf(b)], users(1, 20), 10)
      await load.claimAll([urlOf(a)], users(21, 25), 10)
      await settled(stage)
      await rig.redis.flushAll()
      const thirdPage = a.redis.holdRequests(couponWrites(3))
      const first = load.claim(urlOf(a), { campaignId, userId: 1 })
      const page = await thirdPage
      await rig.redis.flushAll()
      const begun = b.redis.holdRequests(couponWrites(1))
      const second = load.claim(urlOf(b), { campaignId, userId: 21 })
      const held = await begun
      page.release()
      const reader = await openStores(rig.stores)
      try {
        await until(async () => (await reader.gate!(campaignId)).hydrated, 1_000)
        const ledger = await reader.ledger(campaignId)
        return lagViolations(await reader.gate!(campaignId), ledger)
      } finally {
        await reader.close()
        await b.instance().kill()
        held.drop()
        await Promise.all([first, second])
      }
    }
  },
  eventOnlyIfAdded: {
    what: "an event is on its way to Redis when that is flushed and another instance rebuilds the gate",
    // An instance relays what it committed itself at once, and the other one not before this is over.
    env: { REDIS_REPLY_TIMEOUT: "10 seconds", RELAY_INTERVAL: "10 seconds" },
    play: async (stage) => {
      const { a, b, load, rig } = stage
      const campaignId = await open(stage, 5)
      await insist(stage, a, campaignId, 1)
      await settled(stage)
      const holding = a.redis.holdRequests(couponWrites(1))
      await insist(stage, a, campaignId, 2)
      const publication = await holding
      await rig.redis.flushAll()
      await load.claim(urlOf(b), { campaignId, userId: 2 })
      publication.release()
    }
  },
  gateBeforeStream: {
    what: "Redis comes back from a snapshot that was taken between what the relay writes for one coupon",
    env: { REDIS_REPLY_TIMEOUT: "10 seconds", RELAY_INTERVAL: "10 seconds" },
    play: async (stage) => {
      const { a, rig } = stage
      const campaignId = await open(stage, 5)
      await insist(stage, a, campaignId, 1)
      await settled(stage)
      const holding = a.redis.holdRequests(couponWrites(2))
      await insist(stage, a, campaignId, 2)
      const second = await holding
      await rig.redis.save()
      second.release()
      await settled(stage)
      await rig.redis.kill()
      await rig.redis.restart()
    }
  },
  eventLostBetween: {
    what: "Redis is flushed between the publication of a batch and its confirmation",
    env: { REDIS_REPLY_TIMEOUT: "10 seconds", RELAY_INTERVAL: "1 second" },
    play: async (stage) => {
      const { a, load, rig } = stage
      const campaignId = await open(stage, 20)
      await insist(stage, a, campaignId, 1)
      await settled(stage)
      const holding = a.redis.holdRequests(couponWrites(2))
      // Several coupons: the gate publishes one itself where there is none, as a proof.
      const held = a.sql.holdRequests(isGroupCommit)
      const claims = Array.from({ length: 8 }, (_, k) => load.claim(urlOf(a), { campaignId, userId: k + 2 }))
      const batch = await held
      await pause(100)
      batch.release()
      const confirmation = await holding
      await rig.redis.flushAll()
      confirmation.release()
      await Promise.all(claims)
    }
  },
  pauseInGateOnly: {
    what: "a batch is held before the database while another instance pauses the campaign",
    play: async (stage) => {
      const { a, b, load } = stage
      const campaignId = await open(stage, 5)
      const holding = a.sql.holdRequests(isGroupCommit)
      const claim = load.claim(urlOf(a), { campaignId, userId: 1 })
      const batch = await holding
      const reply = await fetch(`${urlOf(b)}/coupon.v1.CouponService/PauseCampaign`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ campaignId })
      })
      if (reply.status !== 200) throw new Error(`PauseCampaign answered ${reply.status} ${await reply.text()}`)
      batch.release()
      const { outcome } = await claim
      return outcome === "CAMPAIGN_PAUSED"
        ? []
        : [`pause campaign ${campaignId}: user 1 received ${outcome} after it was acknowledged`]
    }
  },
  noRoomGuard: {
    what: "Redis is away and more users come at once than there is room",
    prepare: ["ALTER TABLE campaigns DROP CONSTRAINT campaigns_issued"],
    play: (stage) => rush(stage, 5)
  },
  inexactCounter: {
    what: "several users share one batch, and there is room for all",
    play: (stage) => rush(stage, 50)
  },
  poolBySearch: {
    what: "users claim one after the other from a pool of own codes",
    play: async (stage) => {
      const { a, b, load } = stage
      const campaignId = await load.openPool(urlOf(a), 20)
      for (let userId = 1; userId <= 10; userId++) await insist(stage, userId % 2 === 0 ? a : b, campaignId, userId)
    }
  },
  ...redemptionScenarios,
  ...erasureScenarios
}

/** 12 users at once, without a gate: all but the first share a batch. */
const rush = async (stage: Stage, limit: number): Promise<void> => {
  const { a, load, rig } = stage
  const campaignId = await open(stage, limit)
  await rig.redis.kill()
  const holding = a.sql.holdRequests(isGroupCommit)
  const claims = Array.from({ length: 12 }, (_, k) => load.claim(urlOf(a), { campaignId, userId: k + 1 }))
  const batch = await holding
  await pause(100)
  batch.release()
  await Promise.all(claims)
  await rig.redis.restart()
}
