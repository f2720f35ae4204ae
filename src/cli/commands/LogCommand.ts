import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { OperatorClient } from "../../client/OperatorClient.ts"
import type { AuditLink, AuditRecord, ChainEvent } from "../../contract/operator/Audit.ts"
import { CliFailure, cutShort, ofOperatorCall, usage } from "../CliFailure.ts"
import { countOf, listLimit, show, withOperator } from "./Commands.ts"
import * as Connection from "../Connection.ts"
import * as Output from "../Output.ts"
import type { Times } from "../values/Times.ts"
import * as VerificationReport from "../VerificationReport.ts"

type Client = OperatorClient["Type"]
type Link = typeof AuditLink.Type

/** Places in one answer, which is a few milliseconds of an embedded ledger. */
const PAGE = 250

const FOLLOW_PAUSE = "1 second"

const fields = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? value as Readonly<Record<string, unknown>> : {}

const brief = (value: unknown): string => {
  const text = typeof value === "string" ? value : JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 59)}…` : text
}

/** The fields that an act has changed; `--json` has both records in full. */
export const changeText = ({ after, before }: Pick<typeof AuditRecord.Type, "before" | "after">): string => {
  const [was, is] = [fields(before), fields(after)]
  return [...new Set([...Object.keys(was), ...Object.keys(is)])].flatMap((name) => {
    const [from, to] = [was[name] ?? undefined, is[name] ?? undefined]
    if (JSON.stringify(from) === JSON.stringify(to)) return []
    const now = to === undefined ? "none" : brief(to)
    return [from === undefined ? `${name} ${now}` : `${name} ${brief(from)} -> ${now}`]
  }).join(", ")
}

const columns = ["id", "at", "who", "from", "what", "campaign", "change", "reason"]

const cellsOf = ({ show: time }: Times) => (act: typeof AuditRecord.Type) => {
  const { action, actor, address, at, campaignId, id, reason } = act
  return [id, time(at), actor, address ?? "", action, campaignId ?? "", changeText(act), reason ?? ""]
}

/** `<sequence>:<hash>`, as the log line "the audit log is sealed" has them. */
const parseExpected = (text: string) => {
  const [, sequence, hash] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? []
  return sequence === undefined || hash === undefined
    ? Effect.fail(usage("--expect must be <sequence>:<hash>, as a log line or an export has them"))
    : Effect.succeed({ sequence: Number(sequence), hash })
}

const verify = (client: Client, expect: Option.Option<string>, json: boolean) =>
  Effect.gen(function*() {
    const expected = Option.isNone(expect) ? {} : { expected: yield* parseExpected(expect.value) }
    let done: Extract<typeof ChainEvent.Type, { readonly _tag: "Done" }> | undefined
    yield* Stream.runForEach(client.VerifyAuditLog(expected), (event) => {
      if (event._tag === "Done") done = event
      if (json) return Output.json(event)
      if (event._tag === "Progress") return Output.progress(`${Output.counted(event.acts, "act")} looked at`)
      return event._tag === "Flaw"
        ? Output.line(VerificationReport.flawLine(event))
        : Output.progressDone
    })
    if (done === undefined) return yield* cutShort
    if (done.flaws > 0) {
      return yield* new CliFailure({
        exit: "UNSOUND",
        code: "VIOLATIONS",
        message: `the audit log has ${Output.counted(done.flaws, "flaw")}`,
        hint: "compare it with a backup, an export, or the log lines `the audit log is sealed`"
      })
    }
    if (json) return
    yield* Output.line(VerificationReport.chainLine(done))
    yield* Output.line(`keep this elsewhere: ${done.acts}:${done.hash}`)
  })

/** A line of an export. */
const exported = ({ hash, record, sequence }: Link) => ({ sequence, hash, ...record ?? { missing: true } })

/** Everything from a place on, to the end as it is then. */
const pages = <R>(client: Client, after: number, each: (link: Link) => Effect.Effect<void, never, R>) =>
  Effect.gen(function*() {
    let last = after
    for (;;) {
      const { head, links } = yield* client.AuditLinks({ after: last, limit: PAGE })
      for (const link of links) yield* each(link)
      last = links.at(-1)?.sequence ?? last
      if (links.length === 0 || last >= head.sequence) return last
    }
  })

/** While nothing answers, it asks again for so long: an instance may be restarted, or the ledger away. */
const MAX_SILENT_MILLIS = 60_000

const follow = (client: Client, limit: number, { json, times }: Connection.Connection) =>
  Effect.gen(function*() {
    const { head } = yield* client.AuditLinks({ after: 0, limit: 1 })
    const cells = cellsOf(times)
    const each = (link: Link) =>
      json
        ? Output.json(exported(link))
        : Output.line(link.record === null
          ? VerificationReport.flawLine({ kind: "ActMissing", sequence: link.sequence })
          : cells(link.record).filter((cell) => cell !== "").join("  "))
    let last = Math.max(0, head.sequence - limit)
    let answeredAt = performance.now()
    for (;;) {
      const newer = pages(client, last, (link) =>
        Effect.zipRight(each(link), Effect.sync(() => {
          last = link.sequence
        })))
      yield* Effect.catchAll(newer, (failure) => {
        const isPassing = ofOperatorCall(failure).exit === "UNAVAILABLE" &&
          performance.now() - answeredAt < MAX_SILENT_MILLIS
        return isPassing ? Effect.succeed(undefined) : Effect.fail(failure)
      }).pipe(Effect.tap((end) =>
        Effect.sync(() => {
          if (end !== undefined) answeredAt = performance.now()
        })))
      yield* Effect.sleep(FOLLOW_PAUSE)
    }
  })

/** A time that has passed, in milliseconds. */
const millis = (times: Times, option: string, text: string) =>
  Effect.filterOrFail(
    Effect.map(times.parse(option, text, "last"), Date.parse),
    Number.isFinite,
    () => usage(`${option} must be a time such as 2025-06-25T00:00:00Z`)
  )

export const log = Command.make(
  "log",
  {
    limit: listLimit,
    campaign: Options.integer("campaign").pipe(Options.withDescription("only acts on this campaign"), Options.optional),
    before: Options.integer("before").pipe(Options.withDescription("only acts with a smaller id"), Options.optional),
    who: Options.text("who").pipe(Options.withDescription("only acts of this name"), Options.optional),
    what: Options.text("what").pipe(
      Options.withDescription("only acts of this kind: campaign.pause, or campaign for all of them"),
      Options.optional
    ),
    since: Options.text("since").pipe(Options.withDescription("only acts from this time on"), Options.optional),
    until: Options.text("until").pipe(Options.withDescription("only acts before this time"), Options.optional),
    verify: Options.boolean("verify").pipe(Options.withDescription("check that no act was changed or removed")),
    expect: Options.text("expect").pipe(
      Options.withDescription("with --verify: <sequence>:<hash> from a copy that is kept elsewhere"),
      Options.optional
    ),
    follow: Options.boolean("follow").pipe(Options.withDescription("the last ones, and then each new one")),
    export: Options.boolean("export").pipe(
      Options.withDescription("all of them, the oldest first, a JSON object a line, with their hashes")
    ),
    ...Connection.options
  },
  ({ before, campaign, expect, export: all, follow: on, limit, since, until, verify: check, what, who, ...given }) =>
    withOperator(given, (client, connection) =>
      Effect.gen(function*() {
        const { json, times } = connection
        yield* countOf("--limit", limit)
        if ([all, on, check].filter((one) => one).length > 1) {
          return yield* usage("--verify, --follow and --export exclude each other")
        }
        if (Option.isSome(expect) && !check) return yield* usage("--expect is for --verify")
        if ((all || on || check) && [before, campaign, since, until, what, who].some(({ _tag }) => _tag === "Some")) {
          return yield* usage("--before, --campaign, --since, --until, --what and --who are for lists alone")
        }
        if (check) return yield* verify(client, expect, json)
        if (all) return void (yield* pages(client, 0, (link) => Output.json(exported(link))))
        if (on) return yield* follow(client, limit, connection)
        const acts = yield* client.AuditLog({
          limit,
          ...Option.isSome(before) ? { beforeId: before.value } : {},
          ...Option.isSome(campaign) ? { campaignId: campaign.value } : {},
          ...Option.isSome(who) ? { actor: who.value } : {},
          ...Option.isSome(what) ? { action: what.value } : {},
          ...Option.isSome(since) ? { since: yield* millis(times, "--since", since.value) } : {},
          ...Option.isSome(until) ? { until: yield* millis(times, "--until", until.value) } : {}
        })
        yield* show(json, acts, () =>
          acts.length === 0 ? "nothing was recorded" : Output.table(columns, acts.map(cellsOf(times))))
      }))
).pipe(
  Command.withDescription("lists administrative acts, done and refused, the newest first: who, what, before, after")
)
