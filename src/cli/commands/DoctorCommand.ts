import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { EffectiveSetting, Info } from "../../contract/operator/Info.ts"
import type { Overview } from "../../contract/Overview.ts"
import { VERSION } from "../../config/Version.ts"
import { unreachable } from "../../client/ClientFailure.ts"
import type { OperatorClient } from "../../client/OperatorClient.ts"
import { CliFailure, ofOperatorCall } from "../CliFailure.ts"
import { withOperator } from "./Commands.ts"
import * as Connection from "../Connection.ts"
import * as Advice from "../../contract/Advice.ts"
import * as KeyAdvice from "../KeyAdvice.ts"
import * as Output from "../Output.ts"

/** The result of one check. `fail` makes the command end with UNSOUND, `warn` does not. */
export interface Check {
  readonly name: string
  readonly verdict: "ok" | "warn" | "fail"
  readonly text: string
  readonly hint?: string | undefined
}

const ok = (name: string, text: string): Check => ({ name, verdict: "ok", text })
const warn = (name: string, text: string, hint?: string): Check => ({ name, verdict: "warn", text, hint })
const fail = (name: string, text: string, hint?: string): Check => ({ name, verdict: "fail", text, hint })

/** An HTTP page of the service, and how long it took. */
const page = ({ timeoutMillis, url }: Connection.Connection, path: string) =>
  Effect.tryPromise({
    try: async () => {
      const began = performance.now()
      const reply = await fetch(`${url}${path}`, { signal: AbortSignal.timeout(timeoutMillis) })
      const body = await reply.text()
      return { status: reply.status, body, millis: performance.now() - began }
    },
    catch: (cause) => unreachable(url, cause, false)
  })

const readiness = (status: number, body: string): Check => {
  if (status === 200) return ok("ready", "it has reached its stores")
  try {
    const { status: state, waitingFor } = JSON.parse(body) as {
      readonly status?: string
      readonly waitingFor?: ReadonlyArray<string>
    }
    if (state === "draining") return fail("ready", "it is stopping")
    if (waitingFor !== undefined && state === "unavailable") {
      return fail(
        "ready",
        waitingFor.join(" and "),
        "put the files back, or save them with `coupon backup`: see docs/guides/stores.md"
      )
    }
    if (waitingFor !== undefined) {
      return fail(
        "ready",
        `it waits for ${waitingFor.join(" and ")}`,
        "start that store, or correct MYSQL_URL and REDIS_URL; it goes on by itself"
      )
    }
  } catch {
    // Reported below: another server has answered.
  }
  return fail(
    "ready",
    `/readyz answers HTTP ${status}`,
    "is this coupon-issuance, or a proxy that has no healthy instance?"
  )
}

const LOCAL = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/

const safety = ({ key, url }: Connection.Connection): ReadonlyArray<Check> => {
  const { hostname, protocol } = new URL(url)
  return protocol === "http:" && Option.isSome(key) && !LOCAL.test(hostname)
    ? [warn("key", "the key travels unencrypted", "use https, or run this command on the same machine")]
    : []
}

/** What is advised under this id, as checks of this name. */
const advice = (info: typeof Info.Type, id: Advice.AdviceId, name: string): ReadonlyArray<Check> =>
  Advice.ofInfo(info).filter((one) => one.id === id).map(({ hint, text, verdict }) => ({ name, verdict, text, hint }))

/** What is advised under this id, as checks with the name of `otherwise`, which is the result if nothing is. */
const advised = (info: typeof Info.Type, id: Advice.AdviceId, otherwise: Check): ReadonlyArray<Check> => {
  const found = advice(info, id, otherwise.name)
  return found.length === 0 ? [otherwise] : found
}

/**
 * Compares the instance's clock with this machine's, the ledger's with the instance's, and the gate's with the
 * ledger's. The first is exact to half of the round trip.
 */
const clocks = (info: typeof Info.Type, sentAt: number, roundTrip: number): ReadonlyArray<Check> => {
  const skew = info.now - (sentAt + roundTrip / 2)
  const error = roundTrip / 2
  const distance = Math.abs(skew)
  const side = skew > 0 ? "ahead of" : "behind"
  const own = distance - error > 1_000
    ? warn("clock", `the instance's clock is ${Output.duration(distance)} ${side} this machine's`, "run NTP on both")
    : ok(
      "clock",
      `the instance's clock agrees with this machine's to ${Output.duration(Math.max(1, distance, error))}`
    )
  const ledger = info.ledger === null
    ? [fail("ledger clock", "the ledger does not answer", "is MySQL up, and reachable from the instance?")]
    : advised(
      info,
      "ledger_clock",
      ok("ledger clock", "the ledger answers, and its clock agrees with the instance's")
    )
  const gate = info.gate === null
    ? [fail("gate clock", "the gate does not answer", "is Redis up, and reachable from the instance?")]
    : advised(info, "gate_clock", ok("gate clock", "the gate answers, and its clock agrees with the ledger's"))
  return [own, ...ledger, ...gate]
}

/** The session variables of the ledger, as they are in effect. */
const sessions = (info: typeof Info.Type): ReadonlyArray<Check> => {
  const session = info.ledger?.session ?? []
  if (session.length === 0) return []
  const shown = session.map(({ name, value }) => `${name}=${value}`).join(" ")
  const text = `the ${session.length} variables that matter are as they have to be: ${shown}`
  return advised(info, "ledger_session", ok("ledger session", text))
}

/** An agent that is due for longer is shown. Their pauses between failures are at most 2 s. */
const LAG_MILLIS = 30_000

/** What a sample says of stores and agents. */
export const stores = (
  sample: Pick<Overview, "agents" | "campaigns" | "commitsInDoubt" | "outbox">
): ReadonlyArray<Check> => [
  sample.outbox === null
    ? fail("outbox", "the ledger does not answer")
    : sample.outbox.oldestAgeMillis > 10_000
    ? fail(
      "outbox",
      `${sample.outbox.events} events wait, the oldest for ${Output.duration(sample.outbox.oldestAgeMillis)}: ` +
        "no relay delivers them",
      "is Redis up? the log of the instances says why the relay fails"
    )
    : ok("outbox", sample.outbox.events === 0 ? "nothing waits" : `${sample.outbox.events} events wait, none for long`),
  ...sample.campaigns.flatMap(({ campaignId, gate }) =>
    gate === "Unreachable"
      ? [fail(
        "gate",
        `the gate of campaign ${campaignId} does not answer`,
        "is Redis up, and reachable from the instance?"
      )]
      : gate === "Foreign"
      ? [fail(
        "gate",
        `the keys of campaign ${campaignId} in Redis belong to another deployment, so the ledger decides alone`,
        "give each deployment a Redis of its own, or a REDIS_KEY_PREFIX"
      )]
      : []),
  ...(sample.agents ?? []).filter(({ lagMillis }) => lagMillis > LAG_MILLIS).map(({ lagMillis, lastFailure, name }) =>
    warn(
      "agents",
      `${name} has been due for ${Output.duration(lagMillis)}` +
        (lastFailure === null ? "" : `; its last failure: ${lastFailure.message}`),
      "agents go on by themselves once their stores answer"
    )
  ),
  ...sample.commitsInDoubt > 0
    ? [warn(
      "ledger",
      `${sample.commitsInDoubt} transactions are in doubt`,
      "they are resolved when the ledger answers"
    )]
    : []
]

const operatorPlane = ({ code, hint, message }: CliFailure): Check =>
  fail("operator plane", `${code}: ${message}`, hint)

const look = (connection: Connection.Connection, client: OperatorClient["Type"]) =>
  Effect.gen(function*() {
    const checks: Array<Check> = []
    const alive = yield* page(connection, "/livez")
    checks.push(
      alive.status === 200
        ? ok("reachable", `${connection.url} answers in ${Output.duration(Math.max(1, alive.millis))}`)
        : fail(
          "reachable",
          `/livez answers HTTP ${alive.status}`,
          "is this coupon-issuance? a proxy may have no instance left"
        )
    )
    const ready = yield* page(connection, "/readyz")
    checks.push(readiness(ready.status, ready.body), ...safety(connection))

    // The first call loads the operator plane in the instance, so its round trip would be too long.
    const first = yield* Effect.either(client.Info())
    if (Either.isLeft(first)) return { checks: [...checks, operatorPlane(ofOperatorCall(first.left))], info: undefined }
    const sentAt = Date.now()
    const began = performance.now()
    const info = yield* client.Info()
    const roundTrip = performance.now() - began
    checks.push(
      info.version === VERSION
        ? ok("version", `${info.version} on Node ${info.node}, on ${info.stores}`)
        : warn(
          "version",
          `the instance is ${info.version}, this command ${VERSION}`,
          "use the command of the same version: npx coupon-issuance in its checkout, or in its image"
        ),
      ...advised(info, "open", ok("access", `you are ${info.caller.name}, with the role ${info.caller.role}`)),
      ...advice(info, "webhooks_off", "webhooks"),
      ...(info.expiringKeys ?? []).map((key) => warn("keys", KeyAdvice.text(key, info.now))),
      ...clocks(info, sentAt, roundTrip),
      ...sessions(info)
    )
    const settings: ReadonlyArray<typeof EffectiveSetting.Type> = yield* client.Settings()
    for (const { hint, text } of Advice.ofSettings(settings, info)) checks.push(warn("settings", text, hint))
    const sample = yield* Stream.runHead(client.Overview()).pipe(
      Effect.timeoutTo({ duration: connection.timeoutMillis, onTimeout: Option.none, onSuccess: (sample) => sample })
    )
    checks.push(...Option.match(sample, {
      onNone: () => [fail("overview", "the instance sends no overview")],
      onSome: stores
    }))
    return { checks, info }
  })

const MARK = { ok: "ok  ", warn: "WARN", fail: "FAIL" } as const

export const doctor = Command.make("doctor", Connection.options, (given) =>
  withOperator(given, (client, connection) =>
    Effect.gen(function*() {
      const { checks, info } = yield* look(connection, client)
      if (connection.json) yield* Output.json({ url: connection.url, version: VERSION, instance: info ?? null, checks })
      else {
        for (const { hint, name, text, verdict } of checks) {
          const advice = hint === undefined ? "" : `\n      ${hint}`
          yield* Output.line(`${MARK[verdict]}  ${name}: ${Output.printable(text)}${advice}`)
        }
      }
      const failed = checks.filter(({ verdict }) => verdict === "fail").length
      if (failed > 0) {
        const message = `${failed} of ${checks.length} checks failed`
        return yield* new CliFailure({ exit: "UNSOUND", code: "UNSOUND", message })
      }
      const warned = checks.filter(({ verdict }) => verdict === "warn").length
      if (!connection.json) {
        yield* Output.line(warned === 0 ? "all is well" : `it works; ${Output.counted(warned, "warning")}`)
      }
    }))).pipe(Command.withDescription(
  "checks stores, versions, access, clocks, session variables, harmful settings, and what is stuck"
))
