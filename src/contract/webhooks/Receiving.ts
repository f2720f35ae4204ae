/** Receiving webhooks: verification by Standard Webhooks, by the platform's Web Crypto, and reading the events. */

/** A request as a server has it: its headers, and its body exactly as it came. */
export interface ReceivedRequest {
  /** Of `fetch`, or Node's object of headers in lower case. */
  readonly headers: Headers | Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
  /** The raw body. JSON that was parsed and written again has another signature. */
  readonly body: string | Uint8Array
}

interface Event<Type extends string, Data> {
  /** The same each time that the event is delivered; unique within `source`. */
  readonly id: string
  /** `/campaigns/1`; `/test` for an example that was asked for. */
  readonly source: string
  readonly type: Type
  /** When it happened, RFC 3339. */
  readonly time: string
  /** Orders the events of a source as text. */
  readonly sequence: string
  readonly data: Data
}

/** One coupon that was issued (modes `EACH` and `BATCH`). */
export type CouponIssued = Event<"coupon.issued", {
  readonly campaignId: number
  readonly number: number
  /** As text, because it may have 63 bits. */
  readonly userId: string
  readonly code: string
  readonly issuedAt: string
}>

/** Coupons that were issued one after the other (mode `RANGE`); ListCoupons has them. */
export type CouponsIssued = Event<"coupon.issued", {
  readonly campaignId: number
  readonly firstNumber: number
  readonly lastNumber: number
  readonly count: number
}>

/** A coupon was redeemed or revoked, or its redemption undone. */
export type CouponChanged = Event<"coupon.redeemed" | "coupon.redemption_undone" | "coupon.revoked", {
  readonly campaignId: number
  readonly number: number
  readonly [field: string]: unknown
}>

/** A campaign was made, changed, paused, resumed, ended or sold out. */
export type CampaignChanged = Event<
  "campaign.created" | "campaign.updated" | "campaign.paused" | "campaign.resumed" | "campaign.ended" |
    "campaign.sold_out",
  {
    readonly campaignId: number
    readonly version: number
    readonly [field: string]: unknown
  }
>

/** Codes were added to a campaign's pool, or few are left in it. */
export type PoolChanged = Event<"codes.imported" | "codes.low", {
  readonly campaignId: number
  readonly codeCount: number
  readonly [field: string]: unknown
}>

/** An event. Later versions of the service add types: a receiver passes over those that it does not know. */
export type WebhookEvent = CouponIssued | CouponsIssued | CouponChanged | CampaignChanged | PoolChanged

/** What a request turned out to be. */
export type Verification =
  | {
    readonly _tag: "Verified"
    /** The same each time that the request is sent. */
    readonly id: string
    readonly sentAt: Date
    /** In the order in which they happened, within each campaign. */
    readonly events: ReadonlyArray<WebhookEvent>
  }
  | {
    readonly _tag: "Rejected"
    /** For the receiver's log. The sender gets a 4xx, and sends again. */
    readonly reason: string
  }

/** How a request is verified. */
export interface VerificationOptions {
  /** The webhook's secret, `whsec_…`; while it is being changed, the old one and the new one. */
  readonly secret: string | ReadonlyArray<string>
  /** Most seconds between the sender's clock and this one; unless given, 300. */
  readonly toleranceSeconds?: number
  /** Now, in milliseconds since 1970; unless given, this machine's clock. */
  readonly now?: number
}

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true })

const headerOf = ({ headers }: ReceivedRequest, name: string): string | undefined => {
  if (typeof headers.get === "function") return (headers as Headers).get(name) ?? undefined
  const value = (headers as Readonly<Record<string, string | ReadonlyArray<string> | undefined>>)[name]
  return typeof value === "string" ? value : value?.[0]
}

const bytesOf = (base64: string): Uint8Array<ArrayBuffer> | undefined => {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
  } catch {
    return undefined
  }
}

const keyOf = (secret: string) => {
  const bytes = bytesOf(secret.replace(/^whsec_/, ""))
  if (bytes === undefined || bytes.length === 0) throw new TypeError("a webhook's secret is whsec_ and base64")
  return crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["verify"])
}

/** Reads the events of a body whose sender is known; throws a SyntaxError for what is no body of a webhook. */
export const decode = (body: string | Uint8Array): ReadonlyArray<WebhookEvent> => {
  const read = JSON.parse(typeof body === "string" ? body : decoder.decode(body)) as unknown
  const events = (Array.isArray(read) ? read : [read]) as ReadonlyArray<Readonly<Record<string, unknown>> | null>
  for (const event of events) {
    const isEvent = event?.["specversion"] === "1.0" && ["id", "source", "type", "time", "sequence"].every((field) =>
      typeof event[field] === "string") && typeof event["data"] === "object"
    if (!isEvent) throw new SyntaxError("not an event in the form of CloudEvents 1.0")
  }
  return events as unknown as ReadonlyArray<WebhookEvent>
}

/**
 * Verifies a request before anything of it is used, and reads its events. A request that is rejected is answered with
 * 400 or 401. One that is verified may be a repetition: leave out events whose id within its source was seen.
 */
export const verify = async (
  request: ReceivedRequest,
  { now = Date.now(), secret, toleranceSeconds = 300 }: VerificationOptions
): Promise<Verification> => {
  const reject = (reason: string): Verification => ({ _tag: "Rejected", reason })
  const [id, timestamp, signatures] = ["webhook-id", "webhook-timestamp", "webhook-signature"]
    .map((name) => headerOf(request, name))
  if (id === undefined || timestamp === undefined || signatures === undefined) {
    return reject("a header of Standard Webhooks is missing")
  }
  if (!/^\d{1,12}$/.test(timestamp)) return reject("webhook-timestamp is not in seconds")
  if (Math.abs(now / 1_000 - Number(timestamp)) > toleranceSeconds) {
    return reject(`it was sent more than ${toleranceSeconds} s from now: an old request, or a clock that is wrong`)
  }
  const body = typeof request.body === "string" ? encoder.encode(request.body) : request.body
  const prefix = encoder.encode(`${id}.${timestamp}.`)
  const signed = new Uint8Array(prefix.length + body.length)
  signed.set(prefix)
  signed.set(body, prefix.length)

  const keys = await Promise.all((typeof secret === "string" ? [secret] : secret).map(keyOf))
  const given = signatures.split(" ").flatMap((one) => {
    const bytes = one.startsWith("v1,") ? bytesOf(one.slice("v1,".length)) : undefined
    return bytes === undefined ? [] : [bytes]
  })
  let isSigned = false
  // Web Crypto compares in constant time.
  for (const key of keys) for (const one of given) isSigned ||= await crypto.subtle.verify("HMAC", key, one, signed)
  if (!isSigned) return reject("no signature of the webhook's secret")
  try {
    return { _tag: "Verified", id, sentAt: new Date(Number(timestamp) * 1_000), events: decode(body) }
  } catch (error) {
    return reject(`signed, and its body cannot be read: ${(error as Error).message}`)
  }
}
