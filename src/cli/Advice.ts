import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as DurationText from "../base/DurationText.ts"
import type { EffectiveSetting, Info } from "../contract/OperatorRpcs.ts"

/** A setting that will hurt on the day of the sale. */
export interface Advice {
  readonly text: string
  readonly hint: string
}

type Values = Readonly<Record<string, string>>

/** Settings that were changed from a good default to a harmful value. The limits come from load tests. */
const rules: ReadonlyArray<(value: (name: string) => number, values: Values, info: typeof Info.Type) => Advice | undefined> = [
  (_, { LOG_LEVEL }) =>
    LOG_LEVEL === "debug" ? { text: "LOG_LEVEL=debug logs more than a busy instance can write", hint: "set LOG_LEVEL=info" } : undefined,
  (value) =>
    value("ISSUE_BATCH_SIZE") < 64
      ? { text: `ISSUE_BATCH_SIZE=${value("ISSUE_BATCH_SIZE")} makes a transaction of few coupons, and each costs 0.65 ms of the database`, hint: "leave it at 512" }
      : undefined,
  (value, _, { embedded }) =>
    !embedded && value("MYSQL_POOL_SIZE") < 4
      ? { text: `MYSQL_POOL_SIZE=${value("MYSQL_POOL_SIZE")} lets campaigns and look-ups wait for one another`, hint: "10 is enough for most" }
      : undefined,
  (value) =>
    value("MAX_IN_FLIGHT") < 512
      ? { text: `MAX_IN_FLIGHT=${value("MAX_IN_FLIGHT")} sheds claims that the service could carry`, hint: "leave it at 10000" }
      : undefined,
  (value) =>
    value("MAX_CONNECTIONS") < 1_000
      ? { text: `MAX_CONNECTIONS=${value("MAX_CONNECTIONS")} closes connections of a crowd`, hint: "leave it at 20000, and raise the limit of open files" }
      : undefined,
  (value, values) =>
    value("RELAY_INTERVAL") > 1_000
      ? { text: `RELAY_INTERVAL=${values["RELAY_INTERVAL"]} lets the gate lag behind the ledger after a crash`, hint: "leave it at 100ms" }
      : undefined,
  (value, values) =>
    value("AUDIT_INTERVAL") > 10_000
      ? { text: `AUDIT_INTERVAL=${values["AUDIT_INTERVAL"]} finds a gate that lost its memory late`, hint: "leave it at 1500ms" }
      : undefined,
  (value, values) =>
    value("RESERVATION_TIMEOUT") > 60_000
      ? { text: `RESERVATION_TIMEOUT=${values["RESERVATION_TIMEOUT"]} holds slots of claims that died for that long`, hint: "leave it at 10s" }
      : undefined,
  (value) =>
    value("HYDRATE_PAGE_SIZE") < 500
      ? { text: `HYDRATE_PAGE_SIZE=${value("HYDRATE_PAGE_SIZE")} makes a rebuild of the gate slow, and claims wait for it`, hint: "leave it at 5000" }
      : undefined,
  (value) =>
    value("SHUTDOWN_TIMEOUT") < value("REQUEST_TIMEOUT")
      ? { text: "SHUTDOWN_TIMEOUT is shorter than REQUEST_TIMEOUT: a restart cuts claims off", hint: "make it a few seconds longer than REQUEST_TIMEOUT" }
      : undefined,
  (_, { HOST }, { embedded, open }) =>
    open && HOST !== undefined && !/^(127\.|localhost$|::1$)/.test(HOST)
      ? { text: `HOST=${HOST}: whoever reaches this address may administer`, hint: `set ADMIN_API_KEY, or make a key${embedded ? ", or HOST=127.0.0.1" : ""}` }
      : undefined
]

/** A number as it is, a duration in milliseconds; NaN, which is neither more nor less than anything, if it is not set. */
const numberOf = (text: string): number =>
  text === "" ? Number.NaN : Option.match(DurationText.parse(text), { onNone: () => Number(text), onSome: Duration.toMillis })

type StoreSettings = Readonly<Record<string, string>>

/** Settings of the stores that make a promise worth less, the gate forget, or each coupon dearer. */
const storeRules: ReadonlyArray<(ledger: StoreSettings, gate: StoreSettings) => Advice | undefined> = [
  ({ innodb_flush_log_at_trx_commit: flush }) =>
    flush !== undefined && flush !== "1"
      ? { text: `MySQL's innodb_flush_log_at_trx_commit is ${flush}: a power failure takes coupons that were promised`, hint: "set it to 1" }
      : undefined,
  ({ log_bin, sync_binlog }) =>
    log_bin === "ON" && sync_binlog !== "1"
      ? { text: `MySQL's sync_binlog is ${sync_binlog}: after a power failure replicas may miss, or have, other coupons`, hint: "set it to 1" }
      : undefined,
  ({ innodb_doublewrite: doublewrite }) =>
    doublewrite === "OFF"
      ? { text: "MySQL's innodb_doublewrite is OFF: a power failure may tear pages", hint: "set it to ON, unless the disk writes 16 kB atomically" }
      : undefined,
  // Written for hundreds of sessions that commit at once; an instance has one or two (docs/internals/decisions.md, 29).
  ({ innodb_log_writer_threads: threads }) =>
    threads === "ON"
      ? {
        text: "MySQL's innodb_log_writer_threads is ON: a commit passes through four threads, and a coupon costs up to half as much again",
        hint: "SET PERSIST innodb_log_writer_threads = OFF, unless hundreds of other sessions commit at once"
      }
      : undefined,
  (_, { maxmemory_policy: policy }) =>
    policy !== undefined && policy !== "noeviction"
      ? {
        text: `Redis's maxmemory_policy is ${policy}: it may throw holders away, and the gate is rebuilt again and again`,
        hint: "set maxmemory-policy to noeviction"
      }
      : undefined
]

/** What of the settings in effect will hurt. A setting that the instance does not know (another version) is passed over. */
export const settings = (all: ReadonlyArray<typeof EffectiveSetting.Type>, info: typeof Info.Type): ReadonlyArray<Advice> => {
  const values = Object.fromEntries(all.map(({ name, value }) => [name, value]))
  const value = (name: string): number => numberOf(values[name] ?? "")
  return [
    ...rules.flatMap((rule) => rule(value, values, info) ?? []),
    ...storeRules.flatMap((rule) => rule(info.ledger?.settings ?? {}, info.gate?.settings ?? {}) ?? [])
  ]
}
