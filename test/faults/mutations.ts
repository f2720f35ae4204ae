/** One place of the program's source, and what stands there instead. */
export interface Patch {
  /** Below `src`. */
  readonly file: string
  /** Must occur in the file, exactly once. */
  readonly from: string
  readonly to: string
}

/** A way to get the protocol wrong. */
export interface Mutation {
  readonly name: string
  /** What is broken, in the words of the protocol. */
  readonly what: string
  readonly patches: ReadonlyArray<Patch>
}

const tentative = `      case "Pending":
      case "Full":
      case "Cold":
        return askAgain(claim, answer._tag)`

/** Mutations are of the program; what the database runs by itself is no part of it. */
const withoutProcedure: Patch = {
  file: "sql/mysql/MySqlLedger.ts",
  from: "let callableAt = 0",
  to: "let callableAt = Infinity"
}

/** What a page and the end of a rebuild are refused by. */
const FENCE = `if m[1] ~= ARGV[1] or m[2] ~= ARGV[2] or redis.call("SISMEMBER", KEYS[2], "#") == 0 then return 0 end`

/** How each coupon gets to stream and gate. */
const HAND_OVER =
  "Effect.flatMap(stream.publish(campaignId, coupons), (mark) => gate.confirm(campaignId, coupons, mark))"

export const mutations = [
  {
    name: "replyBeforeCommit",
    what: "OK is answered when the batch is on its way, not when COMMIT returned",
    patches: [{
      file: "claim/GroupCommit.ts",
      from: "return ledger.issue(batch).pipe(",
      to: `return Effect.as(
      Effect.forkDaemon(ledger.issue(batch)),
      batch.claims.map((claim): ClaimVerdict => ({
        _tag: "Issued",
        coupon: { ...claim, campaignId, id: 1, issuedAt: Date.now() }
      }))
    ).pipe(`
    }]
  },
  {
    name: "doubtIsFailure",
    what: "a commit in doubt is answered as failed",
    patches: [{
      file: "claim/GroupCommit.ts",
      from: "CommitInDoubt: (failure) => inDoubt(batch, failure, stepAside)",
      to: "CommitInDoubt: (failure) => unavailable(batch, failure as never)"
    }]
  },
  {
    name: "noVoid",
    what: "a batch in doubt is not forbidden (no VOID marker) before its users are looked up",
    patches: [{ file: "sql/mysql/Transactions.ts", from: "runText(connection, marker).pipe(", to: "Effect.void.pipe(" }]
  },
  {
    name: "pendingIsClaimed",
    what: "PENDING is answered as already claimed",
    patches: [{
      file: "claim/IssueCoupon.ts",
      from: tentative,
      to: `      case "Pending":
        return settle(
          claim,
          alreadyClaimed({ campaignId: claim.campaignId, userId: claim.userId, id: 1, code: "", issuedAt: Date.now() })
        )
      case "Full":
      case "Cold":
        return askAgain(claim, answer._tag)`
    }]
  },
  {
    name: "fullIsSoldOut",
    what: "FULL, which counts reservations, is answered as sold out",
    patches: [{
      file: "claim/IssueCoupon.ts",
      from: tentative,
      to: `      case "Full":
        return settle(claim, soldOut)
      case "Pending":
      case "Cold":
        return askAgain(claim, answer._tag)`
    }]
  },
  {
    name: "answersTwice",
    what: "a second claim that was answered by its own timeout stays registered, and is answered again",
    patches: [
      { file: "claim/SingleFlight.ts", from: "        waiting.delete(follower)\n", to: "" },
      { file: "claim/IssueCoupon.ts", from: "    claim.continuation = undefined\n", to: "" }
    ]
  },
  {
    name: "noReaper",
    what: "reservations of a dead instance are never resolved",
    patches: [{
      file: "agents/ReservationReaper.ts",
      from: "if (expired.length === 0) return",
      to: "if (expired.length >= 0) return"
    }]
  },
  {
    name: "noAudit",
    what: "a gate that lost confirmations is not noticed",
    patches: [{
      file: "agents/Reconciler.ts",
      from: "after.issued < tally.issued - tally.unrelayed) {",
      to: "after.issued < 0) {"
    }]
  },
  {
    name: "latchBySismember",
    what: "the latch's check asks for membership alone: not whether the gate is hydrated, nor whether it is sold out",
    patches: [
      `if not m[1] or m[2] ~= "1" or redis.call("SISMEMBER", KEYS[2], "#") == 0 then return nil end`,
      `if m[4] ~= "ACTIVE" or millis < tonumber(m[5]) or (m[6] ~= "" and millis >= tonumber(m[6])) then return nil end`,
      `if redis.call("SCARD", KEYS[2]) - 1 < tonumber(m[3]) then return nil end`
    ].map((from) => ({ file: "redis/scripts/check.lua", from, to: "" }))
  },
  {
    name: "noFence",
    what: "a hydrator whose generation is over goes on writing pages, and declares the gate complete",
    patches: [
      {
        file: "redis/scripts/hydrateChunk.lua",
        from: FENCE,
        to: `m[3] = m[3] or "5000"`
      },
      { file: "redis/scripts/hydrateEnd.lua", from: FENCE, to: `redis.call("SADD", KEYS[2], "#")` }
    ]
  },
  {
    name: "eventOnlyIfAdded",
    what: "the event is published only if the set lacks the user, and a rebuild adds without one",
    patches: [
      {
        file: "agents/outbox/CouponSinks.ts",
        from: HAND_OVER,
        to: `Effect.flatMap(gate.absent(campaignId, coupons), ({ coupons: absent, mark: seen }) =>
      Effect.flatMap(stream.publish(campaignId, absent, seen), (mark) => gate.confirm(campaignId, coupons, mark)))`
      },
      {
        file: "agents/GateRebuilder.ts",
        from: "({ coupons, mark }) => stream.publish(campaignId, coupons, mark)",
        to: "() => Effect.succeed(undefined)"
      }
    ]
  },
  {
    name: "gateBeforeStream",
    what: "the gate gets a coupon before the event stream does",
    patches: [{
      file: "agents/outbox/CouponSinks.ts",
      from: HAND_OVER,
      to: "Effect.zipRight(gate.confirm(campaignId, coupons), stream.publish(campaignId, coupons))"
    }]
  },
  {
    name: "eventLostBetween",
    what: "the gate confirms coupons whose events Redis has lost since they were published",
    patches: [{
      file: "redis/scripts/own.lua",
      from: `if after ~= "" and #redis.call("XRANGE", KEYS[4], after, after) == 0 then`,
      to: "if false then"
    }]
  },
  {
    name: "pauseInGateOnly",
    what: "the ledger does not look at the status, so that a pause is what the gate makes of it",
    patches: [
      withoutProcedure,
      {
        file: "sql/mysql/GroupCommitText.ts",
        from: "WHERE c.id = ${id} AND c.status = 'ACTIVE'",
        to: "WHERE c.id = ${id}"
      }
    ]
  },
  {
    name: "noRoomGuard",
    what: "coupons are inserted, and counted, beyond the limit (without the table's own CHECK)",
    patches: [
      { file: "sql/mysql/GroupCommitText.ts", from: "ON w.n <= c.coupon_limit - c.current_coupon", to: "ON w.n > 0" },
      {
        file: "sql/mysql/GroupCommitText.ts",
        from: " AND current_coupon + @inserted <= coupon_limit,",
        to: ","
      }
    ]
  },
  {
    name: "inexactCounter",
    what: "the counter grows by one a batch instead of one a coupon",
    patches: [
      withoutProcedure,
      {
        file: "sql/mysql/GroupCommitText.ts",
        from: `IF(current_coupon + @inserted = (\${lastId}) AND current_coupon + @inserted <= coupon_limit,
    current_coupon + @inserted, NULL)`,
        to: "current_coupon + 1"
      },
      // The guard that would notice.
      {
        file: "sql/mysql/GroupCommitText.ts",
        from: "current_coupon - @inserted + 1, IF(current_coupon = (${lastId}), current_coupon, NULL)",
        to: "(${lastId}) - @inserted + 1, (${lastId})"
      }
    ]
  },
  {
    name: "poolBySearch",
    what: "a coupon gets a code of the pool that no coupon has, instead of the one of its number",
    patches: [
      withoutProcedure,
      {
        file: "sql/mysql/GroupCommitText.ts",
        from: "ON p.campaign_id = c.id AND p.number = c.current_coupon + w.n",
        to: "ON p.campaign_id = c.id AND p.number = (SELECT q.number FROM code_pool AS q WHERE q.campaign_id = c.id " +
          "AND NOT EXISTS (SELECT 1 FROM coupons AS u WHERE u.campaign_id = c.id AND u.code = q.code) " +
          "ORDER BY q.code LIMIT 1)"
      }
    ]
  },
  {
    name: "stateBeforeLock",
    what: "the states of coupons are read before the lock of the head, and the last one to write a state wins",
    patches: [
      {
        file: "sql/mysql/redemptions/MySqlRedemptions.ts",
        from: "    ...lockRedemptions(id),\n    ...commitText(",
        to: `    "DROP TEMPORARY TABLE IF EXISTS seen_states",
    \`CREATE TEMPORARY TABLE seen_states AS SELECT * FROM coupon_states WHERE campaign_id = \${id}\`,
    ...lockRedemptions(id),
    ...commitText(`
      },
      {
        file: "sql/redemptions/RedemptionText.ts",
        from: "  LEFT JOIN coupon_states AS s ON",
        to: "  LEFT JOIN seen_states AS s ON"
      },
      {
        file: "sql/redemptions/RedemptionText.ts",
        from: "INSERT INTO coupon_states (",
        to: "REPLACE INTO coupon_states ("
      }
    ]
  },
  {
    name: "requestNotUnique",
    what: "a request that has an answer is decided again",
    patches: [{ file: "sql/redemptions/RedemptionText.ts", from: "\n  WHERE a.request_id IS NULL", to: "" }]
  },
  {
    name: "validityAtRedemption",
    what: "a coupon expires by the validity that its campaign has when it is redeemed",
    patches: [{
      file: "domain/validity/ValidityHistory.ts",
      from: "changes.findLast(({ firstId }) => firstId <= id)",
      to: "changes.at(-1)"
    }]
  },
  {
    name: "expiryByOwnClock",
    what: "an instance decides by its own clock whether a coupon has expired",
    patches: [{
      file: "campaigns/CouponRedemptions.ts",
      from: "couponId: coupon.id, expiresAt, requestId",
      to: "couponId: coupon.id, expiresAt: (expiresAt ?? Infinity) <= Date.now() ? 0 : undefined, requestId"
    }]
  },
  {
    name: "returnWithoutRaise",
    what: "a slot is returned, and the limit is not raised",
    patches: [{
      file: "sql/redemptions/RevocationText.ts",
      from: "SET coupon_limit = ${integer(to.couponLimit)}, returned",
      to: "SET returned"
    }]
  },
  {
    name: "forgottenBeforeGate",
    what: "the ledger forgets who was erased before the gate has taken the user out",
    patches: [{
      file: "agents/ErasureWatch.ts",
      from: "const followed = yield* gate.erase(",
      to: `yield* erasures.followed(campaignId, coupons.map(({ couponId }) => couponId))
      const followed = yield* gate.erase(`
    }]
  },
  {
    name: "erasedComesBack",
    what: "a confirmation of before an erasure adds the former user to the gate again",
    patches: [{ file: "redis/scripts/confirm.lua", from: "elseif m[2] then", to: "elseif false then" }]
  },
  {
    name: "eventOutsideTransaction",
    what: "events are appended outside of the relay's transaction, without the lock of their head",
    patches: [{
      file: "sql/mysql/MySqlEventLog.ts",
      from: "ORDER BY campaign_id FOR UPDATE`",
      to: "ORDER BY campaign_id`"
    }, {
      file: "sql/mysql/MySqlEventLog.ts",
      from: "campaign_id = VALUES(campaign_id)`\n  ]",
      to: "campaign_id = VALUES(campaign_id)`,\n    \"COMMIT\"\n  ]"
    }]
  },
  {
    name: "watchOfTheTail",
    what: "a watch begins with what its instance keeps of the log, though events before that are missing",
    patches: [{
      file: "agents/events/EventTails.ts",
      from: "const place = afterSequence + 1 - (events[0]?.sequence ?? Infinity)",
      to: "const place = Math.max(0, afterSequence + 1 - (events[0]?.sequence ?? Infinity))"
    }]
  },
  {
    name: "cursorBeforeAnswer",
    what: "the cursor of a webhook moves when the request is on its way, not when the receiver answered",
    patches: [{
      file: "webhooks/delivery/Lane.ts",
      from: "const outcome = yield* Outbound.send({ box, sender }, endpoint, id, batch.body)",
      to: `flush.taken(batch, undefined)
        const outcome = yield* Outbound.send({ box, sender }, endpoint, id, batch.body)`
    }]
  },
  {
    name: "leaseNotFenced",
    what: "an instance that has lost the lease of a webhook's cursor still moves it",
    patches: [{
      file: "sql/webhooks/SqlWebhookCursors.ts",
      from: "`${keyOf(held)} AND token = ${integer(held.token)}`",
      to: "keyOf(held)"
    }]
  }
] as const satisfies ReadonlyArray<Mutation>

export type MutationName = (typeof mutations)[number]["name"]

/** What an instance prints of each patch that it runs with. */
export const applied = (patch: Patch): string => `mutated ${patch.file}: ${patch.to.trim().split("\n")[0]}`
