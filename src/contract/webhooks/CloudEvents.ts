import type { CampaignId } from "../../domain/CampaignId.ts"
import type { IssuedCoupon } from "../../domain/redemption/Redemption.ts"
import { type EpochMillis, formatRfc3339 } from "../../domain/Time.ts"

/** CloudEvents 1.0 in JSON (https://github.com/cloudevents/spec), with the extension `sequence`. */
export interface CloudEvent {
  readonly specversion: "1.0"
  /** The same each time that the event is delivered; unique within `source`. */
  readonly id: string
  readonly source: string
  readonly type: string
  readonly time: string
  readonly datacontenttype: "application/json"
  /**
   * Orders the events of a source as text: the event's sequence in 16 digits and, for a single coupon of a range, its
   * number in 8.
   */
  readonly sequence: string
  readonly data: unknown
}

/** An event of the log, as far as it is written. */
export interface LoggedEvent {
  readonly campaignId: CampaignId
  readonly sequence: number
  readonly type: string
  /** The coupons of `coupon.issued`; otherwise both are 0. */
  readonly firstNumber: number
  readonly lastNumber: number
  readonly payload: unknown
  readonly at: EpochMillis
}

export const ISSUED = "coupon.issued"

/** Coupons that were issued, of which each may be written as an event of its own. */
export const isRange = ({ firstNumber, type }: LoggedEvent): boolean => type === ISSUED && firstNumber > 0

const SEQUENCE_DIGITS = 16
const NUMBER_DIGITS = 8

const padded = (value: number, digits: number): string => String(value).padStart(digits, "0")

const about = ({ campaignId, type }: LoggedEvent, id: string, time: EpochMillis, sequence: string, data: unknown) => ({
  specversion: "1.0" as const,
  id: `${campaignId}-${id}`,
  source: `/campaigns/${campaignId}`,
  type,
  time: formatRfc3339(time),
  datacontenttype: "application/json" as const,
  sequence,
  data
})

/** A whole event of the log. Of coupons it names the first and the last: a receiver lists them. */
export const ofEvent = (event: LoggedEvent): CloudEvent => {
  const { at, campaignId, firstNumber, lastNumber, payload, sequence } = event
  const data = isRange(event)
    ? { campaignId, firstNumber, lastNumber, count: lastNumber - firstNumber + 1 }
    : { campaignId, ...payload as object }
  return about(event, String(sequence), at, padded(sequence, SEQUENCE_DIGITS), data)
}

/**
 * One coupon of a range, with its expiry if it has one. The user id is text, as in the API's JSON, because it may have
 * 63 bits.
 */
export const ofCoupon = (event: LoggedEvent, { code, expiresAt, id, issuedAt, userId }: IssuedCoupon): CloudEvent => {
  const { campaignId, sequence } = event
  const place = `${padded(sequence, SEQUENCE_DIGITS)}-${padded(id, NUMBER_DIGITS)}`
  return about(event, `${sequence}-${id}`, issuedAt, place, {
    campaignId,
    number: id,
    userId: String(userId),
    code,
    issuedAt: formatRfc3339(issuedAt),
    ...expiresAt === undefined ? {} : { expiresAt: formatRfc3339(expiresAt) }
  })
}

/** What is sent. */
export interface Body {
  readonly contentType: string
  readonly text: string
}

/** One event in the structured mode. */
export const single = (event: CloudEvent): Body => ({
  contentType: "application/cloudevents+json; charset=utf-8",
  text: JSON.stringify(event)
})

/** Several events in the batch format. */
export const batch = (events: ReadonlyArray<CloudEvent>): Body => ({
  contentType: "application/cloudevents-batch+json; charset=utf-8",
  text: JSON.stringify(events)
})
