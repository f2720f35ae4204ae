import { readFileSync } from "node:fs"
import * as Effect from "effect/Effect"
import { expect, it } from "vitest"
import * as AppConfig from "../../src/config/AppConfig.ts"
import * as Advice from "../../src/contract/Advice.ts"
import * as DoctorCommand from "../../src/cli/commands/DoctorCommand.ts"
import { effectiveSettings } from "../../src/operator/EffectiveSettings.ts"
import type { Info } from "../../src/contract/operator/Info.ts"

const info: typeof Info.Type = {
  service: "coupon-issuance",
  version: "1",
  node: "24",
  instance: "a:1",
  startedAt: 0,
  now: 0,
  ledger: null,
  gate: null,
  stores: "",
  embedded: false,
  ready: true,
  waitingFor: [],
  open: false,
  caller: { name: "a", role: "ADMIN" }
}
const stores = { MYSQL_URL: "mysql://u:secret@db/coupon", REDIS_URL: "redis://:secret@cache:6379" }

const settingsOf = (environment: Record<string, string>) =>
  Effect.runSync(Effect.map(AppConfig.load({ ...stores, ...environment }), effectiveSettings))
const store = (settings: Record<string, string>) => ({ now: 0, askedAt: 0, settings })

it("has nothing against the defaults, or stores that keep their promises", () => {
  const ledger = store({
    innodb_flush_log_at_trx_commit: "1",
    sync_binlog: "1",
    log_bin: "ON",
    innodb_doublewrite: "ON",
    innodb_log_writer_threads: "OFF"
  })
  const gate = store({ maxmemory_policy: "noeviction" })
  expect(Advice.ofSettings(settingsOf({}), { ...info, ledger, gate })).toEqual([])
})

const hurting: ReadonlyArray<readonly [name: string, value: string]> = [
  ["LOG_LEVEL", "debug"],
  ["ISSUE_BATCH_SIZE", "1"],
  ["MYSQL_POOL_SIZE", "2"],
  ["MAX_IN_FLIGHT", "100"],
  ["MAX_CONNECTIONS", "100"],
  ["RELAY_INTERVAL", "5s"],
  ["AUDIT_INTERVAL", "1m"],
  ["RESERVATION_TIMEOUT", "5m"],
  ["HYDRATE_PAGE_SIZE", "10"],
  ["SHUTDOWN_TIMEOUT", "1s"]
]
for (const [name, value] of hurting) {
  it(`warns of ${name}=${value}`, () => {
    const advice = Advice.ofSettings(settingsOf({ [name]: value }), info)
    expect(advice.map(({ text }) => text)).toEqual([expect.stringContaining(name)])
  })
}

it("warns of an address that lets anybody administer", () => {
  expect(Advice.ofSettings(settingsOf({}), { ...info, open: true })).toEqual([
    expect.objectContaining({ text: expect.stringContaining("HOST=0.0.0.0") as string })
  ])
  expect(Advice.ofSettings(settingsOf({ HOST: "127.0.0.1" }), { ...info, open: true })).toEqual([])
})

const stored: ReadonlyArray<readonly [name: string, ledger: Record<string, string>, gate: Record<string, string>]> = [
  ["innodb_flush_log_at_trx_commit", { innodb_flush_log_at_trx_commit: "2" }, {}],
  ["sync_binlog", { log_bin: "ON", sync_binlog: "0" }, {}],
  ["innodb_doublewrite", { innodb_doublewrite: "OFF" }, {}],
  ["innodb_log_writer_threads", { innodb_log_writer_threads: "ON" }, {}],
  ["maxmemory_policy", {}, { maxmemory_policy: "allkeys-lru" }]
]
for (const [name, ledger, gate] of stored) {
  it(`warns of a store's ${name}`, () => {
    const advice = Advice.ofSettings(settingsOf({}), { ...info, ledger: store(ledger), gate: store(gate) })
    expect(advice.map(({ text }) => text)).toEqual([expect.stringContaining(name)])
  })
}

it("warns of clocks that are apart, of open administration, and fails what the ledger's session lacks", () => {
  const facts = {
    ...info,
    open: true,
    ledger: { now: 5_000, askedAt: 2_500, settings: {}, session: [
      { name: "time_zone", value: "", required: "+00:00" }, { name: "autocommit", value: "1" }
    ] },
    gate: { now: 10_000, askedAt: 10_000, settings: {} }
  }
  expect(Advice.ofInfo(facts).map(({ text, verdict }) => [verdict, text])).toEqual([
    ["warn", "administration is open to every client"],
    ["warn", "the ledger's clock and the instance's are 2.5 s apart"],
    ["warn", "the gate's clock and the ledger's are 2.5 s apart"],
    ["fail", "time_zone is empty, and has to be +00:00"]
  ])
  expect(Advice.ofInfo({ ...info, ledger: { ...facts.ledger, now: 3_000, session: [] }, gate: null })).toEqual([])
})

it("warns of enabled webhooks that get no events because webhooks are off", () => {
  expect(Advice.ofInfo({ ...info, waitingWebhooks: 2 })).toEqual([
    expect.objectContaining({
      id: "webhooks_off",
      verdict: "warn",
      text: expect.stringContaining("no events: 2") as string
    })
  ])
  expect(Advice.ofInfo({ ...info, waitingWebhooks: 0 })).toEqual([])
})

it("has its texts in the console, in English as here and in Korean with the same values", () => {
  const messages = (language: string) =>
    JSON.parse(readFileSync(`console/messages/${language}/advice.json`, "utf8")) as Record<string, string>
  const [en, ko] = [messages("en"), messages("ko")]
  const sentence = (text: string) => `${text[0]!.toUpperCase()}${text.slice(1)}.`
  const named = (text = "") => (text.match(/\{\w+\}/g) ?? []).toSorted()
  for (const [id, { hint, text }] of Object.entries(Advice.texts)) {
    expect([en[id], en[`${id}_do`]]).toEqual([sentence(text), sentence(hint)])
    expect(named(ko[id]), id).toEqual(named(text))
    for (const korean of [ko[id], ko[`${id}_do`]]) expect(korean, id).toMatch(/[가-힣]/)
  }
})

it("shows no secret of a setting, and what is set as its variable would say it", () => {
  const settings = settingsOf({ AUDIT_INTERVAL: "60s" })
  expect(JSON.stringify(settings)).not.toContain("secret@")
  expect(settings.find(({ name }) => name === "MYSQL_URL")).toMatchObject({ value: "***", isDefault: false })
  expect(settings.find(({ name }) => name === "AUDIT_INTERVAL")).toMatchObject({ value: "1m", isDefault: false })
  expect(settings.find(({ name }) => name === "HOST")).toMatchObject({ value: "0.0.0.0", isDefault: true })
})

it("doctor shows the agents that have been due for long, with their last failure", () => {
  const agent = (name: string, lagMillis: number, message?: string) => ({
    name,
    lastRunAt: 0,
    lastFailure: message === undefined ? null : { at: 1, message },
    lagMillis
  })
  const sample = { commitsInDoubt: 0, campaigns: [], outbox: { events: 0, oldestAgeMillis: 0 } }
  const agents = [
    agent("relay", 0, "the gate is away"), agent("phase_watch", 29_000),
    agent("reaper", 61_000, "the ledger is away"), agent("reconciler", 31_000)
  ]
  expect(DoctorCommand.stores({ ...sample, agents }).filter(({ verdict }) => verdict !== "ok")).toEqual([
    expect.objectContaining({
      name: "agents",
      verdict: "warn",
      text: "reaper has been due for 61.0 s; its last failure: the ledger is away"
    }),
    expect.objectContaining({ name: "agents", verdict: "warn", text: "reconciler has been due for 31.0 s" })
  ])
  // Instances of version 1.0 have none.
  expect(DoctorCommand.stores(sample).map(({ verdict }) => verdict)).toEqual(["ok"])
})
