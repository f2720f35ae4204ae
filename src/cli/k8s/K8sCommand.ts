import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as DurationText from "../../base/DurationText.ts"
import { parseRfc3339 } from "../../domain/Time.ts"
import { CliFailure, usage } from "../CliFailure.ts"
import { campaignId, countOf, withPublic } from "../commands/Commands.ts"
import * as Connection from "../Connection.ts"
import * as Output from "../Output.ts"
import { chartValues, cronTrigger, scaledObject } from "./ScaledObject.ts"

/** A name of Kubernetes (RFC 1123). */
const NAME = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/

const millis = (option: string, text: string, most: Duration.DurationInput): Effect.Effect<number, CliFailure> => {
  const given = Option.getOrElse(DurationText.parse(text), () => Duration.infinity)
  return Duration.lessThanOrEqualTo(given, most)
    ? Effect.succeed(Duration.toMillis(given))
    : Effect.fail(usage(`${option} must be a duration up to ${Duration.format(most)}, such as 15m or 1h`))
}

const named = (option: string, value: string): Effect.Effect<string, CliFailure> =>
  NAME.test(value)
    ? Effect.succeed(value)
    : Effect.fail(usage(`${option} must be a name of Kubernetes: at most 63 of a to z, 0 to 9 and -`))

const scaled = Command.make(
  "scaled-object",
  {
    campaignId,
    deployment: Options.text("deployment").pipe(
      Options.withDescription("the Deployment of the instances, such as sale-coupon-issuance")
    ),
    namespace: Options.text("namespace").pipe(
      Options.withDescription("where it is; unless given, that of kubectl"),
      Options.optional
    ),
    replicas: Options.integer("replicas").pipe(Options.withDescription("how many instances the sale needs")),
    minReplicas: Options.integer("min-replicas").pipe(
      Options.withDescription("how many there are at other times"),
      Options.withDefault(2)
    ),
    maxReplicas: Options.integer("max-replicas").pipe(
      Options.withDescription("how many there are at most, by CPU; unless given, as many as --replicas"),
      Options.optional
    ),
    lead: Options.text("lead").pipe(
      Options.withDescription("how long before the start they are there, up to 24h"),
      Options.withDefault("15m")
    ),
    duration: Options.text("for").pipe(
      Options.withDescription("how long after the start they stay, up to 7d"),
      Options.withDefault("1h")
    ),
    cpu: Options.integer("cpu").pipe(
      Options.withDescription("above this share of the requested CPU, in percent, there are more"),
      Options.withDefault(70)
    ),
    output: Options.choice("output", ["manifest", "values"] as const).pipe(
      Options.withAlias("o"),
      Options.withDescription("a ScaledObject, or values of the chart, which makes one"),
      Options.withDefault("manifest" as const)
    ),
    ...Connection.options
  },
  ({ campaignId, cpu, deployment, duration, lead, maxReplicas, minReplicas, namespace, output, replicas, ...given }) =>
    withPublic(given, (client, { json, times }) =>
      Effect.gen(function*() {
        const most = Option.getOrElse(maxReplicas, () => Math.max(replicas, minReplicas))
        if (most < replicas || most < minReplicas) {
          return yield* usage("--max-replicas must not be less than --replicas and --min-replicas")
        }
        if (cpu < 1 || cpu > 100) return yield* usage("--cpu must be 1 to 100")
        const [leadMillis, forMillis] = [
          yield* millis("--lead", lead, "24 hours"),
          yield* millis("--for", duration, "7 days")
        ]
        if (forMillis < 60_000) return yield* usage("--for must be at least 1m")
        const asked = {
          leadMillis,
          forMillis,
          deployment: yield* named("--deployment", deployment),
          namespace: Option.isNone(namespace) ? undefined : yield* named("--namespace", namespace.value),
          replicas: yield* countOf("--replicas", replicas),
          minReplicas: yield* countOf("--min-replicas", minReplicas),
          maxReplicas: yield* countOf("--max-replicas", most),
          cpuUtilization: cpu
        }
        const { name, startTime } = yield* client.getCampaign({ campaignId, pageSize: 1 })
        const start = Either.getOrElse(parseRfc3339("startTime", startTime), () => Number.NaN)
        const sale = { ...asked, campaignId, name, start }
        const cron = yield* Either.mapLeft(
          cronTrigger(sale, Date.now()),
          (reason) =>
            new CliFailure({
              exit: "PRECONDITION",
              code: "NO_TRIGGER",
              message: `campaign ${campaignId} opens at ${times.show(startTime)}: ${reason}`
            })
        )
        const made = output === "values" ? chartValues(sale, cron) : scaledObject(sale, cron)
        if (json) return yield* Output.json(made)
        const { stringify } = yield* Effect.promise(() => import("../applying/Yaml.ts"))
        const comment = `# Campaign ${campaignId} ${Output.printable(name)} opens at ${startTime}.\n` +
          "# Take the trigger away after the sale: cron has no years."
        yield* Output.line(`${comment}\n${stringify(made).trimEnd()}`)
      }))
).pipe(Command.withDescription("prints a ScaledObject of KEDA that starts instances before a campaign opens"))

export const k8s = Command.make("k8s").pipe(
  Command.withDescription("makes documents for Kubernetes"),
  Command.withSubcommands([scaled])
)
