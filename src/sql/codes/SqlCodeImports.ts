import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { createHash } from "node:crypto"
import * as Steps from "../../base/Steps.ts"
import type { CampaignId } from "../../domain/Campaign.ts"
import type { ChangeRecord } from "../../domain/ChangeRecord.ts"
import { codesFromText } from "../../domain/codes/CampaignCodes.ts"
import { makeKey, permutation } from "../../domain/codes/Permutation.ts"
import { parsePoolCode } from "../../domain/codes/PoolCode.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import type {
  AppendVerdict, ChunkResult, CodeImport, CodeImports, EndVerdict, ImportKey, ImportState, RejectedCode, StartVerdict
} from "../../ports/CodeImports.ts"
import type { AuditedAction } from "../../ports/AuditLog.ts"
import { type CommitInDoubt, LedgerUnavailable } from "../../ports/Ledger.ts"
import { codesOf, type Row } from "../Rows.ts"
import { integer } from "../text/Literals.ts"

/**
 * How a transaction ended: `Done`, or rolled back because a NOT NULL column got NULL (`Guarded`: the import was not as
 * it was read), or because a pool has one of the codes (`Taken`).
 */
export type Written = "Done" | "Guarded" | "Taken"

/** The pools of a ledger, where the databases differ. */
export interface CodeImportsDialect {
  readonly time: (value: unknown) => EpochMillis
  /** The ledger's clock, as an expression. */
  readonly now: () => string
  /** Any text as a literal. */
  readonly text: (text: string) => string
  readonly read: (text: string) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable>
  /** Runs these statements as one transaction. */
  readonly write: (
    statements: ReadonlyArray<string>
  ) => Effect.Effect<Written, LedgerUnavailable | CommitInDoubt>
  /** Locks the row of a campaign; none where one process writes. */
  readonly lockCampaign: (campaignId: string) => ReadonlyArray<string>
  /**
   * Codes that one transaction adds, where one holds the event loop: a chunk of more is added in several, a step each,
   * and the last of them makes the codes part of the import. `undefined`: any number.
   */
  readonly codesAtOnce: number | undefined
  /** The rows of the audit log. */
  readonly act: (record: ChangeRecord, action: AuditedAction, campaignId: CampaignId) => ReadonlyArray<string>
}

/** How often a call is decided again because its import was changed meanwhile, or had one of its codes. */
const ATTEMPTS = 10

/** Codes that one statement removes, and how many statements an `abort` takes. */
const REMOVED_CODES = 5_000
const REMOVALS = 4

/** A code that needs no other form as a literal of either dialect. */
const PLAIN = /^[\w.:+/-]+$/

const changing = new LedgerUnavailable({ cause: "others changed the import all the time" })

interface ImportRow {
  readonly codeImport: CodeImport
  readonly firstNumber: number
  readonly key: string
}

const inState = (state: ImportState, more = ""): string => `state = '${state}'${more}`

/** What all ledgers do alike with pools. */
export const make = (dialect: CodeImportsDialect): CodeImports["Type"] => {
  const { act, codesAtOnce, lockCampaign, now, read, text, time, write } = dialect

  const importOf = (row: Row): ImportRow => ({
    codeImport: {
      campaignId: Number(row.campaign_id),
      importId: Number(row.import_id),
      requestId: row.request_id as string,
      state: row.state as ImportState,
      chunks: Number(row.chunks),
      received: Number(row.received),
      accepted: Number(row.accepted),
      duplicateInFile: Number(row.duplicate_in_file),
      duplicateInCampaign: Number(row.duplicate_in_campaign),
      invalid: Number(row.invalid),
      startedAt: time(row.started_at),
      updatedAt: time(row.updated_at)
    },
    firstNumber: Number(row.first_number),
    key: row.permutation_key as string
  })

  const where = ({ campaignId, importId }: ImportKey): string =>
    `campaign_id = ${integer(campaignId)} AND import_id = ${integer(importId)}`

  const findRow = (key: ImportKey): Effect.Effect<ImportRow | undefined, LedgerUnavailable> =>
    Effect.map(read(`SELECT * FROM code_imports WHERE ${where(key)}`), ([row]) =>
      row === undefined ? undefined : importOf(row))

  const list: CodeImports["Type"]["list"] = (campaignId, beforeId, limit) =>
    Effect.map(
      read(
        `SELECT * FROM code_imports WHERE campaign_id = ${integer(campaignId)} AND import_id < ${integer(beforeId)} ` +
          `ORDER BY import_id DESC LIMIT ${integer(limit)}`
      ),
      (rows) => rows.map((row) => importOf(row).codeImport)
    )

  /** Decides and writes until what was decided on is what was written to. */
  const decided = <A>(
    decide: Effect.Effect<
      | { readonly _tag: "Verdict"; readonly verdict: A }
      | {
        readonly _tag: "Write"
        /** Transactions that come first, as steps; the first of all that is not done ends the attempt. */
        readonly before?: ReadonlyArray<ReadonlyArray<string>>
        readonly statements: ReadonlyArray<string>
        readonly after?: (end: Written) => void
      },
      LedgerUnavailable
    >
  ): Effect.Effect<A, LedgerUnavailable | CommitInDoubt> =>
    Effect.gen(function*() {
      for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
        const next = yield* decide
        if (next._tag === "Verdict") return next.verdict
        let end: Written = "Done"
        for (const statements of next.before ?? []) {
          end = yield* Steps.step(write(statements))
          if (end !== "Done") break
        }
        if (end === "Done") end = yield* write(next.statements)
        next.after?.(end)
      }
      return yield* changing
    }).pipe(Effect.uninterruptible)

  const verdict = <A>(of: A) => ({ _tag: "Verdict" as const, verdict: of })

  const start: CodeImports["Type"]["start"] = ({ actor, campaignId, changeId, requestId }) => {
    const id = integer(campaignId)
    const key = makeKey()
    return decided<StartVerdict>(Effect.gen(function*() {
      const [campaign] = yield* read(`SELECT code_spec FROM campaigns WHERE id = ${id}`)
      if (campaign === undefined) return verdict({ _tag: "NoCampaign" })
      const imports = (yield* read(`SELECT * FROM code_imports WHERE campaign_id = ${id} ORDER BY import_id DESC`))
        .map((row) => importOf(row).codeImport)
      const same = imports.find((one) => one.requestId === requestId)
      if (same !== undefined) return verdict({ _tag: "Started", codeImport: same })
      if (codesFromText(codesOf(campaign))._tag !== "Pool") return verdict({ _tag: "NoPool" })
      const open = imports.find(({ state }) => state === "OPEN" || state === "ABORTING")
      if (open !== undefined) return verdict({ _tag: "OtherOpen", codeImport: open })
      const importId = (imports[0]?.importId ?? 0) + 1
      return {
        _tag: "Write",
        statements: [
          ...lockCampaign(id),
          // Imports are never removed, so that there are as many as there were means that they are the same. The last
          // one may have been finished since the campaign was read: its codes count from here on.
          `INSERT INTO code_imports
  (campaign_id, import_id, request_id, state, first_number, permutation_key, started_at, updated_at)
SELECT ${id}, ${integer(importId)}, ${text(requestId)}, CASE WHEN o.others = ${integer(imports.length)} THEN 'OPEN' END,
  c.code_count + 1, '${key}', ${now()}, ${now()}
FROM campaigns AS c, (SELECT COUNT(*) AS others FROM code_imports WHERE campaign_id = ${id}) AS o WHERE c.id = ${id}`,
          ...act({ actor, changeId }, {
            action: "codes.import.start",
            campaignId,
            before: undefined,
            after: { importId, requestId }
          }, campaignId)
        ]
      }
    }))
  }

  /** The codes of a chunk that a pool of the campaign has already below a number, and where. */
  const numbersOf = (campaignId: CampaignId, codes: Iterable<string>, below: number) =>
    Effect.map(
      read(
        `SELECT number, code FROM code_pool WHERE campaign_id = ${integer(campaignId)} ` +
          `AND code IN (${Array.from(codes, literal).join(",")})`
      ),
      (rows) =>
        new Map(rows.map((row) => [row.code as string, Number(row.number)] as const).filter(([, n]) => n < below))
    )

  const literal = (code: string): string => PLAIN.test(code) ? `'${code}'` : text(code)

  /** What is added in several transactions is added by one call at a time: the file has one process. */
  const turn = Effect.unsafeMakeSemaphore(1)
  const inTurn = codesAtOnce === undefined ? <A, E>(effect: Effect.Effect<A, E>) => effect : turn.withPermits(1)

  /** Removes what a crash has left of a chunk that was to begin here: no import has it, and no claim can get it. */
  const removeRest = (campaign: string, number: number): ReadonlyArray<string> =>
    codesAtOnce === undefined
      ? []
      : [`DELETE FROM code_pool WHERE campaign_id = ${campaign} AND number >= ${integer(number)}`]

  const append: CodeImports["Type"]["append"] = (importKey, index, codes) =>
    inTurn(Effect.suspend(() => {
      const digest = createHash("sha256").update(JSON.stringify(codes)).digest("hex")
      const campaign = integer(importKey.campaignId)
      let known: ReadonlyMap<string, number> = new Map()
      let lookUp = false
      return decided<AppendVerdict>(Effect.gen(function*() {
        const row = yield* findRow(importKey)
        if (row === undefined) return verdict({ _tag: "NoImport" })
        const { codeImport, firstNumber, key } = row
        if (index < codeImport.chunks) {
          const [chunk] = yield* read(
            `SELECT digest, accepted, rejected FROM code_import_chunks WHERE ${where(importKey)} ` +
              `AND chunk_index = ${integer(index)}`
          )
          // Those of an import that was aborted are gone.
          if (chunk === undefined) return verdict({ _tag: "NotOpen", codeImport })
          if (chunk.digest !== digest) return verdict({ _tag: "OtherCodes" })
          const rejected = JSON.parse(chunk.rejected as string) as ReadonlyArray<RejectedCode>
          return verdict({
            _tag: "Appended",
            codeImport,
            result: { accepted: Number(chunk.accepted), rejected }
          })
        }
        if (codeImport.state !== "OPEN") return verdict({ _tag: "NotOpen", codeImport })
        if (index > codeImport.chunks) return verdict({ _tag: "OutOfOrder", expected: codeImport.chunks })
        const base = firstNumber + codeImport.accepted
        if (lookUp) known = yield* numbersOf(importKey.campaignId, fresh(codes), base)
        const { accepted, result, tally } = sort(codes, known, firstNumber)
        const order = permutation(key, index, accepted.length)
        const slots = new Array<string>(accepted.length)
        accepted.forEach((code, at) => (slots[order[at]!] = code))
        const open = inState("OPEN", ` AND chunks = ${integer(index)}`)
        const insert = (from: number, to: number): ReadonlyArray<string> =>
          from === to ? [] : [
            "INSERT INTO code_pool (campaign_id, number, code) VALUES " +
            slots.slice(from, to).map((code, at) => `(${campaign},${base + from + at},${literal(code)})`).join(",")
          ]
        const size = codesAtOnce ?? slots.length
        const before: Array<ReadonlyArray<string>> = []
        for (let from = 0; from + size < slots.length; from += size) {
          before.push([
            `UPDATE code_imports SET updated_at = CASE WHEN ${open} THEN updated_at END WHERE ${where(importKey)}`,
            ...from === 0 ? removeRest(campaign, base) : [],
            ...insert(from, from + size)
          ])
        }
        return {
          _tag: "Write",
          before,
          statements: [
            `UPDATE code_imports SET chunks = CASE WHEN ${open} THEN chunks + 1 END, updated_at = ${now()},
  received = received + ${integer(codes.length)}, accepted = accepted + ${integer(accepted.length)},
  duplicate_in_file = duplicate_in_file + ${integer(tally.DUPLICATE_IN_FILE)},
  duplicate_in_campaign = duplicate_in_campaign + ${integer(tally.DUPLICATE_IN_CAMPAIGN)},
  invalid = invalid + ${integer(tally.INVALID)}
WHERE ${where(importKey)}`,
            `INSERT INTO code_import_chunks (campaign_id, import_id, chunk_index, digest, accepted, rejected)
VALUES (${campaign}, ${integer(importKey.importId)}, ${integer(index)}, '${digest}', ${integer(accepted.length)},
  ${text(JSON.stringify(result.rejected))})`,
            ...before.length === 0 ? removeRest(campaign, base) : [],
            ...insert(before.length * size, slots.length)
          ],
          after: (end) => {
            lookUp = end === "Taken"
          }
        }
      }))
    }))

  const finish: CodeImports["Type"]["finish"] = ({ actor, campaignId, changeId, chunks, importId }) =>
    decided<EndVerdict>(Effect.gen(function*() {
      const key = { campaignId, importId }
      const row = yield* findRow(key)
      if (row === undefined) return verdict({ _tag: "NoImport" })
      const { codeImport, firstNumber } = row
      if (codeImport.state === "FINISHED") return verdict({ _tag: "Ended", codeImport })
      if (codeImport.state !== "OPEN") return verdict({ _tag: "NotOpen", codeImport })
      if (codeImport.chunks !== chunks) return verdict({ _tag: "Changed" })
      const id = integer(campaignId)
      const before = integer(firstNumber - 1)
      const open = inState("OPEN", ` AND chunks = ${integer(chunks)}`)
      return {
        _tag: "Write",
        statements: [
          ...removeRest(id, firstNumber + codeImport.accepted),
          `UPDATE code_imports SET state = CASE WHEN ${open} THEN 'FINISHED' END, updated_at = ${now()}
WHERE ${where(key)}`,
          `UPDATE campaigns SET code_count = CASE WHEN code_count = ${before}
  THEN code_count + ${integer(codeImport.accepted)} END
WHERE id = ${id}`,
          ...act({ actor, changeId }, {
            action: "codes.import.finish",
            campaignId,
            before: { codeCount: firstNumber - 1 },
            after: { importId, codeCount: firstNumber - 1 + codeImport.accepted }
          }, campaignId)
        ]
      }
    }))

  /** Removes some codes from the end; the last of them takes the import to its end, too. */
  const remove = (key: ImportKey): Effect.Effect<void, LedgerUnavailable | CommitInDoubt> =>
    Effect.gen(function*() {
      const row = yield* findRow(key)
      if (row?.codeImport.state !== "ABORTING") return
      const campaign = integer(key.campaignId)
      const [last] = yield* read(`SELECT MAX(number) AS number FROM code_pool WHERE campaign_id = ${campaign}`)
      const number = last?.number === null ? 0 : Number(last?.number)
      const isOver = number < row.firstNumber + REMOVED_CODES
      const from = integer(Math.max(row.firstNumber, number - REMOVED_CODES + 1))
      yield* write([
        `UPDATE code_imports SET state = CASE WHEN ${inState("ABORTING")} THEN '${isOver ? "ABORTED" : "ABORTING"}' END
WHERE ${where(key)}`,
        `DELETE FROM code_pool WHERE campaign_id = ${campaign} AND number >= ${from}`,
        ...isOver ? [`DELETE FROM code_import_chunks WHERE ${where(key)}`] : []
      ])
    })

  const abort: CodeImports["Type"]["abort"] = ({ actor, campaignId, changeId, importId }) =>
    Effect.gen(function*() {
      const key = { campaignId, importId }
      const ended = yield* decided<EndVerdict>(Effect.gen(function*() {
        const row = yield* findRow(key)
        if (row === undefined) return verdict({ _tag: "NoImport" })
        const { codeImport } = row
        if (codeImport.state === "FINISHED") return verdict({ _tag: "NotOpen", codeImport })
        if (codeImport.state !== "OPEN") return verdict({ _tag: "Ended", codeImport })
        return {
          _tag: "Write",
          statements: [
            `UPDATE code_imports SET state = CASE WHEN ${inState("OPEN")} THEN 'ABORTING' END, updated_at = ${now()}
WHERE ${where(key)}`,
            ...act({ actor, changeId }, {
              action: "codes.import.abort",
              campaignId,
              before: { importId, received: codeImport.received },
              after: undefined
            }, campaignId)
          ]
        }
      }))
      if (ended._tag !== "Ended") return ended
      for (let removal = 0; removal < REMOVALS; removal++) yield* remove(key)
      const row = yield* findRow(key)
      return row === undefined ? { _tag: "NoImport" } : { _tag: "Ended", codeImport: row.codeImport }
    })

  return {
    start,
    append,
    finish,
    abort,
    find: (key) => Effect.map(findRow(key), (row) => row?.codeImport),
    list
  }
}

/** The different codes that a chunk may bring. */
const fresh = (codes: ReadonlyArray<string>): ReadonlySet<string> =>
  new Set(codes.flatMap((text) => Either.match(parsePoolCode(text), { onLeft: () => [], onRight: (code) => [code] })))

/** Which codes of a chunk are taken: valid ones, once, that no pool of the campaign has. */
export const sort = (codes: ReadonlyArray<string>, known: ReadonlyMap<string, number>, firstNumber: number) => {
  const taken = new Set<string>()
  const rejected: Array<RejectedCode> = []
  codes.forEach((text, index) => {
    const parsed = parsePoolCode(text)
    if (Either.isLeft(parsed)) return void rejected.push({ index, reason: "INVALID", text: parsed.left })
    const number = known.get(parsed.right)
    if (number !== undefined && number < firstNumber) {
      rejected.push({ index, reason: "DUPLICATE_IN_CAMPAIGN", text: "" })
    } else if (number !== undefined || taken.has(parsed.right)) {
      rejected.push({ index, reason: "DUPLICATE_IN_FILE", text: "" })
    } else taken.add(parsed.right)
  })
  const tally = { INVALID: 0, DUPLICATE_IN_FILE: 0, DUPLICATE_IN_CAMPAIGN: 0 }
  for (const { reason } of rejected) tally[reason]++
  const result: ChunkResult = { accepted: taken.size, rejected }
  return { accepted: [...taken], result, tally }
}
