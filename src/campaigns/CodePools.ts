import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Actor } from "../domain/Actor.ts"
import type { CampaignId } from "../domain/Campaign.ts"
import { changeBy } from "../domain/ChangeRecord.ts"
import { Conflict, InvalidArgument, OutcomeUnknown, RecordNotFound, Unavailable } from "../domain/Failure.ts"
import { CampaignStore } from "../ports/CampaignStore.ts"
import { type ChunkResult, type CodeImport, CodeImports, type ImportKey, MAX_CHUNK_CODES } from
  "../ports/CodeImports.ts"
import type { CommitInDoubt, LedgerUnavailable } from "../ports/Ledger.ts"
import { transfers } from "./TransferMetrics.ts"
import { storeDown } from "./StoreDown.ts"

/** A chunk as it was stored, and the import as it is then. */
export interface AppendedCodes extends ChunkResult {
  readonly codeImport: CodeImport
}

/** How an import would end, or did. */
export interface FinishedImport {
  readonly codeImport: CodeImport
  /** It was not finished: only looked at. */
  readonly dryRun: boolean
}

/** `Unavailable`: nothing was changed. `OutcomeUnknown`: repeat the call, which does nothing twice. */
type StoreFailure = Unavailable | OutcomeUnknown

export const MAX_IMPORT_PAGE = 1_000
export const IMPORT_PAGE = 100

/** Imports own codes into the pools of campaigns, all of an import or none. */
export class CodePools extends Context.Tag("coupon/campaigns/CodePools")<CodePools, {
  /** Begins an import, or returns that of the same `requestId`. `Conflict`: another one is not over. */
  readonly start: (
    campaignId: CampaignId,
    requestId: string,
    actor: Actor
  ) => Effect.Effect<CodeImport, InvalidArgument | RecordNotFound | Conflict | StoreFailure>
  /** Stores the chunk of this index. `Conflict`: the import is over. */
  readonly append: (
    key: ImportKey,
    index: number,
    codes: ReadonlyArray<string>
  ) => Effect.Effect<AppendedCodes, InvalidArgument | RecordNotFound | Conflict | StoreFailure>
  /**
   * Adds the codes to the pool. Fails with `InvalidArgument` if some were rejected, unless `allowRejected` is set, or
   * if all were. With `dryRun` it only says whether it would fail. `Conflict`: the import was aborted.
   */
  readonly finish: (
    key: ImportKey,
    how: { readonly dryRun: boolean; readonly allowRejected: boolean },
    actor: Actor
  ) => Effect.Effect<FinishedImport, InvalidArgument | RecordNotFound | Conflict | StoreFailure>
  /** Makes sure that the import is never finished; to be repeated until it is `ABORTED`. `Conflict`: it is finished. */
  readonly abort: (
    key: ImportKey,
    actor: Actor
  ) => Effect.Effect<CodeImport, RecordNotFound | Conflict | StoreFailure>
  readonly find: (key: ImportKey) => Effect.Effect<CodeImport, RecordNotFound | Unavailable>
  /** The imports of a campaign, newest first; `nextBeforeId`: for the page that follows. */
  readonly list: (
    campaignId: CampaignId,
    beforeId: number,
    limit: number
  ) => Effect.Effect<
    { readonly imports: ReadonlyArray<CodeImport>; readonly nextBeforeId: number | undefined },
    RecordNotFound | Unavailable
  >
}>() {}

const fromStore = <A>(
  effect: Effect.Effect<A, LedgerUnavailable | CommitInDoubt>
): Effect.Effect<A, StoreFailure> =>
  Effect.mapError(effect, (failure) =>
    failure._tag === "CommitInDoubt"
      ? new OutcomeUnknown()
      : new Unavailable({ retryAfterSeconds: 1, cause: failure.cause }))

const invalid = (field: string, reason: string) => new InvalidArgument({ field, reason })

export const make = Effect.gen(function*() {
  const store = yield* CodeImports
  const campaigns = yield* CampaignStore

  const find: CodePools["Type"]["find"] = (key) =>
    Effect.flatMap(
      Effect.mapError(store.find(key), storeDown),
      (found) => found === undefined ? Effect.fail(new RecordNotFound()) : Effect.succeed(found)
    )

  const logged = (what: string, { accepted, campaignId, importId, received }: CodeImport) =>
    Effect.annotateLogs(Effect.logInfo(what), { campaignId, importId, received, accepted })

  return CodePools.of({
    start: (campaignId, requestId, actor) =>
      Effect.gen(function*() {
        const started = yield* fromStore(store.start({ ...changeBy(actor), campaignId, requestId }))
        switch (started._tag) {
          case "Started":
            return started.codeImport
          case "NoCampaign":
            return yield* new RecordNotFound()
          case "NoPool":
            return yield* invalid("campaignId", "must be that of a campaign whose codeSource is POOL")
          case "OtherOpen":
            return yield* new Conflict()
        }
      }),

    append: (key, index, codes) =>
      Effect.gen(function*() {
        if (codes.length === 0 || codes.length > MAX_CHUNK_CODES) {
          return yield* invalid("codes", `must be 1 to ${MAX_CHUNK_CODES}, not ${codes.length}`)
        }
        const appended = yield* fromStore(store.append(key, index, codes))
        switch (appended._tag) {
          case "Appended":
            transfers.accepted.add(appended.result.accepted)
            transfers.rejected.add(codes.length - appended.result.accepted)
            return { codeImport: appended.codeImport, ...appended.result }
          case "NoImport":
            return yield* new RecordNotFound()
          case "NotOpen":
            return yield* new Conflict()
          case "OutOfOrder":
            return yield* invalid("chunkIndex", `must be ${appended.expected}, the next one: chunks come in order`)
          case "OtherCodes":
            return yield* invalid("codes", `must be those that chunk ${index} was first sent with`)
        }
      }),

    finish: (key, { allowRejected, dryRun }, actor) =>
      Effect.gen(function*() {
        const codeImport = yield* find(key)
        const { accepted, chunks, received, state } = codeImport
        if (state === "FINISHED") return { codeImport, dryRun }
        if (state !== "OPEN") return yield* new Conflict()
        if (accepted === 0) return yield* invalid("importId", "must be an import that has codes to add")
        if (accepted < received && !allowRejected) {
          return yield* invalid(
            "allowRejected",
            `must be set to go without ${received - accepted} of ${received} codes, which were rejected`
          )
        }
        if (dryRun) return { codeImport, dryRun }
        const ended = yield* fromStore(store.finish({ ...changeBy(actor), ...key, chunks }))
        if (ended._tag === "NoImport") return yield* new RecordNotFound()
        if (ended._tag !== "Ended") return yield* new Conflict()
        yield* logged("codes were added to a pool", ended.codeImport)
        return { codeImport: ended.codeImport, dryRun }
      }),

    abort: (key, actor) =>
      Effect.gen(function*() {
        const ended = yield* fromStore(store.abort({ ...changeBy(actor), ...key }))
        if (ended._tag === "NoImport") return yield* new RecordNotFound()
        if (ended._tag !== "Ended") return yield* new Conflict()
        if (ended.codeImport.state === "ABORTED") yield* logged("an import of codes was aborted", ended.codeImport)
        return ended.codeImport
      }),

    find,

    list: (campaignId, beforeId, limit) =>
      Effect.gen(function*() {
        const found = yield* Effect.mapError(store.list(campaignId, beforeId, limit + 1), storeDown)
        if (found.length === 0 && (yield* Effect.mapError(campaigns.find(campaignId), storeDown)) === undefined) {
          return yield* new RecordNotFound()
        }
        const imports = found.slice(0, limit)
        return { imports, nextBeforeId: found.length > limit ? imports.at(-1)!.importId : undefined }
      })
  })
})

export const layer = Layer.effect(CodePools, make)
