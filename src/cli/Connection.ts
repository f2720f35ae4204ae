import * as Options from "@effect/cli/Options"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as DurationText from "../base/DurationText.ts"
import { type CliFailure, usage } from "./CliFailure.ts"
import * as Times from "./values/Times.ts"

/** The service's address, and the key to call it with. */
export interface Connection {
  /** Without a slash at the end. */
  readonly url: string
  readonly key: Option.Option<Redacted.Redacted<string>>
  readonly json: boolean
  /** For the answer to a single call. */
  readonly timeoutMillis: number
  /** Why its calls are made, for the audit log; empty: no reason was given. */
  readonly reason: string
  readonly times: Times.Times
}

const TIMEOUTS = { minimum: "1 millis", maximum: "60 minutes" } as const

export const DEFAULT_URL = "http://127.0.0.1:8080"

/** The options that every command takes. */
export const options = {
  url: Options.text("url").pipe(
    Options.withDescription(`where the service is, or COUPON_URL; unless given, ${DEFAULT_URL}`),
    Options.withFallbackConfig(Config.string("COUPON_URL")),
    Options.withDefault(DEFAULT_URL)
  ),
  key: Options.redacted("key").pipe(
    Options.withDescription("API key; better as COUPON_API_KEY, for other users of a machine can see arguments"),
    Options.withFallbackConfig(Config.redacted("COUPON_API_KEY")),
    Options.optional
  ),
  timeout: Options.text("timeout").pipe(
    Options.withDescription("longest wait for an answer, e.g. 500ms, 10s, 2m; unless given, 10s"),
    Options.withDefault("10s")
  ),
  tz: Options.text("tz").pipe(
    Options.withDescription("the zone of times, such as Asia/Seoul; unless given, this machine's"),
    Options.optional
  ),
  json: Options.boolean("json").pipe(
    Options.withDescription("for programs: one JSON object (streams: one a line), failures too")
  )
}

/** The options of a command that is an act: what the audit log has of it. */
export const acting = {
  ...options,
  reason: Options.text("reason").pipe(
    Options.withDescription("why, for the audit log; at most 200 characters"),
    Options.withDefault("")
  )
}

export type Options_ = {
  readonly url: string
  readonly key: Option.Option<Redacted.Redacted<string>>
  readonly timeout: string
  readonly tz: Option.Option<string>
  readonly json: boolean
  readonly reason?: string
}

/** Checks the options, without a call to the service. */
export const parse = (
  { json, key, reason = "", timeout, tz, url }: Options_
): Effect.Effect<Connection, CliFailure> =>
  Effect.gen(function*() {
    const parsed = URL.canParse(url) ? new URL(url) : undefined
    const isPlain = parsed !== undefined && /^https?:$/.test(parsed.protocol) &&
      [parsed.search, parsed.hash, parsed.username, parsed.password].every((part) => part === "")
    if (!isPlain) {
      return yield* usage(
        "--url must be like http://127.0.0.1:8080 or https://coupons.example.com, without user, query or fragment"
      )
    }
    const duration = Option.getOrElse(DurationText.parse(timeout), () => Duration.zero)
    if (!Duration.between(duration, TIMEOUTS)) return yield* usage("--timeout must be 1ms to 60m, e.g. 500ms, 10s, 2m")
    const times = Option.isNone(tz) ? Times.ofMachine() : yield* Times.ofZone(tz.value)
    const timeoutMillis = Math.round(Duration.toMillis(duration))
    return { url: parsed.href.replace(/\/+$/, ""), key, json, timeoutMillis, reason, times }
  })
