import * as Schema from "effect/Schema"
import { Count, Millis } from "./Fields.ts"

/** A store's clock, and the instance's when the answer arrived, in epoch milliseconds. */
const StoreFacts = Schema.Struct({
  now: Millis,
  askedAt: Millis,
  settings: Schema.Record({ key: Schema.String, value: Schema.String }),
  /** The ledger's session variables that statements depend on; `required`: what one has to be that is not. */
  session: Schema.optional(Schema.Array(Schema.Struct({
    name: Schema.String,
    value: Schema.String,
    required: Schema.optional(Schema.String)
  })))
})

/** The instance that answers, and its state. */
export const Info = Schema.Struct({
  service: Schema.Literal("coupon-issuance"),
  version: Schema.String,
  /** Node's, e.g. `24.21.0`. */
  node: Schema.String,
  /** Tells instances apart: host name and process id. */
  instance: Schema.String,
  /** Epoch milliseconds. */
  startedAt: Millis,
  /** The instance's clock when it answered, epoch milliseconds. */
  now: Millis,
  /** The stores' clocks when they were asked, and their settings that matter; `null`: it did not answer. */
  ledger: Schema.NullOr(StoreFacts),
  gate: Schema.NullOr(StoreFacts),
  /** The stores in a few words, without secrets. */
  stores: Schema.String,
  embedded: Schema.Boolean,
  ready: Schema.Boolean,
  waitingFor: Schema.Array(Schema.String),
  /** Whether administration needs no key, because none is configured. */
  open: Schema.Boolean,
  caller: Schema.Struct({ name: Schema.String, role: Schema.String }),
  /** Keys that expire within 14 days. An older instance does not send it, nor one whose ledger is away. */
  expiringKeys: Schema.optional(Schema.Array(
    Schema.Struct({ id: Schema.String, name: Schema.String, expiresAt: Millis })
  )),
  /** Enabled webhooks that get no events because webhooks are off; an older instance does not send it. */
  waitingWebhooks: Schema.optional(Count)
})

/** A setting in effect, written as its variable. `value` is `***` if it may hold a secret, and empty if it is unset. */
export const EffectiveSetting = Schema.Struct({
  name: Schema.String,
  value: Schema.String,
  default: Schema.String,
  isDefault: Schema.Boolean,
  description: Schema.String
})

/**
 * What is advised against: a setting, a clock or a session variable that harms (`src/contract/Advice.ts`). `text` and
 * `hint`, what to do, are in English; clients that know the `id` have them in other languages, with these `values`.
 */
export const Advice = Schema.Struct({
  id: Schema.String,
  /** `fail`: the service does not work as it should. */
  verdict: Schema.Literal("warn", "fail"),
  text: Schema.String,
  hint: Schema.String,
  values: Schema.Struct({ name: Schema.String, value: Schema.String, required: Schema.String })
})
