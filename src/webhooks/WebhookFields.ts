import * as Either from "effect/Either"
import { flawOf } from "../domain/DisplayName.ts"
import { InvalidArgument } from "../domain/InvalidArgument.ts"
import {
  type WebhookId, type WebhookMode, webhookModes, type WebhookOnFailure, webhookFailureModes
} from "../domain/webhooks/Webhook.ts"
import type { CampaignEventType } from "../ports/EventLog.ts"

/** The types of events that a webhook may ask for. */
export const eventTypes = [
  "coupon.issued",
  "coupon.redeemed",
  "coupon.redemption_undone",
  "coupon.revoked",
  "campaign.created",
  "campaign.updated",
  "campaign.paused",
  "campaign.resumed",
  "campaign.ended",
  "campaign.sold_out",
  "codes.imported",
  "codes.low"
] as const satisfies ReadonlyArray<CampaignEventType>

const MAX_DESCRIPTION = 200
const MAX_CAMPAIGNS = 1_000
const MAX_ATTEMPTS = 8
const MAX_CONCURRENCY = 16
const DEFAULT_CONCURRENCY = 4
const MAX_OVERLAP_SECONDS = 7 * 86_400
const DEFAULT_OVERLAP_SECONDS = 86_400

const reject = (field: string, reason: string) => Either.left(new InvalidArgument({ field, reason }))

type Parsed<A> = Either.Either<A, InvalidArgument>

/** An id that no webhook has is not found; text of another form is no id. */
export const parseId = (id: string): Parsed<WebhookId> =>
  /^[0-9a-f]{16}$/.test(id) ? Either.right(id) : reject("id", "must be a webhook's, of 16 hexadecimal digits")

export const parseDescription = (text: string): Parsed<string> => {
  if (text === "") return Either.right("")
  if (Array.from(text).length > MAX_DESCRIPTION) {
    return reject("description", `must have at most ${MAX_DESCRIPTION} characters`)
  }
  const flaw = flawOf(text)
  return flaw === undefined ? Either.right(text) : reject("description", flaw)
}

export const parseTypes = (types: ReadonlyArray<string>): Parsed<ReadonlyArray<string>> => {
  const unknown = types.find((type) => !eventTypes.some((known) => known === type))
  return unknown === undefined
    ? Either.right([...new Set(types)])
    : reject("types", `must be some of ${eventTypes.join(", ")}`)
}

/** `undefined`: all campaigns. Whether they exist is another question. */
export const parseCampaigns = (ids: ReadonlyArray<number>): Parsed<ReadonlyArray<number> | undefined> => {
  if (ids.length === 0) return Either.right(undefined)
  if (ids.length > MAX_CAMPAIGNS) return reject("campaignIds", `must be at most ${MAX_CAMPAIGNS}`)
  return ids.every((id) => Number.isInteger(id) && id >= 1)
    ? Either.right([...new Set(ids)])
    : reject("campaignIds", "must be positive 32-bit integers")
}

/** `index` is the number of the enum on the wire: 0 is the default. */
const oneOf = <A>(field: string, values: ReadonlyArray<A>, byDefault: A) => (index: number): Parsed<A> => {
  const value = index === 0 ? byDefault : values[index - 1]
  return value === undefined ? reject(field, "must be one that webhooks have") : Either.right(value)
}

export const parseMode: (index: number) => Parsed<WebhookMode> = oneOf("mode", webhookModes, "BATCH")

export const parseOnFailure: (index: number) => Parsed<WebhookOnFailure> = oneOf(
  "onFailure",
  webhookFailureModes,
  "RETRY"
)

const count = (field: string, most: number, byDefault: number) => (value: number): Parsed<number> =>
  Number.isInteger(value) && value >= 0 && value <= most
    ? Either.right(value === 0 ? byDefault : value)
    : reject(field, `must be 1 to ${most}, or 0 for ${byDefault}`)

export const parseMaxAttempts = count("maxAttempts", MAX_ATTEMPTS, MAX_ATTEMPTS)

export const parseConcurrency = count("concurrency", MAX_CONCURRENCY, DEFAULT_CONCURRENCY)

export const parseOverlap = (seconds: number | undefined): Parsed<number> => {
  if (seconds === undefined) return Either.right(DEFAULT_OVERLAP_SECONDS * 1_000)
  return seconds >= 0 && seconds <= MAX_OVERLAP_SECONDS
    ? Either.right(seconds * 1_000)
    : reject("overlapSeconds", `must be 0 to ${MAX_OVERLAP_SECONDS}`)
}

/** Empty: coupon.issued. */
export const parseTestType = (type: string): Parsed<CampaignEventType> => {
  const known = eventTypes.find((one) => one === (type === "" ? "coupon.issued" : type))
  return known === undefined ? reject("type", `must be one of ${eventTypes.join(", ")}`) : Either.right(known)
}

const MAX_PAGE = 1_000
const DEFAULT_PAGE = 100

/** A page of rows by their ids: its size, and the last id of the page before. */
export const parsePage = (
  pageSize: number,
  pageToken: string
): Parsed<{ readonly limit: number; readonly id: number | undefined }> => {
  if (pageSize < 0) return reject("pageSize", "must not be negative")
  if (pageToken !== "" && !/^[1-9]\d{0,15}$/.test(pageToken)) {
    return reject("pageToken", "must be the nextPageToken of an answer")
  }
  const limit = pageSize === 0 ? DEFAULT_PAGE : Math.min(pageSize, MAX_PAGE)
  return Either.right({ limit, id: pageToken === "" ? undefined : Number(pageToken) })
}

/** Ids of parked deliveries; `undefined`: all. */
export const parseDeliveryIds = (
  ids: ReadonlyArray<bigint>,
  all: boolean
): Parsed<ReadonlyArray<number> | undefined> => {
  if (all !== (ids.length === 0)) return reject("deliveryIds", "must be given, unless `all` is set")
  if (ids.length > MAX_PAGE) return reject("deliveryIds", `must be at most ${MAX_PAGE}`)
  return ids.every((id) => id > 0n && id <= BigInt(Number.MAX_SAFE_INTEGER))
    ? Either.right(all ? undefined : ids.map(Number))
    : reject("deliveryIds", "must be ids of parked deliveries")
}

/** A new webhook as a client sent it, or the fields of one that it changes. */
export interface WebhookInput {
  readonly url?: string | undefined
  readonly description?: string | undefined
  readonly types?: ReadonlyArray<string> | undefined
  readonly campaignIds?: ReadonlyArray<number> | undefined
  readonly mode?: number | undefined
  readonly onFailure?: number | undefined
  readonly maxAttempts?: number | undefined
  readonly concurrency?: number | undefined
  readonly enabled?: boolean | undefined
}
