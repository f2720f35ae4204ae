import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { AppConfig } from "../config/AppConfig.ts"
import * as Advice from "../contract/Advice.ts"
import * as Violations from "./Violations.ts"
import { AuditChain } from "../ports/AuditChain.ts"
import * as AuditRows from "./audit/AuditRows.ts"
import * as ChainVerification from "./audit/ChainVerification.ts"
import * as Timeline from "./audit/Timeline.ts"
import { AuditLog } from "../ports/AuditLog.ts"
import { CampaignPhases } from "../ports/CampaignPhases.ts"
import { GateFacts } from "../ports/operation/GateFacts.ts"
import { CampaignStore } from "../ports/CampaignStore.ts"
import { LedgerFacts, type SessionFact } from "../ports/LedgerFacts.ts"
import { Outbox } from "../ports/Outbox.ts"
import { Startup } from "../rpc/Startup.ts"
import { ApiKeys, type KeyConflict, KeyRejected, type LastAdminKey } from "../security/ApiKeys.ts"
import { Sessions } from "../security/sessions/Sessions.ts"
import { anonymousAdmin, type Principal } from "../domain/Principal.ts"
import { WebhookEndpoints } from "../ports/webhooks/WebhookEndpoints.ts"
import { VERSION } from "../config/Version.ts"
import * as Backup from "./Backup.ts"
import * as Verification from "./Verification.ts"
import { effectiveSettings } from "./EffectiveSettings.ts"
import * as GateRebuild from "./GateRebuild.ts"
import { instanceName, startedAt } from "./InstanceName.ts"
import {
  Conflict, InvalidArgument, LAST_ADMIN_KEY, NotFound, type OperatorFailure, Overloaded
} from "../contract/OperatorErrors.ts"
import { protections } from "../metrics/ProtectionMetrics.ts"
import { keyOf } from "./admission/OperatorSlots.ts"
import { failureOf, type StoreFailure, stopping, storesAway } from "./OperatorFailures.ts"
import { OperatorRpcs } from "../contract/OperatorRpcs.ts"
import { Caller } from "../contract/operator/CallAccess.ts"
import type { VerifyEvent, Violation } from "../contract/operator/Verification.ts"
import { OperatorServices, type Ports } from "./OperatorServices.ts"
import * as OverviewSampler from "./OverviewSampler.ts"

type Failure = OperatorFailure | StoreFailure


const FIRST_KEY = "the first key must have the role ADMIN: it closes administration, and only an ADMIN key makes others"

const sessionRow = ({ name, required, value }: SessionFact) =>
  required === undefined ? { name, value } : { name, value, required }

/** A store's own facts; `null` if it does not answer within a second. */
const factsOf = <E>(store: {
  readonly now: Effect.Effect<number, E>
  readonly settings: Effect.Effect<Readonly<Record<string, string>>, E>
  readonly session?: Effect.Effect<ReadonlyArray<SessionFact>, E>
}) =>
  Effect.gen(function*() {
    // Without the right to read these there are no rows. The clock below shows whether the store answers.
    const settings = yield* Effect.orElseSucceed(store.settings, () => ({}))
    const session = yield* Effect.orElseSucceed(store.session ?? Effect.succeed([]), () => [])
    const sentAt = Date.now()
    const now = yield* store.now
    // The store read its clock at some time between request and reply.
    return { now, askedAt: Math.round((sentAt + Date.now()) / 2), settings, session: session.map(sessionRow) }
  }).pipe(Effect.disconnect, Effect.timeout("1 second"), Effect.option, Effect.map(Option.getOrNull))

/** Rows of the ledger; none while it does not answer. */
const rowsOf = <A, E>(rows: Effect.Effect<ReadonlyArray<A>, E>): Effect.Effect<ReadonlyArray<A>> =>
  rows.pipe(Effect.disconnect, Effect.timeout("1 second"), Effect.orElseSucceed(() => []))

/** Keys that expire soon. */
const expiringOf = ({ expiring }: ApiKeys["Type"]) =>
  Effect.map(rowsOf(expiring), (keys) =>
    keys.map(({ id, limits, name }) => ({ id, name, expiresAt: limits.expiresAt! })))

/** How many enabled webhooks get no events. */
const waitingOf = ({ all }: WebhookEndpoints["Type"], { secretsKey }: AppConfig["Type"]) =>
  Option.isSome(secretsKey)
    ? Effect.succeed(0)
    : Effect.map(rowsOf(all), (endpoints) => endpoints.filter(({ status }) => status === "ENABLED").length)

/** What the failures of keys are on the wire. */
const creationFailures = {
  KeyRejected: ({ message }: KeyRejected) => Effect.fail(new InvalidArgument({ message })),
  KeyConflict: ({ message }: KeyConflict) => Effect.fail(new Conflict({ message }))
}
const lastKeyFailure = {
  LastAdminKey: ({ message }: LastAdminKey) => Effect.fail(new Conflict({ message, code: LAST_ADMIN_KEY }))
}
const keyFailures = {
  ...creationFailures,
  ...lastKeyFailure,
  KeyNotFound: () => Effect.fail(new NotFound({ message: "there is no such key" }))
}

/** Every call, over the ports of this service. `stopped` completes when the instance begins to stop. */
export const layer = (stopped: Effect.Effect<void>) =>
  OperatorRpcs.toLayer(Effect.gen(function*() {
    const services = yield* OperatorServices
    const { noteVerified, samples } = yield* OverviewSampler.Overviews
    const rebuild = yield* GateRebuild.make
    const backup = yield* Backup.make
    const startup = yield* Startup
    const config = yield* AppConfig

    const ports: Effect.Effect<Context.Context<Ports>, OperatorFailure> = Effect.suspend(() => {
      const context = services.current()
      return context === undefined ? Effect.fail(storesAway(startup.waitingFor())) : Effect.succeed(context)
    })

    /** A call that needs the stores. */
    const call = <A>(name: string, effect: Effect.Effect<A, Failure, Ports>): Effect.Effect<A, OperatorFailure> =>
      Effect.flatMap(ports, (context) => Effect.provide(effect, context)).pipe(
        Effect.raceFirst(Effect.zipRight(stopped, Effect.fail(stopping))),
        Effect.catchAllCause((cause) => failureOf(name, cause))
      )

    const stream = <A>(name: string, events: Stream.Stream<A, Failure, Ports>): Stream.Stream<A, OperatorFailure> =>
      Stream.unwrap(Effect.map(ports, (context) => Stream.provideSomeContext(events, context))).pipe(
        Stream.interruptWhen(Effect.zipRight(stopped, Effect.fail(stopping))),
        Stream.catchAllCause((cause) => Stream.fromEffect(failureOf(name, cause)))
      )

    const underWay = new Set<string>()
    /** Of what is expensive, each key has one at a time. */
    const oneAKey = <A, E>(name: string, events: Stream.Stream<A, E, Caller>) =>
      Stream.unwrapScoped(Effect.gen(function*() {
        const { principal } = yield* Caller
        const call = `${name} ${keyOf(principal)}`
        if (underWay.has(call)) {
          protections.operatorCalls.add()
          return yield* new Overloaded({ message: `this key has a ${name} under way`, retryAfterSeconds: 1 })
        }
        yield* Effect.acquireRelease(
          Effect.sync(() => underWay.add(call)),
          () => Effect.sync(() => underWay.delete(call))
        )
        return events
      }))

    const verify = (
      campaignId: number | undefined,
      only: Principal["campaigns"]
    ): Stream.Stream<typeof VerifyEvent.Type, Failure, Ports> => {
      const options = { limits: Verification.limitsOf(config), gateHere: true }
      const found = campaignId === undefined
        ? Verification.findings(options, only)
        : Stream.fromIterableEffect(Effect.filterOrFail(
          Verification.findingOf(campaignId, options),
          (findings) => findings.length > 0,
          () => new NotFound({ message: `there is no campaign ${campaignId}` })
        ))
      let campaigns = 0
      const violations: Array<typeof Violation.Type> = []
      const rows = Stream.map(found, (finding) => {
        const row = Violations.rowOf(finding)
        campaigns++
        violations.push(...row.violations)
        return { _tag: "Campaign" as const, row }
      })
      const done = Effect.gen(function*() {
        const backlog = yield* Effect.flatMap(Outbox, (outbox) => outbox.backlog)
        const whole = Violations.outboxViolations(backlog, options.limits).map(Violations.toContract)
        const all = violations.length + whole.length
        noteVerified({ at: Date.now(), campaignId: campaignId ?? null, campaigns, violations: all })
        return { _tag: "Done" as const, campaigns, violations: [...violations, ...whole], outbox: backlog }
      })
      return Stream.concat(rows, Stream.fromEffect(done))
    }

    const mustExist = (campaignId: number) =>
      Effect.gen(function*() {
        const campaign = yield* Effect.flatMap(CampaignStore, (campaigns) => campaigns.find(campaignId))
        if (campaign === undefined) return yield* new NotFound({ message: "there is no such campaign" })
      })

    /** Answers even if no store does, because it reports that they are away. */
    const info = Effect.gen(function*() {
      const { principal: { campaigns, keyId, name, role } } = yield* Caller
      const context = services.current()
      const expiring = context === undefined ? [] : yield* expiringOf(Context.get(context, ApiKeys))
      const waitingWebhooks = context === undefined
        ? 0
        : yield* waitingOf(Context.get(context, WebhookEndpoints), config)
      const [ledger, gate] = context === undefined ? [null, null] : yield* Effect.all(
        [factsOf(Context.get(context, LedgerFacts)), factsOf(Context.get(context, GateFacts))],
        { concurrency: 2 }
      )
      return {
        service: "coupon-issuance" as const,
        version: VERSION,
        node: process.versions.node,
        instance: instanceName,
        startedAt,
        now: Date.now(),
        ledger,
        gate,
        stores: services.stores,
        embedded: config.embedded,
        ready: context !== undefined && startup.waitingFor().length === 0,
        waitingFor: startup.waitingFor(),
        open: keyId === undefined && name === anonymousAdmin.name,
        caller: { name, role },
        // The holder of a key for some campaigns need not know of the others.
        expiringKeys: expiring.filter(({ id }) => campaigns === undefined || id === keyId),
        waitingWebhooks
      }
    })

    return OperatorRpcs.of({
      Info: () => info,
      Advice: () =>
        Effect.map(info, (facts) => [
          ...Advice.ofInfo(facts),
          ...Advice.ofSettings(effectiveSettings(config), facts)
        ]),
      Overview: () =>
        Stream.unwrap(Effect.map(Caller, ({ principal }) => OverviewSampler.ofCall(samples, principal, stopped))),
      Audit: ({ campaignId }) =>
        oneAKey("Audit", Stream.unwrap(Effect.map(Caller, ({ principal }) =>
          stream("Audit", verify(campaignId, principal.campaigns))))),
      RebuildGate: ({ campaignId, discard }) =>
        oneAKey("RebuildGate", Stream.unwrap(Effect.map(Caller, ({ actor }) =>
          stream("RebuildGate", rebuild({ campaignId, discard, actor }))))),
      Backup: () =>
        oneAKey("Backup", Stream.unwrap(Effect.map(Caller, ({ actor }) => stream("Backup", backup(actor))))),
      Settings: () => Effect.sync(() => effectiveSettings(config)),
      CreateKey: ({ campaigns, expiresAt, name, networks, requestsPerSecond, role }) =>
        Effect.flatMap(Caller, ({ actor }) =>
          call("CreateKey", Effect.flatMap(ApiKeys, (keys) =>
            // The first key closes administration: with a lesser role, its maker would be locked out.
            Effect.filterOrFail(
              keys.configured,
              (configured) => configured || role === "ADMIN",
              () => new KeyRejected({ message: FIRST_KEY })
            ).pipe(
              Effect.zipRight(
                keys.create({ name, role, requestsPerSecond, limits: { campaigns, expiresAt, networks } }, actor)
              )
            )).pipe(Effect.catchTags(creationFailures)))),
      ListKeys: () =>
        call("ListKeys", Effect.map(Effect.flatMap(ApiKeys, ({ list }) => list), (keys) =>
          keys.map(({ limits, replaced, requestsPerSecond, revokedAt, lastUsedOn, ...key }) => ({
            ...key,
            requestsPerSecond: requestsPerSecond ?? null,
            revokedAt: revokedAt ?? null,
            expiresAt: limits.expiresAt ?? null,
            networks: limits.networks ?? null,
            campaigns: limits.campaigns ?? null,
            replacedBy: replaced?.by ?? null,
            endsAt: replaced?.endsAt ?? null,
            lastUsedOn: lastUsedOn ?? null
          })))),
      RevokeKey: ({ id }) =>
        Effect.flatMap(Caller, ({ actor }) =>
          call("RevokeKey", Effect.flatMap(ApiKeys, (keys) => keys.revoke(id, actor)).pipe(
            Effect.catchTags(lastKeyFailure),
            Effect.flatMap((found) => found ? Effect.void : keyFailures.KeyNotFound())
          ))),
      LimitKey: ({ id, ...limits }) =>
        Effect.flatMap(Caller, ({ actor }) =>
          call("LimitKey", Effect.flatMap(ApiKeys, (keys) => keys.limit(id, limits, actor)).pipe(
            Effect.catchTags(keyFailures)
          ))),
      RotateKey: ({ expiresAt, id, overlapMillis }) =>
        Effect.flatMap(Caller, ({ actor }) =>
          call("RotateKey", Effect.flatMap(ApiKeys, (keys) =>
            keys.rotate(id, { expiresAt, overlap: Duration.millis(overlapMillis) }, actor)).pipe(
            Effect.map((key) => ({ ...key, expiresAt: key.expiresAt ?? null })),
            Effect.catchTags(keyFailures)
          ))),
      ListSessions: () =>
        call("ListSessions", Effect.map(Effect.flatMap(Sessions, ({ list }) => list), (sessions) =>
          sessions.map(({ keyId, ...session }) => ({ ...session, keyId: keyId ?? null })))),
      EndSession: ({ id }) =>
        Effect.flatMap(Caller, ({ actor }) =>
          call("EndSession", Effect.flatMap(Effect.flatMap(Sessions, (sessions) => sessions.end(id, actor)), (found) =>
            found ? Effect.void : new NotFound({ message: "there is no such session" })))),
      AuditLog: (query) =>
        Effect.flatMap(Caller, ({ principal }) =>
          call("AuditLog", Effect.gen(function*() {
            const { beforeId, campaignId } = query
            const acts = { ...query, beforeId, campaignId, only: principal.campaigns }
            const records = yield* Effect.flatMap(AuditLog, (audit) => audit.list(acts))
            return records.map(AuditRows.toContract)
          }))),
      AuditLinks: ({ after, limit }) =>
        call("AuditLinks", Effect.gen(function*() {
          const chain = yield* AuditChain
          const { head } = yield* chain.seal(limit)
          const links = (yield* chain.links(after, limit)).map(({ hash, record, sequence }) =>
            ({ sequence, hash, record: record === undefined ? null : AuditRows.toContract(record) }))
          return { links, head }
        })),
      VerifyAuditLog: ({ expected }) => stream("VerifyAuditLog", ChainVerification.verify(expected)),
      Phases: ({ campaignId, limit }) =>
        call("Phases", Effect.gen(function*() {
          const events = yield* Effect.flatMap(CampaignPhases, (phases) => phases.history(campaignId, limit))
          if (events.length === 0) yield* mustExist(campaignId)
          return events
        })),
      Timeline: ({ before, campaignId, limit }) =>
        call("Timeline", Effect.gen(function*() {
          const page = yield* Timeline.read({ campaignId, limit, before })
          if (page.entries.length === 0) yield* mustExist(campaignId)
          return page
        }))
    })
  }))
