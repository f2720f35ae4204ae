import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Overview } from "../../contract/Overview.ts"
import { withInstances } from "../commands/Commands.ts"
import * as Connection from "../Connection.ts"
import * as Output from "../Output.ts"
import type { Times } from "../values/Times.ts"
import { campaignTable, PACE_MILLIS, rate, webhookTable } from "./WatchTables.ts"

const millis = (value: number): string => value === 0 ? "-" : value < 10 ? value.toFixed(1) : String(Math.round(value))

const outboxText = ({ outbox }: Overview): string => {
  if (outbox === null) return "the ledger does not answer"
  const { events, oldestAgeMillis } = outbox
  return `${events} events${events === 0 ? "" : `, the oldest ${Output.duration(oldestAgeMillis)}`}`
}

/** An agent whose work has been due for longer than this is late. */
const MAX_AGENT_LAG_MILLIS = 10_000

/** A failure is shown for this long. */
const FAILURE_SHOWN_MILLIS = 60_000

type AgentState = NonNullable<Overview["agents"]>[number]

const isLate = ({ lagMillis }: AgentState): boolean => lagMillis > MAX_AGENT_LAG_MILLIS

/** An agent's last run and, where there is one, its lag and its latest failure. */
const agentText = (at: number, agent: AgentState): string =>
  [
    `${agent.name} ${agent.lastRunAt === null ? "-" : Output.span((at - agent.lastRunAt) / 1_000)}`,
    ...isLate(agent) ? [`LATE by ${Output.duration(agent.lagMillis)}`] : [],
    ...agent.lastFailure !== null && at - agent.lastFailure.at < FAILURE_SHOWN_MILLIS
      ? [`FAILED ${Output.span((at - agent.lastFailure.at) / 1_000)} ago: ${agent.lastFailure.message.slice(0, 60)}`]
      : []
  ].join(", ")

/** How long ago each agent last ran, in two lines for terminals of usual width. */
const agentsFacts = ({ agents = [], at }: Overview): Readonly<Record<string, string>> => {
  const half = Math.ceil(agents.length / 2)
  const textOf = (some: ReadonlyArray<AgentState>) => some.map((agent) => agentText(at, agent)).join("   ")
  return { "agents ran, ago": textOf(agents.slice(0, half)), "  and": textOf(agents.slice(half)) }
}

/** `ok`, or the agents that are late. */
const lateAgents = ({ agents = [] }: Overview): string =>
  agents.filter(isLate).map(({ name }) => name).join(",") || "ok"

/** The outcomes that occurred, the most frequent first; coupons in any case. */
const outcomes = ({ perSecond }: Overview): ReadonlyArray<readonly [string, number]> =>
  Object.entries({ OK: 0, ...perSecond }).filter(([name, n]) => n > 0 || name === "OK").sort(([, a], [, b]) => b - a)

const total = (overview: Overview): number => Object.values(overview.perSecond).reduce((sum, one) => sum + one, 0)

const latencyText = ({ latencyMillis: { ok, refused } }: Overview): string =>
  `coupon p50 ${millis(ok.p50)}  p95 ${millis(ok.p95)}  p99 ${millis(ok.p99)}   ` +
  `other answer p50 ${millis(refused.p50)}  p99 ${millis(refused.p99)}`

const processText = ({ eventLoop, memoryBytes, pool }: Overview): string =>
  [
    `${Math.round(memoryBytes / 1e6)} MB`,
    `event loop ${Math.round(100 * eventLoop.utilization)} % busy`,
    `late by ${millis(eventLoop.lagP99Millis)} ms (p99)`,
    ...pool.limit > 0 ? [`MySQL connections ${pool.inUse} of ${pool.limit} in use`] : []
  ].join(", ")

/** A screenful; `recent` ends with `o`. */
const screen = (o: Overview, recent: ReadonlyArray<Overview>, { show: time }: Times): string => {
  const { batchSizes, gate } = o
  const blocks = [
    Output.fitting(`coupon-issuance ${o.version} at ${o.instance}, up ${Output.span(o.uptimeSeconds)}, ${
      o.ready ? "ready" : `waiting for ${o.waitingFor.join(" and ")}`
    }   ${time(o.at)}`),
    Output.facts({
      "claims a second": `${rate(total(o))}${outcomes(o).map(([name, n]) => `   ${name} ${rate(n)}`).join("")}`,
      "latency, ms": latencyText(o),
      "in flight": `${o.inFlight}   batches: gate ${rate(batchSizes.gate)}, ledger ${rate(batchSizes.ledger)}   ` +
        `in doubt ${o.commitsInDoubt}`,
      gate: `${gate.up ? "answers" : "DOES NOT ANSWER"}${
        gate.rebuilding > 0 ? `, ${gate.rebuilding} being rebuilt` : ""
      }`,
      outbox: outboxText(o),
      ...agentsFacts(o),
      process: processText(o)
    })
  ]
  if (o.campaigns.length > 0) blocks.push(campaignTable(o.campaigns, recent))
  if (o.webhooks !== undefined && o.webhooks.length > 0) blocks.push(webhookTable(o.webhooks))
  return blocks.join("\n\n")
}

/** Events that webhooks have not taken, by an instance that knows of webhooks. */
const webhooksWord = ({ webhooks = [] }: Overview): ReadonlyArray<string> => {
  if (webhooks.length === 0) return []
  const backlog = webhooks.reduce((sum, one) => sum + one.backlog, 0)
  const lag = Math.max(...webhooks.map(({ lagMillis }) => lagMillis))
  return [`webhooks=${backlog}${backlog === 0 ? "" : ` late=${Output.duration(lag).replace(" ", "")}`}`]
}

/** One line, where the output is no terminal. */
const summary = (o: Overview, { show: time }: Times): string =>
  [
    time(o.at),
    o.instance,
    o.ready ? "ready" : "not-ready",
    `claims/s=${rate(total(o))}`,
    ...outcomes(o).map(([name, n]) => `${name}/s=${rate(n)}`),
    `p50=${millis(o.latencyMillis.ok.p50)}ms p99=${millis(o.latencyMillis.ok.p99)}ms`,
    `in-flight=${o.inFlight}`,
    `outbox=${o.outbox === null ? "?" : o.outbox.events}`,
    `gate=${o.gate.up ? "up" : "down"}`,
    ...webhooksWord(o),
    `agents=${lateAgents(o)}`
  ].join(" ")

const INSTANCE_COLUMNS = [
  "instance",
  "version",
  "up",
  "state",
  "claims/s",
  "coupons/s",
  "p50 ms",
  "p99 ms",
  "in flight",
  "gate",
  "late agents",
  "MB",
  "busy %"
]

/** A screenful of several instances; `recent` ends with the latest sample of any of them. */
const screenOfAll = (
  latest: ReadonlyArray<Overview>,
  recent: ReadonlyArray<Overview>,
  { show: time }: Times
): string => {
  const sum = (of: (o: Overview) => number) => latest.reduce((total, o) => total + of(o), 0)
  const shared = recent.at(-1)!
  const names = [...new Set(latest.flatMap((o) => outcomes(o).map(([name]) => name)))]
  const perSecond = names.map((name) => [name, sum((o) => o.perSecond[name] ?? 0)] as const)
    .sort(([, a], [, b]) => b - a)
  const blocks = [
    Output.fitting(`coupon-issuance, ${latest.length} instances   ${time(shared.at)}`),
    Output.facts({
      "claims a second": `${rate(sum(total))}${perSecond.map(([name, n]) => `   ${name} ${rate(n)}`).join("")}`,
      "in flight": `${sum((o) => o.inFlight)}   in doubt ${sum((o) => o.commitsInDoubt)}`,
      outbox: outboxText(shared)
    }),
    Output.table(
      INSTANCE_COLUMNS,
      latest.map((o) => [
        o.instance,
        o.version,
        Output.span(o.uptimeSeconds),
        o.ready ? "ready" : `waits for ${o.waitingFor.join(" and ")}`,
        Math.round(total(o)),
        Math.round(o.perSecond["OK"] ?? 0),
        millis(o.latencyMillis.ok.p50),
        millis(o.latencyMillis.ok.p99),
        o.inFlight,
        o.gate.up ? "up" : "DOWN",
        lateAgents(o) === "ok" ? "-" : lateAgents(o),
        Math.round(o.memoryBytes / 1e6),
        Math.round(100 * o.eventLoop.utilization)
      ])
    )
  ]
  // Each instance shows the campaigns that it served last. The latest sample of a campaign is shown.
  const seen = new Map(
    latest.toSorted((a, b) => a.at - b.at).flatMap(({ campaigns }) => campaigns.map((c) => [c.campaignId, c] as const))
  )
  if (seen.size > 0) blocks.push(campaignTable([...seen.values()].sort((a, b) => b.campaignId - a.campaignId), recent))
  // All instances know the same webhooks; one that has none to show may only have started.
  const webhooks = latest.toSorted((a, b) => b.at - a.at).find(({ webhooks = [] }) => webhooks.length > 0)?.webhooks
  if (webhooks !== undefined) blocks.push(webhookTable(webhooks))
  return blocks.join("\n\n")
}

export const watch = Command.make(
  "watch",
  {
    count: Options.integer("count").pipe(
      Options.withDescription("end after so many samples of each instance, one a second"),
      Options.optional
    ),
    ...Connection.options
  },
  ({ count, ...given }) =>
    withInstances(given, ({ known, samples, settled }, { json, times }) => {
      const onScreen = !json && process.stdout.isTTY
      const least = Option.map(count, (n) => Math.max(1, n))
      const seen = new Map<string, { readonly samples: number; readonly latest: Overview }>()
      let recent: ReadonlyArray<Overview> = []
      const print = (overview: Overview): Effect.Effect<void> => {
        if (json) return Output.json(overview)
        if (!onScreen) return Output.line(summary(overview, times))
        const latest = [...seen.values()].map((one) => one.latest).sort((a, b) => a.instance < b.instance ? -1 : 1)
        const text = latest.length > 1 ? screenOfAll(latest, recent, times) : screen(overview, recent, times)
        // Overwrites line by line, then clears the rest: clearing the whole screen first would flicker.
        return Effect.sync(() => void process.stdout.write(`\x1b[H${text.replaceAll("\n", "\x1b[K\n")}\x1b[K\n\x1b[J`))
      }
      const isEnough = () =>
        Option.match(least, {
          onNone: () => false,
          onSome: (n) => settled() && [...known()].every((name) => (seen.get(name)?.samples ?? 0) >= n)
        })
      const one = (overview: Overview): Effect.Effect<boolean> =>
        Effect.suspend(() => {
          const before = seen.get(overview.instance)?.samples ?? 0
          seen.set(overview.instance, { samples: before + 1, latest: overview })
          if (onScreen) for (const name of seen.keys()) if (!known().has(name)) seen.delete(name)
          recent = [...recent, overview].filter(({ at }) => at > overview.at - PACE_MILLIS)
          // `--count` samples of each instance are printed, also while another instance is not done.
          const surplus = Option.exists(least, (n) => before >= n)
          return Effect.map(surplus ? Effect.void : print(overview), () => !isEnough())
        })
      return Effect.zipRight(
        onScreen ? Effect.sync(() => void process.stdout.write("\x1b[2J")) : Effect.void,
        Stream.runForEachWhile(samples, one)
      )
    })
).pipe(Command.withDescription(
  "shows each second what all instances do: a table on a terminal, lines elsewhere; Ctrl-C ends it"
))
