import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Overview } from "../operator/OverviewSchema.ts"
import type { CliFailure } from "./CliFailure.ts"
import { withOperator } from "./Commands.ts"
import * as Connection from "./Connection.ts"
import type { OperatorClient } from "./OperatorClient.ts"
import * as Output from "./Output.ts"

const rate = (perSecond: number): string => perSecond === 0 ? "0" : perSecond < 10 ? perSecond.toFixed(1) : String(Math.round(perSecond))

const millis = (value: number): string => value === 0 ? "-" : value < 10 ? value.toFixed(1) : String(Math.round(value))

const outboxText = ({ outbox }: Overview): string =>
  outbox === null ? "the ledger does not answer" : `${outbox.events} events${outbox.events === 0 ? "" : `, the oldest ${Output.duration(outbox.oldestAgeMillis)}`}`

/** The outcomes that occurred, the most frequent first; coupons in any case. */
const outcomes = ({ perSecond }: Overview): ReadonlyArray<readonly [string, number]> =>
  Object.entries({ OK: 0, ...perSecond }).filter(([name, n]) => n > 0 || name === "OK").sort(([, a], [, b]) => b - a)

const total = (overview: Overview): number => Object.values(overview.perSecond).reduce((sum, one) => sum + one, 0)

/** Over so many samples the pace of a campaign is taken. */
const PACE_SAMPLES = 10

/** Coupons a second of a campaign, over all instances, as its counter tells; `undefined` while it was seen but once. */
const paceOf = (campaignId: number, recent: ReadonlyArray<Overview>): number | undefined => {
  const seen = recent.flatMap(({ at, campaigns }) => campaigns.filter((c) => c.campaignId === campaignId).map(({ issued }) => ({ at, issued })))
  const [first, last] = [seen[0], seen.at(-1)]
  return first === undefined || last === undefined || last.at <= first.at ? undefined : (last.issued - first.issued) * 1_000 / (last.at - first.at)
}

/** A screenful; `recent` ends with `o`. */
const screen = (o: Overview, recent: ReadonlyArray<Overview>): string => {
  const { ok, refused } = o.latencyMillis
  const blocks = [
    `coupon-issuance ${o.version} at ${o.instance}, up ${Output.span(o.uptimeSeconds)}, ${
      o.ready ? "ready" : `waiting for ${o.waitingFor.join(" and ")}`
    }   ${Output.time(o.at)}`,
    Output.facts({
      "claims a second": `${rate(total(o))}${outcomes(o).map(([name, n]) => `   ${name} ${rate(n)}`).join("")}`,
      "latency, ms": `coupon p50 ${millis(ok.p50)}  p95 ${millis(ok.p95)}  p99 ${millis(ok.p99)}   other answer p50 ${millis(refused.p50)}  p99 ${
        millis(refused.p99)
      }`,
      "in flight": `${o.inFlight}   batches: gate ${rate(o.batchSizes.gate)}, ledger ${rate(o.batchSizes.ledger)}   in doubt ${o.commitsInDoubt}`,
      gate: `${o.gate.up ? "answers" : "DOES NOT ANSWER"}${o.gate.rebuilding > 0 ? `, ${o.gate.rebuilding} being rebuilt` : ""}`,
      outbox: outboxText(o),
      process: `${Math.round(o.memoryBytes / 1e6)} MB, event loop ${Math.round(100 * o.eventLoop.utilization)} % busy, late by ${
        millis(o.eventLoop.lagP99Millis)
      } ms (p99)${o.pool.limit > 0 ? `, MySQL connections ${o.pool.inUse} of ${o.pool.limit} in use` : ""}`
    })
  ]
  if (o.campaigns.length > 0) {
    blocks.push(Output.table(
      ["campaign", "name", "phase", "issued", "limit", "%", "a second", "sold out in", "gate", "reserved", "oldest"],
      o.campaigns.map((c) => {
        const pace = paceOf(c.campaignId, recent)
        const left = c.couponLimit - c.issued
        return [
          c.campaignId,
          c.name.length > 30 ? `${c.name.slice(0, 29)}…` : c.name,
          c.phase ?? c.status,
          c.issued,
          c.couponLimit,
          Math.floor(100 * c.issued / c.couponLimit),
          pace === undefined ? "-" : rate(pace),
          left <= 0 ? "is" : pace === undefined || pace <= 0 ? "-" : Output.span(Math.ceil(left / pace)),
          c.gate.toLowerCase(),
          c.pending,
          c.pending === 0 ? "-" : Output.duration(c.oldestPendingMillis)
        ]
      })
    ))
  }
  return blocks.join("\n\n")
}

/** A line, for what is no terminal. */
const summary = (o: Overview): string =>
  [
    Output.time(o.at),
    o.instance,
    o.ready ? "ready" : "not-ready",
    `claims/s=${rate(total(o))}`,
    ...outcomes(o).map(([name, n]) => `${name}/s=${rate(n)}`),
    `p50=${millis(o.latencyMillis.ok.p50)}ms p99=${millis(o.latencyMillis.ok.p99)}ms`,
    `in-flight=${o.inFlight}`,
    `outbox=${o.outbox === null ? "?" : o.outbox.events}`,
    `gate=${o.gate.up ? "up" : "down"}`
  ].join(" ")

const tell = (overview: Overview, json: boolean, recent: ReadonlyArray<Overview>): Effect.Effect<void> => {
  if (json) return Output.json(overview)
  if (!process.stdout.isTTY) return Output.line(summary(overview))
  // Home, each line cleared to its end, then the rest of the screen: no flicker, as clearing it all first would.
  return Effect.sync(() => void process.stdout.write(`\x1b[H${screen(overview, recent).replaceAll("\n", "\x1b[K\n")}\x1b[K\n\x1b[J`))
}

/** The first sample after nobody watched is over no time at all: its rates would say that nothing happens. */
const LEAST_SECONDS = 0.2

/** How often a lost instance is asked for again, a second apart, before `watch` gives up. */
const ATTEMPTS = 60

/**
 * An instance that stops ends its streams; its successor, or another one behind a proxy, goes on with them. Only the very first
 * attempt fails at once: an address or a key that is wrong will not get better.
 */
const samples = (client: OperatorClient): Stream.Stream<Overview, CliFailure> => {
  let seen = false
  let missed = 0
  const one = Stream.tap(client.stream((rpcs) => rpcs.Overview()), () =>
    Effect.sync(() => {
      seen = true
      missed = 0
    })).pipe(Stream.filter(({ seconds }) => seconds >= LEAST_SECONDS))
  const lost = (failure: CliFailure) =>
    seen && failure.exit === "UNAVAILABLE" && ++missed < ATTEMPTS ? Stream.empty : Stream.fail(failure)
  const next: Stream.Stream<Overview, CliFailure> = Stream.suspend(() => Stream.catchAll(one, lost))
  return Stream.concat(next, Stream.forever(Stream.concat(Stream.execute(Effect.sleep("1 second")), next)))
}

export const watch = Command.make(
  "watch",
  {
    count: Options.integer("count").pipe(Options.withDescription("end after so many samples, one a second"), Options.optional),
    ...Connection.options
  },
  ({ count, ...given }) =>
    withOperator(given, (client, { json }) => {
      const all = samples(client)
      let recent: ReadonlyArray<Overview> = []
      const some = Option.match(count, { onNone: () => all, onSome: (n) => Stream.take(all, Math.max(1, n)) })
      return Effect.zipRight(
        !json && process.stdout.isTTY ? Effect.sync(() => void process.stdout.write("\x1b[2J")) : Effect.void,
        Stream.runForEach(some, (overview) => {
          recent = [...recent, overview].slice(-PACE_SAMPLES)
          return tell(overview, json, recent)
        })
      )
    })
).pipe(Command.withDescription("shows each second what an instance does: a table on a terminal, lines elsewhere; Ctrl-C ends it"))
