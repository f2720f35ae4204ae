import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as DurationText from "../base/DurationText.ts"
import type { Advice, EffectiveSetting, Info } from "./operator/Info.ts"

type Facts = typeof Info.Type
type Settings = Readonly<Record<string, string>>
/** What a text names in braces; empty where it does not. */
type Values = (typeof Advice.Type)["values"]

/** A text and what to do, in English, with the names of values in braces. The console has both in each language. */
interface Texts {
  readonly text: string
  readonly hint: string
}

/** What is advised against, by its id. `coupon doctor` shows it, and so does the console. */
export const texts = {
  open: {
    text: "administration is open to every client",
    hint: "set ADMIN_API_KEY, or make a key: coupon keys create --name me --role ADMIN"
  },
  ledger_clock: {
    text: "the ledger's clock and the instance's are {value} apart",
    hint: "the ledger's decides start and end: run NTP on the database's machine"
  },
  gate_clock: {
    text: "the gate's clock and the ledger's are {value} apart",
    hint: "beyond 2 s campaigns open late or close early by the rest: run NTP on the machines of both"
  },
  ledger_session: {
    text: "{name} is {value}, and has to be {required}",
    hint: "the service sets what it may: a proxy or pooler in between has lost it, or the server forbids it"
  },
  log_level: {
    text: "LOG_LEVEL=debug logs more than a busy instance can write",
    hint: "set LOG_LEVEL=info"
  },
  batch_size: {
    text: "ISSUE_BATCH_SIZE={value} makes transactions of few coupons, each of which costs 0.65 ms of the database",
    hint: "leave it at 512"
  },
  pool_size: {
    text: "MYSQL_POOL_SIZE={value} makes campaigns and lookups wait for one another",
    hint: "10 is enough for most"
  },
  in_flight: {
    text: "MAX_IN_FLIGHT={value} sheds claims that the service could serve",
    hint: "leave it at 10000"
  },
  connections: {
    text: "MAX_CONNECTIONS={value} closes connections in a rush",
    hint: "leave it at 20000, and raise the limit of open files"
  },
  relay_interval: {
    text: "RELAY_INTERVAL={value} lets the gate lag behind the ledger after a crash",
    hint: "leave it at 100ms"
  },
  audit_interval: {
    text: "AUDIT_INTERVAL={value} detects a gate that lost its memory late",
    hint: "leave it at 1500ms"
  },
  reservation_timeout: {
    text: "RESERVATION_TIMEOUT={value} holds the slots of dead claims for that long",
    hint: "leave it at 10s"
  },
  hydrate_page: {
    text: "HYDRATE_PAGE_SIZE={value} makes rebuilds of the gate slow, and claims wait",
    hint: "leave it at 5000"
  },
  shutdown_timeout: {
    text: "SHUTDOWN_TIMEOUT is shorter than REQUEST_TIMEOUT: a restart cuts claims off",
    hint: "make it a few seconds longer than REQUEST_TIMEOUT"
  },
  host: {
    text: "HOST={value}: every client of this address may administer",
    hint: "set ADMIN_API_KEY, or make a key, or, without MySQL, set HOST=127.0.0.1"
  },
  flush_log: {
    text: "MySQL's innodb_flush_log_at_trx_commit is {value}: a power failure loses committed coupons",
    hint: "set it to 1"
  },
  sync_binlog: {
    text: "MySQL's sync_binlog is {value}: after a power failure the coupons of replicas may differ",
    hint: "set it to 1"
  },
  doublewrite: {
    text: "MySQL's innodb_doublewrite is OFF: a power failure may tear pages",
    hint: "set it to ON, unless the disk writes 16 kB atomically"
  },
  // Made for hundreds of sessions that commit at once; an instance has one or two (docs/internals/decisions.md, 29).
  log_writer: {
    text: "MySQL's innodb_log_writer_threads is ON: a commit passes through four threads, and a coupon costs up to " +
      "half as much again",
    hint: "SET PERSIST innodb_log_writer_threads = OFF, unless hundreds of other sessions commit at once"
  },
  webhooks_off: {
    text: "webhooks are off, as SECRETS_KEY is not set; enabled ones that get no events: {value}",
    hint: "set SECRETS_KEY as it was when they were made: they go on where they stopped"
  },
  eviction: {
    text: "Redis's maxmemory_policy is {value}: it may evict holders, and the gate is rebuilt again and again",
    hint: "set maxmemory-policy to noeviction"
  }
} as const satisfies Record<string, Texts>

export type AdviceId = keyof typeof texts

const fill = (text: string, values: Values): string =>
  text.replace(/\{(name|value|required)\}/g, (_, name: keyof Values) => values[name])

const advice = (id: AdviceId, given: Partial<Values> = {}, verdict: "warn" | "fail" = "warn"): typeof Advice.Type => {
  const values = { name: "", value: "", required: "", ...given }
  const { hint, text } = texts[id]
  return { id, verdict, text: fill(text, values), hint, values }
}

/** A number, or a duration in milliseconds. NaN if it is not set, so that no comparison with it holds. */
const numberOf = (text = ""): number =>
  text === ""
    ? Number.NaN
    : Option.match(DurationText.parse(text), { onNone: () => Number(text), onSome: Duration.toMillis })

/** Settings that were changed from a good default to a harmful value. The limits come from load tests. */
const limits: ReadonlyArray<readonly [id: AdviceId, name: string, harms: (value: number) => boolean]> = [
  ["batch_size", "ISSUE_BATCH_SIZE", (value) => value < 64],
  ["pool_size", "MYSQL_POOL_SIZE", (value) => value < 4],
  ["in_flight", "MAX_IN_FLIGHT", (value) => value < 512],
  ["connections", "MAX_CONNECTIONS", (value) => value < 1_000],
  ["relay_interval", "RELAY_INTERVAL", (value) => value > 1_000],
  ["audit_interval", "AUDIT_INTERVAL", (value) => value > 10_000],
  ["reservation_timeout", "RESERVATION_TIMEOUT", (value) => value > 60_000],
  ["hydrate_page", "HYDRATE_PAGE_SIZE", (value) => value < 500]
]

const LOOPBACK = /^(127\.|localhost$|::1$)/

/** Of the instance's own settings. Skips those that it does not have (another version). */
const ownSettings = (values: Settings, { embedded, open }: Facts): ReadonlyArray<typeof Advice.Type> => {
  const host = values["HOST"]
  return [
    ...values["LOG_LEVEL"] === "debug" ? [advice("log_level")] : [],
    ...limits.flatMap(([id, name, harms]) =>
      harms(numberOf(values[name])) && !(embedded && id === "pool_size") ? [advice(id, { value: values[name]! })] : []
    ),
    ...numberOf(values["SHUTDOWN_TIMEOUT"]) < numberOf(values["REQUEST_TIMEOUT"]) ? [advice("shutdown_timeout")] : [],
    ...open && host !== undefined && !LOOPBACK.test(host) ? [advice("host", { value: host })] : []
  ]
}

/** Settings of the stores that lose committed coupons or the gate's memory, or make each coupon slower. */
const storeSettings = (ledger: Settings, gate: Settings): ReadonlyArray<typeof Advice.Type> => {
  const { innodb_doublewrite, innodb_flush_log_at_trx_commit: flush, innodb_log_writer_threads, log_bin } = ledger
  const { maxmemory_policy: policy } = gate
  const sync = ledger["sync_binlog"] ?? ""
  return [
    ...flush !== undefined && flush !== "1" ? [advice("flush_log", { value: flush })] : [],
    ...log_bin === "ON" && sync !== "1" ? [advice("sync_binlog", { value: sync })] : [],
    ...innodb_doublewrite === "OFF" ? [advice("doublewrite")] : [],
    ...innodb_log_writer_threads === "ON" ? [advice("log_writer")] : [],
    ...policy !== undefined && policy !== "noeviction" ? [advice("eviction", { value: policy })] : []
  ]
}

/** Of the settings in effect, the harmful ones. */
export const ofSettings = (
  all: ReadonlyArray<typeof EffectiveSetting.Type>,
  info: Facts
): ReadonlyArray<typeof Advice.Type> => [
  ...ownSettings(Object.fromEntries(all.map(({ name, value }) => [name, value])), info),
  ...storeSettings(info.ledger?.settings ?? {}, info.gate?.settings ?? {})
]

/** Clocks further apart than this are advised against. */
const APART_MILLIS = 1_000

const apart = (id: AdviceId, millis: number): ReadonlyArray<typeof Advice.Type> =>
  Math.abs(millis) > APART_MILLIS ? [advice(id, { value: DurationText.measured(Math.abs(millis)) })] : []

/** Of access, of webhooks, of the stores' clocks, and of the session variables of the ledger. */
export const ofInfo = ({ gate, ledger, open, waitingWebhooks = 0 }: Facts): ReadonlyArray<typeof Advice.Type> => {
  const aheadOf = (store: { readonly now: number; readonly askedAt: number }) => store.now - store.askedAt
  return [
    ...open ? [advice("open")] : [],
    ...waitingWebhooks > 0 ? [advice("webhooks_off", { value: String(waitingWebhooks) })] : [],
    ...ledger === null ? [] : apart("ledger_clock", aheadOf(ledger)),
    ...ledger === null || gate === null ? [] : apart("gate_clock", aheadOf(gate) - aheadOf(ledger)),
    ...(ledger?.session ?? []).flatMap(({ name, required, value }) =>
      required === undefined ? [] : [advice("ledger_session", { name, value: value || "empty", required }, "fail")])
  ]
}
