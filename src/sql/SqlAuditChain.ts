import { createHash } from "node:crypto"
import * as Effect from "effect/Effect"
import type { EpochMillis } from "../domain/Time.ts"
import type { AuditChain, ChainHead, ChainLink } from "../ports/AuditChain.ts"
import type { LedgerUnavailable } from "../ports/Ledger.ts"
import type { Row } from "./Rows.ts"
import { actRow } from "./text/AuditLogText.ts"
import { integer } from "./text/Literals.ts"

/** The chain of the audit log, where the databases differ. */
export interface AuditChainDialect {
  readonly time: (value: unknown) => EpochMillis
  /** An act's change id as hexadecimal digits, as an expression. */
  readonly changeId: string
  readonly now: () => string
  readonly read: (text: string) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable>
  /** Runs statements as one transaction that first takes the lock of the head's row. What it did is read afterwards. */
  readonly commit: (statements: ReadonlyArray<string>) => Effect.Effect<unknown, LedgerUnavailable>
}

/**
 * The forms of what is hashed, by number, so that the hashes of old rows stay as they are. 1: an act without a reason,
 * and any act that an instance of an earlier version seals. 2: an act with its reason.
 */
const [WITHOUT_REASON, WITH_REASON] = [1, 2]

/**
 * A transaction that commits late has a smaller id than acts that have a place already. It is looked for this far back;
 * so many acts are not recorded while one transaction lasts.
 */
const LOOK_BACK = 1_000

const HEX = /^[0-9a-f]{64}$/
const hashText = (hash: string): string => {
  if (!HEX.test(hash)) throw new Error(`a hash has 64 hexadecimal digits, not ${hash}`)
  return `'${hash}'`
}

const text = (value: unknown): string | null => value === null || value === undefined ? null : String(value)

const hashIn = (form: number, previous: string, sequence: number, row: Row): string =>
  createHash("sha256").update(JSON.stringify([
    form,
    previous,
    sequence,
    Number(row.id),
    ...[row.change_hex, row.at, row.actor, row.action, row.campaign_id, row.before_state, row.after_state].map(text),
    ...[row.key_id, row.role, row.address, row.request_id, row.outcome].map(text),
    ...form === WITH_REASON ? [text(row.reason)] : []
  ])).digest("hex")

/** The hash of an act in its place: of every column as it is stored, so that none can be changed. */
const hashOf = (previous: string, sequence: number, row: Row): string =>
  hashIn(row.reason === null ? WITHOUT_REASON : WITH_REASON, previous, sequence, row)

/** What all ledgers do alike with the chain. */
export const make = (dialect: AuditChainDialect): AuditChain["Type"] => {
  const { changeId, commit, now, read, time } = dialect
  const recordOf = actRow(time)
  const acts = `a.id, ${changeId} AS change_hex, a.at, a.actor, a.action, a.campaign_id, a.before_state, ` +
    "a.after_state, f.key_id, f.role, f.address, f.request_id, f.outcome, f.reason"
  const withFacts = "LEFT JOIN admin_audit_facts AS f ON f.change_id = a.change_id"
  const withPlaces = "LEFT JOIN admin_audit_chain AS c ON c.audit_id = a.id"

  const wholeHead = Effect.map(read("SELECT sequence, hash, audit_id FROM admin_audit_head WHERE id = 1"), ([row]) => {
    if (row === undefined) throw new Error("the table `admin_audit_head` has lost its row")
    return { sequence: Number(row.sequence), hash: String(row.hash), auditId: Number(row.audit_id) }
  })
  const head: Effect.Effect<ChainHead, LedgerUnavailable> = Effect.map(wholeHead, ({ hash, sequence }) =>
    ({ sequence, hash }))

  return {
    head,

    unsealed: Effect.map(
      read(`SELECT COUNT(*) AS acts FROM admin_audit AS a ${withPlaces} WHERE c.audit_id IS NULL`),
      ([row]) => Number(row!.acts)
    ),

    seal: (limit) =>
      Effect.gen(function*() {
        const from = yield* wholeHead
        const rows = yield* read(
          `SELECT ${acts} FROM admin_audit AS a ${withPlaces} ${withFacts} ` +
            `WHERE a.id > ${integer(from.auditId - LOOK_BACK)} AND c.audit_id IS NULL ` +
            `ORDER BY a.id LIMIT ${integer(limit)}`
        )
        if (rows.length === 0) return { sealed: 0, head: { sequence: from.sequence, hash: from.hash } }
        let { hash, sequence } = from
        const places = rows.map((row) => {
          hash = hashOf(hash, ++sequence, row)
          return `SELECT ${integer(sequence)} AS sequence, ${integer(Number(row.id))} AS audit_id, ` +
            `${hashText(hash)} AS hash`
        })
        const auditId = Math.max(from.auditId, ...rows.map(({ id }) => Number(id)))
        // Both do nothing if another instance has moved the head.
        const unmoved = `id = 1 AND sequence = ${integer(from.sequence)} AND hash = ${hashText(from.hash)}`
        yield* commit([
          `INSERT INTO admin_audit_chain (sequence, audit_id, hash, sealed_at)
SELECT p.sequence, p.audit_id, p.hash, ${now()}
FROM (${places.join(" UNION ALL ")}) AS p
CROSS JOIN (SELECT id FROM admin_audit_head WHERE ${unmoved}) AS h`,
          `UPDATE admin_audit_head SET sequence = ${integer(sequence)}, hash = ${hashText(hash)}, ` +
          `audit_id = ${integer(auditId)} WHERE ${unmoved}`
        ])
        const to = yield* head
        return { sealed: to.sequence === sequence && to.hash === hash ? rows.length : 0, head: to }
      }),

    links: (after, limit) =>
      Effect.gen(function*() {
        // With the one before, whose hash is part of the first.
        const rows = yield* read(
          `SELECT c.sequence, c.hash, ${acts} FROM admin_audit_chain AS c ` +
            `LEFT JOIN admin_audit AS a ON a.id = c.audit_id ${withFacts} ` +
            `WHERE c.sequence >= ${integer(after)} ORDER BY c.sequence LIMIT ${integer(limit + 1)}`
        )
        const hashes = new Map(rows.map((row) => [Number(row.sequence), String(row.hash)]))
        hashes.set(0, "0".repeat(64))
        return rows.filter((row) => Number(row.sequence) > after).slice(0, limit).map((row): ChainLink => {
          const sequence = Number(row.sequence)
          const previous = hashes.get(sequence - 1)
          const hash = String(row.hash)
          const record = row.id === null ? undefined : recordOf(row)
          if (record === undefined || previous === undefined) {
            return { sequence, hash, expected: undefined, isReasonSealed: true, record }
          }
          const isReasonSealed = row.reason === null || hashIn(WITHOUT_REASON, previous, sequence, row) !== hash
          const expected = isReasonSealed ? hashOf(previous, sequence, row) : hash
          return { sequence, hash, expected, isReasonSealed, record }
        })
      })
  }
}
