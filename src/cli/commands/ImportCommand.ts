import { create } from "@bufbuild/protobuf"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { createHash, randomUUID } from "node:crypto"
import { createReadStream, createWriteStream, statSync, type WriteStream } from "node:fs"
import * as Path from "node:path"
import * as Backoff from "../../base/Backoff.ts"
import {
  CodeFileFlaw,
  type CodeLines,
  formatOfName,
  inChunks,
  readCodes,
  usualLimits
} from "../../client/CodeFile.ts"
import type { CallFailure, CouponClient } from "../../client/CouponClient.ts"
import {
  type AppendCodesResponse,
  type CodeImport,
  CodeImportSchema,
  CodeImportState,
  CodeRejection
} from "../../contract/gen/coupon/v1/coupon_pb.ts"
import { table } from "../../contract/FailureTable.ts"
import { CliFailure, usage } from "../CliFailure.ts"
import * as Connection from "../Connection.ts"
import * as Output from "../Output.ts"
import * as Json from "../values/Json.ts"
import type { Times } from "../values/Times.ts"
import { campaignId, requestIdOf, show, withPublic } from "./Commands.ts"

const STANDARD_INPUT = "-"

/** Failures after which a call is sent again: an import's calls may be repeated. */
const passing: ReadonlyArray<CallFailure["_tag"]> = [
  "Unavailable", "OutcomeUnknown", "Overloaded", "RateLimited", "TimedOut", "Unreachable"
]

/** About a minute and a half in all. */
const patience = Backoff.schedule({ firstMillis: 100, lastMillis: 5_000 })
const MOST_REPEATS = 24

const until = <A>(call: Effect.Effect<A, CallFailure>): Effect.Effect<A, CallFailure> =>
  Effect.retry(call, { schedule: patience, times: MOST_REPEATS, while: ({ _tag }) => passing.includes(_tag) })

const stateWord = (state: CodeImportState): string =>
  Object.entries(CodeImportState).find(([, value]) => value === state)?.[0] ?? String(state)

const grouped = (count: bigint | number): string => count.toLocaleString("en-US")

const addedWords = ({ accepted }: CodeImport): string =>
  accepted === 1n ? "1 code was" : `${grouped(accepted)} codes were`

export const importFacts = (of: CodeImport, { show: at }: Times): string =>
  Output.facts({
    campaign: of.campaignId,
    import: of.importId,
    state: stateWord(of.state),
    received: grouped(of.received),
    accepted: grouped(of.accepted),
    "duplicate in the file": grouped(of.duplicateInFile),
    "duplicate in the campaign": grouped(of.duplicateInCampaign),
    invalid: grouped(of.invalid),
    started: at(of.startedAt),
    updated: at(of.updatedAt),
    "request id": of.requestId
  })

export const importJson = (of: CodeImport) => Json.ofMessage(CodeImportSchema, of)

const noImport = new CliFailure({ exit: "FAILED", code: "UNEXPECTED", message: "the answer holds no import" })

const present = (codeImport: CodeImport | undefined): Effect.Effect<CodeImport, CliFailure> =>
  codeImport === undefined ? Effect.fail(noImport) : Effect.succeed(codeImport)

const rejectionWords: Readonly<Record<CodeRejection, string>> = {
  [CodeRejection.UNSPECIFIED]: "rejected",
  [CodeRejection.INVALID]: "invalid",
  [CodeRejection.DUPLICATE_IN_FILE]: "duplicate in the file",
  [CodeRejection.DUPLICATE_IN_CAMPAIGN]: "duplicate in the campaign"
}

const csvField = (text: string): string => /^[\w.:+/ -]*$/.test(text) ? text : `"${text.replaceAll("\"", "\"\"")}"`

/** Writes rejected codes to a file, which is made for the first of them. */
const rejectsTo = (path: string) => {
  let file: WriteStream | undefined
  let failed: Error | undefined
  let count = 0
  return {
    path,
    count: () => count,
    add: ({ codes }: CodeLines, { rejected }: AppendCodesResponse) =>
      Effect.sync(() => {
        if (rejected.length === 0) return
        if (file === undefined) {
          file = createWriteStream(path)
          file.on("error", (error) => (failed = error))
          file.write("line,why,code\n")
        }
        for (const { index, reason, rejection } of rejected) {
          const { code, line } = codes[index]!
          const why = `${rejectionWords[rejection]}${reason === "" ? "" : `: ${reason}`}`
          file.write(`${line},${csvField(why)},${csvField(code)}\n`)
        }
        count += rejected.length
      }),
    close: Effect.async<void, CliFailure>((resume) => {
      const end = () =>
        resume(
          failed === undefined
            ? Effect.void
            : Effect.fail(
              new CliFailure({ exit: "FAILED", code: "FILE", message: `${path} cannot be written: ${failed.message}` })
            )
        )
      if (file === undefined || failed !== undefined) end()
      else file.end(end)
    })
  }
}

/** The same file has the same name for the service, and so is imported once, and goes on where it stopped. */
const nameOf = (path: string): Effect.Effect<string, CliFailure> =>
  Effect.tryPromise({
    try: async () => {
      const hash = createHash("sha256")
      for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
      return `sha256:${hash.digest("hex").slice(0, 48)}`
    },
    catch: (cause) => usage(`${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`)
  })

/** Begins the import of this name; one of that name that was aborted is left alone, and another one begun. */
const begin = (client: CouponClient["Type"], campaignId: number, name: string) =>
  Effect.gen(function*() {
    for (let times = 1;; times++) {
      const requestId = times === 1 ? name : `${name}:${times}`
      const { codeImport } = yield* until(client.startImport({ campaignId, requestId }))
      const started = yield* present(codeImport)
      const { state } = started
      if (state !== CodeImportState.ABORTED && state !== CodeImportState.ABORTING) return started
      if (state === CodeImportState.ABORTING) yield* abortWhole(client, started)
    }
  }).pipe(Effect.catchTag("Conflict", () =>
    Effect.fail(
      new CliFailure({
        exit: "PRECONDITION",
        code: "CONFLICT",
        message: `another import of campaign ${campaignId} is not over`,
        hint: `\`coupon codes status ${campaignId}\` shows it; \`coupon codes abort\` gives it up`
      })
    )))

/** Gives an import up, and waits until nothing is left of it. */
export const abortWhole = (client: CouponClient["Type"], of: CodeImport) =>
  Effect.gen(function*() {
    const { campaignId, importId } = of
    for (;;) {
      const { codeImport } = yield* until(client.abortImport({ campaignId, importId }))
      const aborted = yield* present(codeImport)
      if (aborted.state === CodeImportState.ABORTED) return aborted
      yield* Output.progress("removing the codes that were sent")
    }
  })

/** Pulls from a generator; what it throws is a flaw of the file, or of reading it. */
const pull = (lines: AsyncIterator<CodeLines>): Effect.Effect<CodeLines | undefined, CodeFileFlaw | CliFailure> =>
  Effect.tryPromise({
    try: async () => {
      const next = await lines.next()
      return next.done === true ? undefined : next.value
    },
    catch: (cause) =>
      cause instanceof CodeFileFlaw
        ? cause
        : usage(`the file cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`)
  })

interface Sending {
  readonly client: CouponClient["Type"]
  readonly started: CodeImport
  readonly lines: AsyncIterator<CodeLines>
  /** Of the file, if that is known. */
  readonly size: number | undefined
  readonly rejects: ReturnType<typeof rejectsTo>
}

/** Sends every chunk. What is shown as done is stored. */
const send = ({ client, lines, rejects, size, started }: Sending) =>
  Effect.gen(function*() {
    const began = performance.now()
    const { campaignId, importId } = started
    let codes = 0
    let latest = started
    for (let chunkIndex = 0;; chunkIndex++) {
      const chunk = yield* pull(lines)
      if (chunk === undefined) return latest
      const request = { campaignId, importId, chunkIndex, codes: chunk.codes.map(({ code }) => code) }
      const reply = yield* until(client.appendCodes(request))
      yield* rejects.add(chunk, reply)
      latest = yield* present(reply.codeImport)
      codes += chunk.codes.length
      const seconds = (performance.now() - began) / 1_000
      const share = size === undefined || size === 0 ? undefined : Math.min(1, chunk.bytes / size)
      const rate = Math.round(codes / Math.max(0.001, seconds))
      yield* Output.progress(
        `${grouped(codes)} codes stored, ${grouped(rate)}/s` +
          (share === undefined
            ? ""
            : `, ${Math.floor(100 * share)} %, ${Output.span(Math.ceil(seconds / share - seconds))} left`) +
          (rejects.count() === 0 ? "" : `, ${grouped(rejects.count())} rejected`)
      )
    }
  })

export const importCodes = Command.make(
  "import",
  {
    campaignId,
    file: Args.text({ name: "file" }).pipe(Args.withDescription("a .csv or .ndjson file, or - for standard input")),
    format: Options.choice("format", ["csv", "ndjson"]).pipe(
      Options.withDescription("how the file is written; unless given, its name says so, and - is csv"),
      Options.optional
    ),
    column: Options.text("column").pipe(
      Options.withDescription("the column of CSV, or the field of JSON, that the code is in; unless given, code"),
      Options.optional
    ),
    dryRun: Options.boolean("dry-run").pipe(
      Options.withDescription("send and check all of it, add nothing, and end as the import would")
    ),
    skipRejected: Options.boolean("skip-rejected").pipe(
      Options.withDescription("add the other codes although some were rejected")
    ),
    rejects: Options.text("rejects").pipe(
      Options.withDescription("where rejected codes are written; unless given, <file>.rejects.csv"),
      Options.optional
    ),
    requestId: Options.text("request-id").pipe(
      Options.withDescription("the import's name; unless given, a digest of the file, so that it is imported once"),
      Options.optional
    ),
    ...Connection.acting
  },
  ({ campaignId, column, dryRun, file, format, rejects: rejectsFile, requestId, skipRejected, ...given }) =>
    withPublic(given, (client, { json, times }) =>
      Effect.gen(function*() {
        const isStandard = file === STANDARD_INPUT
        const found = isStandard ? undefined : statSync(file, { throwIfNoEntry: false })
        if (!isStandard && found === undefined) return yield* usage(`there is no file ${file}`)
        if (found?.isDirectory() === true) return yield* usage(`${file} is a directory`)
        // A pipe, such as <(zcat codes.csv.gz), can be read only once, so it has no digest.
        const isFile = found?.isFile() === true
        const size = isFile ? found.size : undefined
        const name = Option.isNone(requestId) && isFile
          ? yield* nameOf(file)
          : yield* requestIdOf(requestId, () => `cli:${randomUUID()}`)
        const started = yield* begin(client, campaignId, dryRun ? `dry-run:${randomUUID()}` : name)
        if (started.state === CodeImportState.FINISHED) {
          return yield* show(json, importJson(started), () =>
            `these codes are in the pool already\n${importFacts(started, times)}`)
        }
        const rejects = rejectsTo(
          Option.getOrElse(rejectsFile, () => `${isStandard ? "codes" : Path.basename(file)}.rejects.csv`)
        )
        const source = isStandard ? process.stdin : createReadStream(file)
        const options = {
          format: Option.getOrElse(format, () => formatOfName(file)),
          column: Option.getOrUndefined(column)
        }
        const lines = inChunks(readCodes(source, options), usualLimits)
        const sent = yield* send({ client, started, lines, size, rejects }).pipe(
          Effect.catchTag("CodeFileFlaw", ({ line, reason }) =>
            Effect.zipRight(
              abortWhole(client, started),
              Effect.fail(
                new CliFailure({
                  exit: "USAGE",
                  code: "FILE",
                  message: `${isStandard ? "standard input" : file}, line ${line} ${reason}; nothing was stored`
                })
              )
            )),
          Effect.ensuring(Output.progressDone)
        )
        yield* rejects.close
        const rejected = rejects.count()
        const lost = rejected === 0 ? "" : `${Output.counted(rejected, "code")} rejected, see ${rejects.path}`
        if (sent.received === 0n) {
          yield* abortWhole(client, started)
          return yield* usage(`${isStandard ? "standard input" : file} holds no code`)
        }
        if (dryRun) {
          const aborted = yield* abortWhole(client, started)
          yield* show(json, importJson(aborted), () =>
            [`a dry run: nothing was added${lost === "" ? "" : `; ${lost}`}`, importFacts(aborted, times)].join("\n"))
        }
        if (rejected > 0 && !skipRejected) {
          return yield* new CliFailure({
            exit: "PRECONDITION",
            code: "REJECTED",
            message: `${lost}; nothing was added to the pool`,
            hint: dryRun
              ? "without --dry-run it would end like this, too, unless --skip-rejected adds the other codes"
              : "repeat the command with --skip-rejected to add the others, or give the import up: " +
                `\`coupon codes abort ${campaignId} ${sent.importId}\``
          })
        }
        if (dryRun) return
        const { importId } = sent
        const { codeImport } = yield* until(
          client.finishImport({ campaignId, importId, dryRun: false, allowRejected: skipRejected })
        )
        const finished = yield* present(codeImport)
        yield* show(json, importJson(finished), () =>
          [`${addedWords(finished)} added to the pool`, ...lost === "" ? [] : [lost], importFacts(finished, times)]
            .join("\n"))
      }))
).pipe(Command.withDescription("imports own codes into a campaign's pool, all of them or none; safe to repeat"))

export const status = Command.make(
  "status",
  { campaignId, ...Connection.options },
  ({ campaignId, ...given }) =>
    withPublic(given, (client, { json, times }) =>
      Effect.gen(function*() {
        const campaign = yield* client.getCampaign({ campaignId, pageSize: 1 })
        const { codeImports } = yield* client.listImports({ campaignId, pageSize: 0, pageToken: "" })
        const pool = { codes: campaign.codeCount, issued: campaign.currentCoupon, limit: campaign.couponLimit }
        if (json) return yield* Output.json({ ...pool, imports: codeImports.map(importJson) })
        yield* Output.line(Output.facts({
          campaign: campaignId,
          "codes in the pool": grouped(pool.codes),
          issued: `${grouped(pool.issued)} of ${grouped(pool.limit)}`,
          "codes left": grouped(pool.codes > pool.issued ? pool.codes - pool.issued : 0n)
        }))
        if (codeImports.length === 0) return yield* Output.line("there are no imports")
        yield* Output.line(Output.table(
          ["import", "state", "received", "accepted", "rejected", "updated at", "request id"],
          codeImports.map((of) => [
            of.importId,
            stateWord(of.state),
            Number(of.received),
            Number(of.accepted),
            Number(of.received - of.accepted),
            times.show(of.updatedAt),
            Output.printable(of.requestId)
          ])
        ))
      }))
).pipe(Command.withDescription("shows how many codes a pool has, and its imports"))

export const abort = Command.make(
  "abort",
  {
    campaignId,
    importId: Args.integer({ name: "import-id" }).pipe(Args.withDescription("the import's number in the campaign")),
    ...Connection.acting
  },
  ({ campaignId, importId, ...given }) =>
    withPublic(given, (client, { json }) =>
      Effect.gen(function*() {
        const of = create(CodeImportSchema, { campaignId, importId })
        const aborted = yield* Effect.ensuring(abortWhole(client, of), Output.progressDone).pipe(
          Effect.catchTags({
            Conflict: () =>
              Effect.fail(
                new CliFailure({
                  exit: "PRECONDITION",
                  code: "CONFLICT",
                  message: `import ${importId} is finished: its codes are in the pool`
                })
              ),
            RecordNotFound: () =>
              Effect.fail(
                new CliFailure({
                  exit: "NOT_FOUND",
                  code: table.RecordNotFound.message,
                  message: `${table.RecordNotFound.message}: campaign ${campaignId} has no import ${importId}`,
                  hint: `\`coupon codes status ${campaignId}\` shows its imports`
                })
              )
          })
        )
        yield* show(json, importJson(aborted), () => "the import was given up; nothing is left of it")
      }))
).pipe(Command.withDescription("gives an import up that is not finished, and removes what was sent"))
