import * as http from "node:http"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as Context from "effect/Context"
import * as AppConfig from "../../src/config/AppConfig.ts"
import { defaultCodes } from "../../src/domain/codes/CampaignCodes.ts"
import type { CodeImport } from "../../src/ports/CodeImports.ts"
import { afterIssueDefaults, type Campaign, type CampaignId } from "../../src/domain/Campaign.ts"
import type { Coupon, UserId } from "../../src/domain/Coupon.ts"
import type { ClaimFailure, IssueFailure } from "../../src/domain/Failure.ts"
import { issuedCoupon, type Redemption, redeemedCoupon, revokedCoupon } from "../../src/domain/redemption/Redemption.ts"
import type { UseCases } from "../../src/rpc/Startup.ts"
import { Startup } from "../../src/rpc/Startup.ts"
import * as Guard from "../../src/security/Guard.ts"
import type { Mounts } from "../../src/http/Mounts.ts"
import type { Patience } from "../../src/http/Patience.ts"
import * as Server from "../../src/http/Server.ts"
import * as Webhooks from "../../src/webhooks/Webhooks.ts"

export const coupon: Coupon = {
  campaignId: 1,
  id: 1,
  userId: 1001n,
  code: "가나다라마바사012",
  issuedAt: Date.UTC(2025, 5, 25)
}

export const campaign: Campaign = {
  campaignId: 1,
  name: "여름",
  announcedLimit: 1000,
  couponLimit: 1000,
  issuedCount: 0,
  returned: 0,
  codes: defaultCodes,
  codeCount: 0,
  ...afterIssueDefaults,
  status: "ACTIVE",
  startTime: Date.UTC(2025, 5, 25),
  endTime: undefined,
  version: 1,
  createdAt: Date.UTC(2025, 5, 24),
  updatedAt: Date.UTC(2025, 5, 24, 1, 2, 3, 4),
  phase: "OPEN",
  openedAt: Date.UTC(2025, 5, 25),
  soldOutAt: undefined,
  readAt: Date.UTC(2025, 5, 26)
}

export const codeImport: CodeImport = {
  campaignId: 1,
  importId: 1,
  requestId: "first",
  state: "OPEN",
  chunks: 1,
  received: 3,
  accepted: 2,
  duplicateInFile: 1,
  duplicateInCampaign: 0,
  invalid: 0,
  startedAt: Date.UTC(2025, 5, 24),
  updatedAt: Date.UTC(2025, 5, 24, 1)
}

export const redemption: Redemption = {
  campaignId: 1,
  sequence: 1,
  couponId: 1,
  action: "REDEEM",
  requestId: "one",
  terminalId: "till 7",
  orderRef: "",
  reason: "",
  occurredAt: undefined,
  slotReturned: false,
  at: Date.UTC(2025, 6, 1)
}

/** No call needs a key, and there are none; nor are there sessions and webhooks. */
export const unguarded: Pick<UseCases, "guard" | "apiKeys" | "sessions" | "webhooks"> = {
  webhooks: Webhooks.off,
  guard: Guard.open,
  apiKeys: {
    create: () => Effect.die("no keys here"),
    list: Effect.succeed([]),
    expiring: Effect.succeed([]),
    revoke: () => Effect.succeed(false),
    limit: () => Effect.die("no keys here"),
    rotate: () => Effect.die("no keys here"),
    upkeep: Effect.void,
    authenticate: () => Effect.succeed("unknown"),
    holder: () => Effect.succeed("unknown"),
    configured: Effect.succeed(false)
  },
  sessions: {
    start: () => Effect.die("no keys here"),
    find: () => Effect.succeed(undefined),
    end: () => Effect.succeed(false),
    list: Effect.succeed([])
  }
}

/** The use case with this answer to every claim. */
export const issuing = (
  claim: (
    campaignId: CampaignId,
    userId: UserId,
    timeoutMillis: number | undefined
  ) => Effect.Effect<Coupon, ClaimFailure>
): UseCases["issueCoupon"] => ({
  begin: ({ campaignId, timeoutMillis, userId }, { done, fork }) => {
    const answer = claim(campaignId, userId, timeoutMillis)
    if (Exit.isExit(answer)) done(answer as Exit.Exit<Coupon, ClaimFailure>)
    else fork(Effect.map(Effect.exit(answer), done))
  },
  claim: ({ campaignId, timeoutMillis, userId }) => Effect.suspend(() => claim(campaignId, userId, timeoutMillis))
})

/** Use cases that echo what reached them: the coupon carries the ids that were asked for. */
export const echo: UseCases = {
  ...unguarded,
  issueCoupon: issuing((campaignId, userId) => Effect.succeed({ ...coupon, campaignId, userId })),
  codePools: {
    start: (campaignId, requestId) => Effect.succeed({ ...codeImport, campaignId, requestId }),
    append: (key, index, codes) =>
      Effect.succeed({
        codeImport: { ...codeImport, ...key, chunks: index + 1 },
        accepted: codes.length,
        rejected: [{ index: 1, reason: "INVALID", text: "is empty" }]
      }),
    finish: (key, { dryRun }) => Effect.succeed({ codeImport: { ...codeImport, ...key, state: "FINISHED" }, dryRun }),
    abort: (key) => Effect.succeed({ ...codeImport, ...key, state: "ABORTED" }),
    find: (key) => Effect.succeed({ ...codeImport, ...key }),
    list: (campaignId) => Effect.succeed({ imports: [{ ...codeImport, campaignId }], nextBeforeId: 1 })
  },
  revocations: {
    revoke: ({ campaignId, reason, requestId, returnSlot }) =>
      Effect.succeed({
        coupon: revokedCoupon({ ...coupon, campaignId }, undefined, redemption),
        redemption: { ...redemption, campaignId, reason, requestId, action: "REVOKE", slotReturned: returnSlot }
      })
  },
  erasure: {
    erase: ({ afterCampaign }) => Effect.succeed({ coupons: 2, next: (afterCampaign ?? 0) + 1 })
  },
  redemptions: {
    redeem: (campaignId, _, requestId, details) =>
      Effect.succeed({
        coupon: redeemedCoupon({ ...coupon, campaignId }, undefined, {
          at: redemption.at, terminalId: details.terminalId
        }),
        redemption: { ...redemption, ...details, campaignId, requestId }
      }),
    undo: (campaignId, _, requestId, details) =>
      Effect.succeed({
        coupon: issuedCoupon({ ...coupon, campaignId }, undefined, redemption.at),
        redemption: { ...redemption, ...details, campaignId, requestId, action: "UNDO" }
      }),
    find: (campaignId) => Effect.succeed({ ...coupon, campaignId, expiresAt: undefined }),
    outcome: () => Effect.succeed({ coupon: issuedCoupon(coupon, undefined, 0), redemption }),
    list: ({ campaignId }) => Effect.succeed([{ ...redemption, campaignId }]),
    known: (of) => Effect.succeed(issuedCoupon(of, undefined, 0))
  },
  campaigns: {
    create: ({ draft }) => Effect.succeed({ ...campaign, ...draft }),
    get: (campaignId) =>
      Effect.succeed({ campaign: { ...campaign, campaignId }, coupons: [], nextPageToken: undefined }),
    getWithoutCodes: (campaignId) =>
      Effect.succeed({ campaign: { ...campaign, campaignId }, coupons: undefined, nextPageToken: undefined }),
    getCoupon: (campaignId, userId) => Effect.succeed({ ...coupon, campaignId, userId }),
    update: ({ campaignId, expected }, patch) =>
      Effect.succeed({ ...campaign, ...patch, campaignId, version: (expected ?? 1) + 1 }),
    pause: ({ campaignId }) => Effect.succeed({ ...campaign, campaignId, status: "PAUSED" }),
    resume: ({ campaignId }) => Effect.succeed({ ...campaign, campaignId }),
    end: ({ campaignId }) => Effect.succeed({ ...campaign, campaignId, status: "ENDED" }),
    list: ({ namePrefix }) =>
      Effect.succeed({ campaigns: [{ ...campaign, name: namePrefix }], nextPageToken: undefined })
  },
  coupons: {
    list: ({ filter: { campaignId = 1, userId = 1001n } }) =>
      Effect.succeed({
        coupons: [issuedCoupon({ ...coupon, campaignId, userId }, coupon.issuedAt + 1_000, coupon.issuedAt)],
        nextPageToken: undefined
      }),
    find: (campaignId, code) => Effect.succeed({ ...coupon, campaignId, code }),
    export: (campaignId, afterNumber) =>
      Effect.sync(() => {
        let left = [{ ...coupon, campaignId, id: afterNumber + 1, expiresAt: undefined }]
        const next = Effect.sync(() => {
          const page = left.length === 0 ? undefined : left
          left = []
          return page
        })
        return { lastNumber: afterNumber + 1, next }
      })
  },
  events: {
    list: (campaignId, afterSequence) =>
      Effect.succeed({
        events: [{
          campaignId,
          sequence: Number(afterSequence) + 1,
          type: "coupon.issued",
          firstNumber: 1,
          lastNumber: 2,
          payload: {},
          at: 0
        }],
        lastSequence: Number(afterSequence) + 1
      }),
    watch: (campaignId, afterSequence = 0n) =>
      Effect.sync(() => {
        let isFirst = true
        return Effect.suspend(() => {
          if (!isFirst) return Effect.never
          isFirst = false
          return Effect.succeed({
            _tag: "Snapshot" as const,
            campaign: { ...campaign, campaignId },
            sequence: Number(afterSequence)
          })
        })
      })
  }
}

/** Use cases that all end in `exit`. */
export const ending = (exit: Effect.Effect<never, IssueFailure>): UseCases => ({
  ...unguarded,
  issueCoupon: issuing(() => exit as Effect.Effect<never, ClaimFailure>),
  codePools: {
    start: () => exit as Effect.Effect<never, never>,
    append: () => exit as Effect.Effect<never, never>,
    finish: () => exit as Effect.Effect<never, never>,
    abort: () => exit as Effect.Effect<never, never>,
    find: () => exit as Effect.Effect<never, never>,
    list: () => exit as Effect.Effect<never, never>
  },
  revocations: { revoke: () => exit as Effect.Effect<never, never> },
  erasure: { erase: () => exit as Effect.Effect<never, never> },
  redemptions: {
    redeem: () => exit as Effect.Effect<never, never>,
    undo: () => exit as Effect.Effect<never, never>,
    find: () => exit as Effect.Effect<never, never>,
    outcome: () => exit as Effect.Effect<never, never>,
    list: () => exit as Effect.Effect<never, never>,
    known: () => exit as Effect.Effect<never, never>
  },
  campaigns: {
    create: () => exit as Effect.Effect<never, never>,
    get: () => exit as Effect.Effect<never, never>,
    getWithoutCodes: () => exit as Effect.Effect<never, never>,
    getCoupon: () => exit as Effect.Effect<never, never>,
    update: () => exit as Effect.Effect<never, never>,
    pause: () => exit as Effect.Effect<never, never>,
    resume: () => exit as Effect.Effect<never, never>,
    end: () => exit as Effect.Effect<never, never>,
    list: () => exit as Effect.Effect<never, never>
  },
  coupons: {
    list: () => exit as Effect.Effect<never, never>,
    find: () => exit as Effect.Effect<never, never>,
    export: () => exit as Effect.Effect<never, never>
  },
  events: {
    list: () => exit as Effect.Effect<never, never>,
    watch: () => exit as Effect.Effect<never, never>
  }
})

export interface Running {
  readonly url: string
  readonly port: number
  /** What was logged, in order. */
  readonly logs: ReadonlyArray<string>
  /** Drains; resolves when the server is gone. */
  readonly close: () => Promise<void>
}

/** Starts the real server over stub use cases; PORT is free unless said. */
export const start = async (options: {
  readonly useCases?: () => UseCases | undefined
  readonly waitingFor?: () => ReadonlyArray<string>
  readonly environment?: Record<string, string>
  readonly mounts?: Mounts
  /** Mounts that go by the settings and the use cases. */
  readonly mountsOf?: Effect.Effect<Mounts, never, AppConfig.AppConfig | Startup>
  readonly patience?: Partial<Patience>
} = {}): Promise<Running> => {
  const scope = Effect.runSync(Scope.make())
  const logs: Array<string> = []
  const logger = Logger.replace(Logger.defaultLogger, Logger.map(Logger.logfmtLogger, (line) => void logs.push(line)))
  const startup = Layer.succeed(Startup, {
    current: options.useCases ?? (() => echo),
    waitingFor: options.waitingFor ?? (() => [])
  })
  const layer = Layer.unwrapEffect(Effect.map(options.mountsOf ?? Effect.succeed({}), (mounts) =>
    Server.layerWith({ ...options.mounts, ...mounts }, undefined, options.patience))).pipe(
    Layer.provide([startup, AppConfig.layerTest({ PORT: "0", ...options.environment })]),
    Layer.provide(logger)
  )
  const listener = Context.get(await Effect.runPromise(Layer.buildWithScope(layer, scope)), Server.Listener)
  return {
    url: listener.url,
    port: listener.port,
    logs,
    close: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

export interface Reply {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

/** One HTTP/1.1 request on a connection of its own, with exactly these headers. */
export const request = (
  port: number,
  options: {
    readonly method?: string
    readonly path: string
    readonly headers?: Record<string, string>
    readonly body?: string | Uint8Array
    /** Without a content-length. */
    readonly chunked?: boolean
  }
): Promise<Reply> =>
  new Promise((resolve, reject) => {
    const sent = http.request({
      port,
      host: "127.0.0.1",
      method: options.method ?? "POST",
      path: options.path,
      agent: false,
      headers: {
        ...options.body !== undefined && options.chunked !== true
          ? { "content-length": Buffer.byteLength(options.body) }
          : {},
        ...options.headers
      }
    }, (response) => {
      const chunks: Array<Buffer> = []
      response.on("data", (chunk: Buffer) => chunks.push(chunk))
      response.on("end", () =>
        resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks).toString() }))
      response.on("error", reject)
    })
    sent.on("error", reject)
    if (options.body !== undefined) sent.write(options.body)
    sent.end()
  })

export const ISSUE = "/coupon.v1.CouponService/IssueCoupon"
export const json = { "content-type": "application/json" }

/**
 * Waits until `condition` holds; fails after a minute. Looks again at the next turns of the event loop, then every
 * millisecond: turns alone would take a core from what is awaited.
 */
export const until = async (condition: () => boolean): Promise<void> => {
  const bound = Date.now() + 60_000
  for (let looks = 0; !condition(); looks++) {
    if (Date.now() > bound) throw new Error("waited too long")
    await new Promise<void>((resolve) => {
      if (looks < 20) setImmediate(resolve)
      else setTimeout(resolve, 1)
    })
  }
}
