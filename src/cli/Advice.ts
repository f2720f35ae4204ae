import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as DurationText from "../base/DurationText.ts"
import type { EffectiveSetting, Info } from "../contract/OperatorRpcs.ts"

/** A setting that will cause trouble under load. */
export interface Advice {
  readonly text: string
  readonly hint: string
}

type Values = Readonly<Record<string, string>>

/** A number, or a duration in milliseconds. NaN if it is not set, so that no comparison with it holds. */
const numberOf = (text: string): number =>
  text === ""
    ? Number.NaN
    : Option.match(DurationText.parse(text), { onNone: () => Number(text), onSome: Duration.toMillis })

const below = (values: Values, name: string, limit: number): boolean => numberOf(values[name] ?? "") < limit
const above = (values: Values, name: string, limit: number): boolean => numberOf(values[name] ?? "") > limit

/** Settings that were changed from a good default to a harmful value. The limits come from load tests. */
const rules: ReadonlyArray<(values: Values, info: typeof Info.Type) => Advice | false> = [
  ({ LOG_LEVEL }) =>
    LOG_LEVEL === "debug" && {
      text: "LOG_LEVEL=debug logs more than a busy instance can write",
      hint: "set LOG_LEVEL=info"
    },
  (values) =>
    below(values, "ISSUE_BATCH_SIZE", 64) && {
      text: `ISSUE_BATCH_SIZE=${values["ISSUE_BATCH_SIZE"]} makes transactions of few coupons, ` +
        "each of which costs 0.65 ms of the database",
      hint: "leave it at 512"
    },
  (values, { embedded }) =>
    !embedded && below(values, "MYSQL_POOL_SIZE", 4) && {
      text: `MYSQL_POOL_SIZE=${values["MYSQL_POOL_SIZE"]} makes campaigns and lookups wait for one another`,
      hint: "10 is enough for most"
    },
  (values) =>
    below(values, "MAX_IN_FLIGHT", 512) && {
      text: `MAX_IN_FLIGHT=${values["MAX_IN_FLIGHT"]} sheds claims that the service could serve`,
      hint: "leave it at 10000"
    },
  (values) =>
    below(values, "MAX_CONNECTIONS", 1_000) && {
      text: `MAX_CONNECTIONS=${values["MAX_CONNECTIONS"]} closes connections in a rush`,
      hint: "leave it at 20000, and raise the limit of open files"
    },
  (values) =>
    above(values, "RELAY_INTERVAL", 1_000) && {
      text: `RELAY_INTERVAL=${values["RELAY_INTERVAL"]} lets the gate lag behind the ledger after a crash`,
      hint: "leave it at 100ms"
    },
  (values) =>
    above(values, "AUDIT_INTERVAL", 10_000) && {
      text: `AUDIT_INTERVAL=${values["AUDIT_INTERVAL"]} detects a gate that lost its memory late`,
      hint: "leave it at 1500ms"
    },
  (values) =>
    above(values, "RESERVATION_TIMEOUT", 60_000) && {
      text: `RESERVATION_TIMEOUT=${values["RESERVATION_TIMEOUT"]} holds the slots of dead claims for that long`,
      hint: "leave it at 10s"
    },
  (values) =>
    below(values, "HYDRATE_PAGE_SIZE", 500) && {
      text: `HYDRATE_PAGE_SIZE=${values["HYDRATE_PAGE_SIZE"]} makes rebuilds of the gate slow, and claims wait`,
      hint: "leave it at 5000"
    },
  (values) =>
    below(values, "SHUTDOWN_TIMEOUT", numberOf(values["REQUEST_TIMEOUT"] ?? "")) && {
      text: "SHUTDOWN_TIMEOUT is shorter than REQUEST_TIMEOUT: a restart cuts claims off",
      hint: "make it a few seconds longer than REQUEST_TIMEOUT"
    },
  ({ HOST }, { embedded, open }) =>
    open && HOST !== undefined && !/^(127\.|localhost$|::1$)/.test(HOST) && {
      text: `HOST=${HOST}: every client of this address may administer`,
      hint: `set ADMIN_API_KEY, or make a key${embedded ? ", or HOST=127.0.0.1" : ""}`
    }
]

type StoreSettings = Readonly<Record<string, string>>

/** Settings of the stores that lose committed coupons or the gate's memory, or make each coupon slower. */
const storeRules: ReadonlyArray<(ledger: StoreSettings, gate: StoreSettings) => Advice | false> = [
  ({ innodb_flush_log_at_trx_commit: flush }) =>
    flush !== undefined && flush !== "1" && {
      text: `MySQL's innodb_flush_log_at_trx_commit is ${flush}: a power failure loses committed coupons`,
      hint: "set it to 1"
    },
  ({ log_bin, sync_binlog }) =>
    log_bin === "ON" && sync_binlog !== "1" && {
      text: `MySQL's sync_binlog is ${sync_binlog}: after a power failure the coupons of replicas may differ`,
      hint: "set it to 1"
    },
  ({ innodb_doublewrite: doublewrite }) =>
    doublewrite === "OFF" && {
      text: "MySQL's innodb_doublewrite is OFF: a power failure may tear pages",
      hint: "set it to ON, unless the disk writes 16 kB atomically"
    },
  // Made for hundreds of sessions that commit at once; an instance has one or two (docs/internals/decisions.md, 29).
  ({ innodb_log_writer_threads: threads }) =>
    threads === "ON" && {
      text: "MySQL's innodb_log_writer_threads is ON: a commit passes through four threads, " +
        "and a coupon costs up to half as much again",
      hint: "SET PERSIST innodb_log_writer_threads = OFF, unless hundreds of other sessions commit at once"
    },
  (_, { maxmemory_policy: policy }) =>
    policy !== undefined && policy !== "noeviction" && {
      text: `Redis's maxmemory_policy is ${policy}: it may evict holders, and the gate is rebuilt again and again`,
      hint: "set maxmemory-policy to noeviction"
    }
]

/** The harmful ones of the settings in effect. Skips settings that the instance does not have (another version). */
export const settings = (
  all: ReadonlyArray<typeof EffectiveSetting.Type>,
  info: typeof Info.Type
): ReadonlyArray<Advice> => {
  const values = Object.fromEntries(all.map(({ name, value }) => [name, value]))
  return [
    ...rules.map((rule) => rule(values, info)),
    ...storeRules.map((rule) => rule(info.ledger?.settings ?? {}, info.gate?.settings ?? {}))
  ].filter((advice) => advice !== false)
}
