import {
  CodeFileFlaw,
  type CodeLine,
  formatOfName,
  inChunks,
  readCodes,
  usualLimits
} from "$client/CodeFile.ts"
import { type CodeImport, CodeImportState, type CodeRejection } from "$contract/gen/coupon/v1/coupon_pb.ts"
import { freshRequestId } from "../../api/requestId.ts"
import { coupons, withReason } from "../../api/transport.ts"
import { failureOf } from "../../api/failureTexts.ts"
import { type Failure, isPassing } from "../../api/Failure.ts"

/** A chunk is sent again so often; each is stored once. */
const ATTEMPTS = 4

/** So many rejected codes are listed; the counts are of all. */
export const MAX_LISTED = 100

export interface Rejected {
  readonly line: number
  readonly code: string
  readonly rejection: CodeRejection
  readonly reason: string
}

/** The bytes of a file as they come; not every browser lets a stream be iterated. */
async function* bytesOf(file: File): AsyncGenerator<Uint8Array> {
  const reader = file.stream().getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    yield value
  }
}

/** `sending` the file, `sent` and waiting for the decision, `finished`, `aborted`. */
export type Stage = "idle" | "sending" | "sent" | "finished" | "aborted"

/** The import of a file: its chunks one after another, then a report, then the operator's decision. */
export class Import {
  readonly campaignId: number
  stage = $state.raw<Stage>("idle")
  /** Bytes of the file that were read. */
  read = $state.raw(0)
  size = $state.raw(0)
  report = $state.raw<CodeImport>()
  rejected = $state.raw<ReadonlyArray<Rejected>>([])
  failure = $state.raw<Failure>()
  /** All of the file was sent. A part of it must not look like the whole. */
  isWhole = $state(false)
  /** Why the file is no list of codes; then all of it is given up. */
  flaw = $state.raw<{ readonly line: number; readonly reason: string }>()

  constructor(campaignId: number) {
    this.campaignId = campaignId
  }

  /** 0 before the service has begun it. */
  get #importId(): number {
    return this.report?.importId ?? 0
  }

  async #repeated<A>(call: () => Promise<A>): Promise<A> {
    for (let attempt = 1;; attempt++) {
      try {
        return await call()
      } catch (cause) {
        const failure = failureOf(cause)
        if (!isPassing(failure) || attempt >= ATTEMPTS) throw cause
        await new Promise((resolve) => setTimeout(resolve, Math.max(1, failure.retryAfterSeconds) * 1_000))
      }
    }
  }

  #failed(cause: unknown): void {
    this.failure = failureOf(cause)
    this.stage = this.#importId === 0 ? "idle" : "sent"
  }

  /** Without a reason: the file was at fault, and no operator has decided. */
  async #abandon(): Promise<void> {
    try {
      await this.abort("")
    } catch (cause) {
      this.#failed(cause)
    }
  }

  async #append(lines: ReadonlyArray<CodeLine>, chunkIndex: number): Promise<void> {
    const { codeImport, rejected } = await this.#repeated(() =>
      coupons.appendCodes({
        campaignId: this.campaignId,
        importId: this.#importId,
        chunkIndex,
        codes: lines.map(({ code }) => code)
      })
    )
    this.report = codeImport
    if (this.rejected.length >= MAX_LISTED) return
    this.rejected = [
      ...this.rejected,
      ...rejected.map(({ index, reason, rejection }) => ({ ...lines[index]!, reason, rejection }))
    ].slice(0, MAX_LISTED)
  }

  /** Sends a file of CSV or NDJSON. Afterwards its codes are stored and not yet in the pool. */
  async send(file: File): Promise<void> {
    this.stage = "sending"
    this.failure = undefined
    this.flaw = undefined
    this.isWhole = false
    this.read = 0
    this.size = file.size
    this.rejected = []
    this.report = undefined
    const requestId = freshRequestId()
    try {
      const started = await this.#repeated(() => coupons.startImport({ campaignId: this.campaignId, requestId }))
      this.report = started.codeImport
      const lines = readCodes(bytesOf(file), { format: formatOfName(file.name), column: undefined })
      let chunk = 0
      for await (const { bytes, codes } of inChunks(lines, usualLimits)) {
        await this.#append(codes, chunk++)
        this.read = bytes
      }
      this.isWhole = true
      this.stage = "sent"
    } catch (cause) {
      if (cause instanceof CodeFileFlaw) {
        this.flaw = { line: cause.line, reason: cause.reason }
        // A part of the file may not look like the whole of it.
        return this.#abandon()
      }
      this.#failed(cause)
    }
  }

  /** Takes the codes into the pool, all at once. Throws if that fails. */
  async finish(reason: string): Promise<void> {
    const request = { campaignId: this.campaignId, importId: this.#importId, allowRejected: true }
    this.report = (await this.#repeated(() => coupons.finishImport(request, withReason(reason)))).codeImport
    this.failure = undefined
    this.stage = "finished"
  }

  /** Throws if that fails. */
  async abort(reason: string): Promise<void> {
    await abortImport(this.campaignId, this.#importId, reason)
    this.failure = undefined
    this.stage = "aborted"
  }
}

const kept = new Map<number, Import>()

/**
 * The import of a campaign: the one that was begun in this tab and is not decided, or a new one. It goes on while
 * another page is shown.
 */
export const importOf = (campaignId: number): Import => {
  const known = kept.get(campaignId)
  if (known !== undefined && (known.stage === "sending" || known.stage === "sent")) return known
  const made = new Import(campaignId)
  kept.set(campaignId, made)
  return made
}

/** Gives an import up, some thousands of codes a call. */
export const abortImport = async (campaignId: number, importId: number, reason: string): Promise<void> => {
  for (;;) {
    const { codeImport } = await coupons.abortImport({ campaignId, importId }, withReason(reason))
    if (codeImport === undefined || codeImport.state === CodeImportState.ABORTED) return
  }
}
