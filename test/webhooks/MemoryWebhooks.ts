import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { CampaignId } from "../../src/domain/CampaignId.ts"
import type { Coupon } from "../../src/domain/Coupon.ts"
import { MAX_WEBHOOKS, sinceOf, type WebhookEndpoint, type WebhookPosition } from "../../src/domain/webhooks/Webhook.ts"
import { CouponExpiry } from "../../src/expiry/CouponExpiry.ts"
import { type CampaignEvent, EventLog } from "../../src/ports/EventLog.ts"
import { Ledger, LedgerUnavailable } from "../../src/ports/Ledger.ts"
import { MAX_PARKED, type WebhookAttempt, WebhookCursors } from "../../src/ports/webhooks/WebhookCursors.ts"
import { WebhookEndpoints } from "../../src/ports/webhooks/WebhookEndpoints.ts"
import { type NotedAttempt, type ParkedDelivery, WebhookRecords } from "../../src/ports/webhooks/WebhookRecords.ts"

interface Cursor {
  readonly endpointId: string
  readonly campaignId: CampaignId
  position: WebhookPosition
  failures: number
  end: WebhookPosition | undefined
  dueAt: number
  token: number
  owner: string | undefined
  leaseUntil: number
}

type Parked = { -readonly [K in keyof ParkedDelivery]: ParkedDelivery[K] } & {
  token: number
  owner: string | undefined
  leaseUntil: number
}

/** What tests see and set of the log and the webhooks in memory. */
export class MemoryStore extends Context.Tag("test/MemoryWebhooks")<MemoryStore, {
  /** Issues so many coupons in one range, at a time. */
  readonly issue: (campaignId: CampaignId, count: number, at?: number) => CampaignEvent
  /** Appends an event of another type. */
  readonly append: (campaignId: CampaignId, type: CampaignEvent["type"], at?: number) => CampaignEvent
  /** Removes the events of a campaign up to a sequence, as retention does. */
  readonly forget: (campaignId: CampaignId, upTo: number) => void
  readonly cursor: (endpointId: string, campaignId: CampaignId) => Cursor | undefined
  /** Actions of the audit log. */
  readonly acts: ReadonlyArray<string>
  /** Every operation fails while this is true. */
  down: boolean
}>() {}

const make = () => {
  const endpoints = new Map<string, WebhookEndpoint>()
  const cursors = new Map<string, Cursor>()
  const attempts: Array<NotedAttempt & { readonly endpointId: string }> = []
  const parked: Array<Parked> = []
  const events = new Map<CampaignId, Array<CampaignEvent>>()
  const moved = new Map<CampaignId, number>()
  const removed = new Map<CampaignId, number>()
  const acts: Array<string> = []
  let lastAttempt = 0
  let lastParked = 0
  const now = () => Date.now()

  const store: MemoryStore["Type"] = {
    issue: (campaignId, count, at = now()) => {
      const log = events.get(campaignId) ?? []
      const first = log.reduce((most, { lastNumber }) => Math.max(most, lastNumber), 0) + 1
      return add(campaignId, "coupon.issued", first, first + count - 1, at)
    },
    append: (campaignId, type, at = now()) => add(campaignId, type, 0, 0, at),
    forget: (campaignId, upTo) => {
      events.set(campaignId, (events.get(campaignId) ?? []).filter(({ sequence }) => sequence > upTo))
      removed.set(campaignId, upTo)
    },
    cursor: (endpointId, campaignId) => cursors.get(`${campaignId}:${endpointId}`),
    acts,
    down: false
  }
  const add = (
    campaignId: number,
    type: CampaignEvent["type"],
    firstNumber: number,
    lastNumber: number,
    at: number
  ) => {
    const log = events.get(campaignId) ?? []
    const event = { campaignId, sequence: headOf(campaignId) + 1, type, firstNumber, lastNumber, payload: {}, at }
    events.set(campaignId, [...log, event])
    moved.set(campaignId, now())
    return event
  }
  const run = <A>(work: () => A) =>
    Effect.suspend(() =>
      store.down ? Effect.fail(new LedgerUnavailable({ cause: new Error("down") })) : Effect.sync(work))

  const headOf = (campaignId: number) => events.get(campaignId)?.at(-1)?.sequence ?? removed.get(campaignId) ?? 0
  const cursorOf = (endpointId: string, campaignId: number, since: number) => {
    const key = `${campaignId}:${endpointId}`
    const found = cursors.get(key)
    if (found !== undefined) return found
    const first = (events.get(campaignId) ?? []).find(({ at }) => at >= since)
    const made: Cursor = {
      endpointId,
      campaignId,
      position: { sequence: first === undefined ? headOf(campaignId) : first.sequence - 1, number: 0 },
      failures: 0,
      end: undefined,
      dueAt: 0,
      token: 0,
      owner: undefined,
      leaseUntil: 0
    }
    cursors.set(key, made)
    return made
  }
  const shown = ({ campaignId, end, endpointId, failures, position, token }: Cursor) =>
    ({ campaignId, endpointId, end, failures, position, token })
  const held = ({ campaignId, endpointId, token }: { campaignId: number; endpointId: string; token: number }) => {
    const found = cursors.get(`${campaignId}:${endpointId}`)
    return found?.token === token ? found : undefined
  }
  const note = (endpointId: string, campaignId: number, attempt: WebhookAttempt | undefined) => {
    if (attempt !== undefined) attempts.push({ ...attempt, endpointId, campaignId, id: ++lastAttempt, at: now() })
  }
  const free = (cursor: Cursor) => Object.assign(cursor, { owner: undefined, leaseUntil: 0, token: cursor.token + 1 })
  const sound = (cursor: Cursor) => Object.assign(cursor, { failures: 0, end: undefined, dueAt: 0 })

  const context = Context.make(MemoryStore, store).pipe(
    Context.add(WebhookEndpoints, {
      now: run(now),
      all: run(() => [...endpoints.values()].sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1))),
      create: (endpoint) =>
        run(() => {
          if (endpoints.size >= MAX_WEBHOOKS) return false
          endpoints.set(endpoint.id, endpoint)
          acts.push("webhook.create")
          return true
        }),
      change: ({ action, from, to }) =>
        run(() => {
          if (endpoints.get(from.id)?.version !== from.version) return false
          endpoints.set(from.id, { ...to, version: from.version + 1, updatedAt: now() })
          acts.push(action)
          const again = (from.status !== to.status && to.status === "ENABLED") || from.url !== to.url
          for (const [key, cursor] of cursors) {
            if (cursor.endpointId !== from.id) continue
            if (again) cursor.dueAt = 0
            const isLeft = to.scope.all === undefined &&
              !to.scope.some.some(({ campaignId }) => campaignId === cursor.campaignId)
            if (isLeft) cursors.delete(key)
          }
          return true
        }),
      remove: ({ id, version }) =>
        run(() => {
          if (endpoints.get(id)?.version !== version) return false
          endpoints.delete(id)
          acts.push("webhook.delete")
          for (const [key, { endpointId }] of cursors) if (endpointId === id) cursors.delete(key)
          for (const rows of [attempts, parked]) {
            for (let at = rows.length - 1; at >= 0; at--) if (rows[at]!.endpointId === id) rows.splice(at, 1)
          }
          return true
        }),
      reseal: ({ id, version }, sealed) =>
        run(() => {
          const found = endpoints.get(id)
          if (found?.version !== version) return
          const secrets = found.secrets.map((one, index) => ({ ...one, sealed: sealed[index]! }))
          endpoints.set(id, { ...found, secrets })
        }),
      noteFailing: (id, failing) =>
        run(() => {
          const found = endpoints.get(id)
          if (found === undefined || failing === (found.failingSince !== undefined)) return
          endpoints.set(id, { ...found, failingSince: failing ? now() : undefined })
        })
    }),
    Context.add(WebhookCursors, {
      claim: ({ campaigns, concurrency, endpointId, leaseMillis, owner }) =>
        run(() => {
          const all = campaigns.map(({ campaignId, since }) => cursorOf(endpointId, campaignId, since))
          for (const cursor of all) {
            const live = [...cursors.values()].filter((one) =>
              one.endpointId === endpointId && one.leaseUntil > now()).length
            const isFree = cursor.leaseUntil <= now() && cursor.dueAt <= now() && live < concurrency
            if (!isFree || endpoints.get(endpointId)?.status !== "ENABLED") continue
            Object.assign(cursor, { owner, leaseUntil: now() + leaseMillis, token: cursor.token + 1 })
          }
          const isMine = (cursor: Cursor) => cursor.owner === owner && cursor.leaseUntil > now()
          return {
            held: all.filter(isMine).map(shown),
            others: all.filter((cursor) => !isMine(cursor)).map((cursor) => ({
              ...shown(cursor),
              waitMillis: Math.max(0, cursor.leaseUntil - now(), cursor.dueAt - now())
            }))
          }
        }),
      renew: (all, leaseMillis) =>
        run(() =>
          all.filter((one) => {
            const cursor = held(one)
            if (cursor !== undefined) cursor.leaseUntil = now() + leaseMillis
            return cursor !== undefined
          })
        ),
      advance: (one, position, attempt) =>
        run(() => {
          const cursor = held(one)
          if (cursor === undefined) return false
          Object.assign(sound(cursor), { position })
          note(one.endpointId, one.campaignId, attempt)
          return true
        }),
      fail: (one, { attempt, end, failures, position, waitMillis }) =>
        run(() => {
          const cursor = held(one)
          if (cursor === undefined) return
          Object.assign(free(cursor), { position, end, failures, dueAt: now() + waitMillis })
          note(one.endpointId, one.campaignId, attempt)
        }),
      park: (one, attempt) =>
        run(() => {
          const cursor = held(one)
          if (cursor === undefined) return "Lost" as const
          const { from, reason, to } = attempt
          const own = parked.filter(({ endpointId }) => endpointId === one.endpointId)
          if (own.length >= MAX_PARKED) return "Full" as const
          parked.push({
            id: ++lastParked,
            endpointId: one.endpointId,
            campaignId: one.campaignId,
            from,
            to,
            reason,
            parkedAt: now(),
            isDue: false,
            token: 0,
            owner: undefined,
            leaseUntil: 0
          })
          note(one.endpointId, one.campaignId, attempt)
          Object.assign(sound(cursor), { position: to })
          return "Parked" as const
        }),
      due: (limit) =>
        run(() =>
          [...cursors.values()].filter(({ dueAt, leaseUntil }) => dueAt > 0 && dueAt <= now() && leaseUntil <= now())
            .sort((a, b) => a.dueAt - b.dueAt).slice(0, limit).map(shown)
        ),
      skip: (one, to) =>
        run(() => {
          const cursor = held(one)
          if (cursor === undefined) return false
          if (cursor.position.sequence >= to.sequence) return true
          Object.assign(sound(cursor), { position: to })
          acts.push("webhook.skip")
          return true
        }),
      neededAfter: (campaignId) =>
        run(() => {
          const needed: Array<number> = []
          for (const { id, scope, status } of endpoints.values()) {
            if (status !== "ENABLED") continue
            for (const one of parked) {
              if (one.endpointId === id && one.campaignId === campaignId) needed.push(one.from.sequence)
            }
            const since = sinceOf(scope, campaignId)
            const known = cursors.get(`${campaignId}:${id}`)
            const first = (events.get(campaignId) ?? []).find(({ at }) => since !== undefined && at >= since)
            if (since !== undefined && known !== undefined) needed.push(known.position.sequence)
            else if (first !== undefined) needed.push(first.sequence - 1)
          }
          return needed.length === 0 ? undefined : Math.min(...needed)
        }),
      release: (one) =>
        run(() => {
          const cursor = held(one)
          if (cursor !== undefined) Object.assign(free(cursor), { dueAt: 0 })
        }),
      replay: ({ campaignId, endpointId, sequence }) =>
        run(() => {
          const cursor = free(sound(cursorOf(endpointId, campaignId, 0)))
          const after = Math.max(sequence, removed.get(campaignId) ?? 0)
          Object.assign(cursor, { position: { sequence: after, number: 0 }, dueAt: now() })
          acts.push("webhook.replay")
        })
    }),
    Context.add(WebhookRecords, {
      attempts: ({ beforeId = Infinity, campaignId, endpointId, limit }) =>
        run(() =>
          attempts.filter((one) =>
            one.endpointId === endpointId && one.id < beforeId &&
            (campaignId === undefined || one.campaignId === campaignId)).reverse().slice(0, limit)
            .map(({ endpointId: _, ...attempt }) => attempt)
        ),
      note: (endpointId, campaignId, attempt) => run(() => note(endpointId, campaignId, attempt)),
      purge: (olderThanMillis, keep) =>
        run(() => {
          for (const id of endpoints.keys()) {
            const own = attempts.filter(({ endpointId }) => endpointId === id)
            const doomed = own.filter(({ at }, index) => at < now() - olderThanMillis || index < own.length - keep)
            for (const one of doomed) attempts.splice(attempts.indexOf(one), 1)
          }
        }),
      parked: ({ afterId, endpointId, limit }) =>
        run(() =>
          parked.filter((one) => one.endpointId === endpointId && one.id > afterId).slice(0, limit)
            .map(({ leaseUntil: _, owner: _owner, token: _token, ...one }) => one)
        ),
      retry: ({ endpointId, ids }) =>
        run(() => {
          const those = parked.filter((one) => one.endpointId === endpointId && (ids?.includes(one.id) ?? true))
          for (const one of those) one.isDue = true
          acts.push("webhook.retry_parked")
          return those.length
        }),
      dueParked: run(() => [
        ...new Set(parked.filter((one) => one.isDue && one.leaseUntil <= now()).map(({ endpointId }) => endpointId))
      ]),
      claimParked: (endpointId, owner, leaseMillis) =>
        run(() => {
          const found = parked.find((one) => one.endpointId === endpointId && one.isDue && one.leaseUntil <= now())
          if (found === undefined) return undefined
          Object.assign(found, { owner, token: found.token + 1, leaseUntil: now() + leaseMillis })
          const { leaseUntil: _, owner: _owner, ...one } = found
          return one
        }),
      settleParked: ({ id, token }, failed) =>
        run(() => {
          const at = parked.findIndex((one) => one.id === id && one.token === token)
          if (at < 0) return
          if (failed === undefined) parked.splice(at, 1)
          else Object.assign(parked[at]!, { isDue: false, leaseUntil: 0, reason: failed })
        })
    }),
    Context.add(EventLog, {
      read: (campaignId, after, limit) =>
        run(() => (events.get(campaignId) ?? []).filter(({ sequence }) => sequence > after).slice(0, limit)),
      head: (campaignId) => run(() => headOf(campaignId)),
      heads: (ids) =>
        run(() =>
          ids.filter((id) => headOf(id) > 0).map((campaignId) =>
            ({ campaignId, sequence: headOf(campaignId), movedAt: moved.get(campaignId)! }))
        ),
      append: () => Effect.succeed([]),
      lagging: () => Effect.succeed({ campaignIds: [], nextAfterId: undefined }),
      remove: () => Effect.succeed({ removed: 0, nextAfterId: undefined }),
      lag: Effect.succeed({ commits: 0, oldestAgeMillis: 0 }),
      movedSince: (since, limit) =>
        run(() =>
          [...moved].filter(([, at]) => at >= since).sort((a, b) => a[1] - b[1]).slice(0, limit)
            .map(([campaignId, movedAt]) => ({ campaignId, sequence: headOf(campaignId), movedAt }))
        )
    })
  )
  const coupon = (campaignId: number, id: number): Coupon =>
    ({ campaignId, id, userId: BigInt(1_000 + id), code: `코드${id}`, issuedAt: 1_750_000_000_000 })
  const ledger = {
    listCoupons: (campaignId: CampaignId, afterId: number, limit: number) =>
      run(() => {
        const last = (events.get(campaignId) ?? []).reduce((most, { lastNumber }) => Math.max(most, lastNumber), 0)
        const count = Math.max(0, Math.min(limit, last - afterId))
        return Array.from({ length: count }, (_, index) => coupon(campaignId, afterId + 1 + index))
      })
  } as Partial<Ledger["Type"]> as Ledger["Type"]
  // Coupons with odd numbers expire an hour after their issue.
  const expiry = CouponExpiry.of({
    of: (coupons) =>
      Effect.succeed(coupons.map(({ id, issuedAt }) => id % 2 === 0 ? undefined : issuedAt + 3_600_000)),
    ofIssued: () => Effect.succeed(undefined),
    ifRemembered: (coupon) => coupon
  })
  return Context.add(Context.add(context, Ledger, ledger), CouponExpiry, expiry)
}

/** The log, the coupons in it and the webhooks, in memory. */
export const layer = Layer.effectContext(Effect.sync(make))

/** The ports of webhooks alone. */
export const layerPorts: Layer.Layer<WebhookEndpoints | WebhookCursors | WebhookRecords> = Layer.effectContext(
  Effect.sync(() => Context.pick(WebhookEndpoints, WebhookCursors, WebhookRecords)(make()))
)
