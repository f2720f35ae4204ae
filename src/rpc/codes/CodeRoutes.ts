import { create } from "@bufbuild/protobuf"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { IMPORT_PAGE, MAX_IMPORT_PAGE } from "../../campaigns/CodePools.ts"
import {
  AbortImportResponseSchema,
  AppendCodesResponseSchema,
  CodeImportSchema,
  CodeImportState,
  CodeRejection,
  CouponService,
  FinishImportResponseSchema,
  GetImportResponseSchema,
  ListImportsResponseSchema,
  StartImportResponseSchema
} from "../../contract/gen/coupon/v1/coupon_pb.ts"
import * as Actor from "../../domain/Actor.ts"
import { type CampaignId, parseCampaignId } from "../../domain/Campaign.ts"
import { InvalidArgument } from "../../domain/Failure.ts"
import * as RequestId from "../../domain/requests/RequestId.ts"
import { formatRfc3339 } from "../../domain/Time.ts"
import type { CodeImport, ImportKey, ImportState, RejectReason } from "../../ports/CodeImports.ts"
import type { Route } from "../Route.ts"
import * as Routes from "../Route.ts"

const states = {
  OPEN: CodeImportState.OPEN,
  FINISHED: CodeImportState.FINISHED,
  ABORTING: CodeImportState.ABORTING,
  ABORTED: CodeImportState.ABORTED
} satisfies Record<ImportState, CodeImportState>

const rejections = {
  INVALID: CodeRejection.INVALID,
  DUPLICATE_IN_FILE: CodeRejection.DUPLICATE_IN_FILE,
  DUPLICATE_IN_CAMPAIGN: CodeRejection.DUPLICATE_IN_CAMPAIGN
} satisfies Record<RejectReason, CodeRejection>

const toWire = (of: CodeImport) =>
  create(CodeImportSchema, {
    campaignId: of.campaignId,
    importId: of.importId,
    requestId: of.requestId,
    state: states[of.state],
    chunks: of.chunks,
    received: BigInt(of.received),
    accepted: BigInt(of.accepted),
    duplicateInFile: BigInt(of.duplicateInFile),
    duplicateInCampaign: BigInt(of.duplicateInCampaign),
    invalid: BigInt(of.invalid),
    startedAt: formatRfc3339(of.startedAt),
    updatedAt: formatRfc3339(of.updatedAt)
  })

const MAX_INT_32 = 2_147_483_647

const reject = (field: string, reason: string) => Either.left(new InvalidArgument({ field, reason }))

const parseKey = (
  input: { readonly campaignId: number; readonly importId: number }
): Either.Either<ImportKey, InvalidArgument> =>
  Either.flatMap(parseCampaignId(input.campaignId), (campaignId) =>
    input.importId >= 1
      ? Either.right({ campaignId, importId: input.importId })
      : reject("importId", "must be a positive 32-bit integer"))

/** MySQL compares the names of imports without the spaces at their ends. */
const parseRequestId = (text: string): Either.Either<RequestId.RequestId, InvalidArgument> =>
  Either.flatMap(RequestId.parseText(text), (id) =>
    id.trim() === id ? Either.right(id) : reject("requestId", "must not begin or end with spaces"))

const startImport = Routes.make({
  method: CouponService.method.startImport,
  bound: "write",
  access: "OPERATOR",
  call: ({ codePools }, { campaignId, requestId }, { principal, source }) =>
    Effect.flatMap(Either.all([parseCampaignId(campaignId), parseRequestId(requestId)]), ([id, request]) =>
      codePools.start(id, request, Actor.of(principal, source))),
  respond: (codeImport) => create(StartImportResponseSchema, { codeImport: toWire(codeImport) })
})

/** A chunk of as many codes as may be has room, at 100 bytes a code. As much as `MAX_BODY_BYTES` may be at most. */
const MAX_CHUNK_BYTES = 1_048_576

const appendCodes = Routes.make({
  method: CouponService.method.appendCodes,
  bound: "write",
  access: "OPERATOR",
  maxBodyBytes: MAX_CHUNK_BYTES,
  call: ({ codePools }, input) =>
    Effect.flatMap(parseKey(input), (key) =>
      input.chunkIndex < 0
        ? reject("chunkIndex", "must not be negative")
        : codePools.append(key, input.chunkIndex, input.codes)),
  respond: ({ accepted, codeImport, rejected }) =>
    create(AppendCodesResponseSchema, {
      accepted,
      rejected: rejected.map(({ index, reason, text }) => ({ index, rejection: rejections[reason], reason: text })),
      codeImport: toWire(codeImport)
    }),
  paced: true
})

const finishImport = Routes.make({
  method: CouponService.method.finishImport,
  bound: "write",
  access: "OPERATOR",
  call: ({ codePools }, input, { principal, source }) =>
    Effect.flatMap(parseKey(input), (key) => codePools.finish(key, input, Actor.of(principal, source))),
  respond: ({ codeImport }) => create(FinishImportResponseSchema, { codeImport: toWire(codeImport) })
})

const abortImport = Routes.make({
  method: CouponService.method.abortImport,
  bound: "write",
  access: "OPERATOR",
  call: ({ codePools }, input, { principal, source }) =>
    Effect.flatMap(parseKey(input), (key) => codePools.abort(key, Actor.of(principal, source))),
  respond: (codeImport) => create(AbortImportResponseSchema, { codeImport: toWire(codeImport) })
})

const getImport = Routes.make({
  method: CouponService.method.getImport,
  bound: "read",
  access: "VIEWER",
  call: ({ codePools }, input) => Effect.flatMap(parseKey(input), codePools.find),
  respond: (codeImport) => create(GetImportResponseSchema, { codeImport: toWire(codeImport) })
})

// The token holds the number of the last import, encoded so that clients do not compute with it.
const encodeToken = (campaignId: CampaignId, beforeId: number): string =>
  Buffer.from(`i${campaignId}.${beforeId}`).toString("base64url")

const decodeToken = (campaignId: CampaignId, token: string): Either.Either<number, InvalidArgument> => {
  if (token === "") return Either.right(MAX_INT_32)
  const [, beforeId] = /^i\d{1,10}\.(\d{1,10})$/.exec(Buffer.from(token, "base64url").toString()) ?? []
  return beforeId !== undefined && encodeToken(campaignId, Number(beforeId)) === token
    ? Either.right(Number(beforeId))
    : reject("pageToken", "must be the nextPageToken of a page of this list")
}

const listImports = Routes.make({
  method: CouponService.method.listImports,
  bound: "read",
  access: "VIEWER",
  call: ({ codePools }, { campaignId, pageSize, pageToken }) =>
    Effect.gen(function*() {
      const id = yield* parseCampaignId(campaignId)
      const beforeId = yield* decodeToken(id, pageToken)
      if (pageSize < 0) return yield* reject("pageSize", `must be 0 to ${MAX_IMPORT_PAGE}`)
      const limit = pageSize === 0 ? IMPORT_PAGE : Math.min(pageSize, MAX_IMPORT_PAGE)
      const { imports, nextBeforeId } = yield* codePools.list(id, beforeId, limit)
      return { imports, nextPageToken: nextBeforeId === undefined ? "" : encodeToken(id, nextBeforeId) }
    }),
  respond: ({ imports, nextPageToken }) =>
    create(ListImportsResponseSchema, { codeImports: imports.map(toWire), nextPageToken })
})

/** The RPCs by which own codes come into a pool. */
export const codeRoutes: ReadonlyArray<Route> = [
  startImport,
  appendCodes,
  finishImport,
  getImport,
  listImports,
  abortImport
]
