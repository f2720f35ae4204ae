import { createHash } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { CallFailure, CouponClient } from "../../client/CouponClient.ts"
import { type Campaign, CodeSource } from "../../contract/gen/coupon/v1/coupon_pb.ts"
import { sameFormat } from "../../domain/codes/CodeFormat.ts"
import { parseRfc3339 } from "../../domain/Time.ts"
import { sameValidity } from "../../domain/validity/CouponValidity.ts"
import { parseUndoWindow } from "../../domain/validity/UndoWindow.ts"
import { CliFailure, usage } from "../CliFailure.ts"
import { untilKnown } from "../SafeRepetition.ts"
import * as CampaignFile from "./CampaignFile.ts"

/** A field that differs: what it is, and what the file says. */
export interface Difference {
  readonly field: string
  readonly from: unknown
  readonly to: unknown
}

/** What a file's campaign asks for. */
export interface Plan {
  readonly wanted: CampaignFile.FileCampaign
  /** The campaign that there is; `undefined`: it is to be created. */
  readonly present: Campaign | undefined
  readonly differences: ReadonlyArray<Difference>
}

export const changes = ({ differences, present }: Plan): boolean => present === undefined || differences.length > 0

type Client = CouponClient["Type"]

/** The only campaign of exactly this name, in whatever phase; `undefined` if there is none. */
const findByName = (client: Client, name: string): Effect.Effect<Campaign | undefined, CliFailure | CallFailure> =>
  Effect.gen(function*() {
    const found: Array<Campaign> = []
    let pageToken = ""
    do {
      const page = yield* client.listCampaigns({ namePrefix: name, pageSize: 1_000, pageToken })
      found.push(...page.campaigns.filter((one) => one.name === name))
      pageToken = page.nextPageToken
    } while (pageToken !== "")
    if (found.length < 2) return found[0]
    const ids = found.map(({ id }) => id).join(", ")
    return yield* usage(`the campaigns ${ids} have the name ${name}: give the id of the one that is meant`)
  })

const findById = (client: Client, id: number): Effect.Effect<Campaign, CallFailure> =>
  Effect.map(client.getCampaign({ campaignId: id, pageSize: 1 }), (answer) => answer as unknown as Campaign)

const instant = (text: string): number | undefined => Either.getOrUndefined(parseRfc3339("time", text))

const sameTime = (a: string, b: string): boolean => a === b || (a !== "" && b !== "" && instant(a) === instant(b))

const sameCodes = (present: Campaign, wanted: "pool" | CampaignFile.FileCodes): boolean => {
  const now = CampaignFile.codesOf(present)
  if (now === "pool" || wanted === "pool") return now === wanted
  const [a, b] = [CampaignFile.formatOf(now ?? {}), CampaignFile.formatOf(wanted)]
  return Either.isRight(a) && Either.isRight(b) && sameFormat(a.right, b.right)
}

const sameValidityAs = (present: Campaign, wanted: CampaignFile.FileValidity | null): boolean => {
  const [a, b] = [present.couponValidity ?? {}, wanted ?? {}].map(CampaignFile.validityOf)
  return Either.isRight(a!) && Either.isRight(b!) && sameValidity(a.right, b.right)
}

const sameWindow = (a: string, b: string): boolean =>
  Either.getOrUndefined(parseUndoWindow(a)) === Either.getOrUndefined(parseUndoWindow(b))

/** What the file says otherwise than the campaign. What the file leaves out does not count. */
export const differencesOf = (
  present: Campaign,
  { codes, couponLimit, couponValidity, endTime, name, startTime, status, undoWindow }: CampaignFile.FileCampaign
): ReadonlyArray<Difference> => {
  const now = CampaignFile.STATUSES[present.status - 1]
  const limit = CampaignFile.limitOf(present)
  const differs: ReadonlyArray<readonly [boolean, Difference]> = [
    [name !== present.name, { field: "name", from: present.name, to: name }],
    [
      couponLimit !== undefined && couponLimit !== limit,
      { field: "couponLimit", from: limit, to: couponLimit }
    ],
    [
      startTime !== undefined && !sameTime(startTime, present.startTime),
      { field: "startTime", from: present.startTime, to: startTime }
    ],
    [
      endTime !== undefined && !sameTime(endTime ?? "", present.endTime),
      { field: "endTime", from: present.endTime === "" ? null : present.endTime, to: endTime }
    ],
    [
      codes !== undefined && !sameCodes(present, codes),
      { field: "codes", from: CampaignFile.codesOf(present) ?? null, to: codes }
    ],
    [
      couponValidity !== undefined && !sameValidityAs(present, couponValidity),
      { field: "couponValidity", from: CampaignFile.validityFieldsOf(present), to: couponValidity }
    ],
    [
      undoWindow !== undefined && !sameWindow(undoWindow, present.undoWindow),
      { field: "undoWindow", from: present.undoWindow, to: undoWindow }
    ],
    [status !== undefined && status !== now, { field: "status", from: now, to: status }]
  ]
  return differs.flatMap(([isDifferent, difference]) => isDifferent ? [difference] : [])
}

/** Reads what there is, and changes nothing. */
export const make = (
  client: Client,
  wanted: CampaignFile.FileCampaign,
  allowEnd: boolean
): Effect.Effect<Plan, CliFailure | CallFailure> =>
  Effect.gen(function*() {
    const { couponLimit, id, name, startTime } = wanted
    const present = id === undefined ? yield* findByName(client, name) : yield* findById(client, id)
    if (present === undefined && (couponLimit === undefined || startTime === undefined)) {
      return yield* usage(`there is no campaign ${name}, and to create it couponLimit and startTime must be given`)
    }
    const differences = present === undefined ? [] : differencesOf(present, wanted)
    const status = differences.find(({ field }) => field === "status")
    if (status?.from === "ended") {
      return yield* new CliFailure({
        exit: "PRECONDITION",
        code: "CAMPAIGN_ENDED",
        message: `campaign ${present!.id} ${name} has ended, for good`,
        hint: "leave status out, or give the campaign of the file another name"
      })
    }
    if (wanted.status === "ended" && (present === undefined || status !== undefined) && !allowEnd) {
      return yield* usage(`${name} would end for good: give --allow-end if that is meant`)
    }
    return { wanted, present, differences }
  })

/** The same for the same name, so that a creation that was cut off is repeated and not doubled. */
const requestIdOf = ({ name, requestId }: CampaignFile.FileCampaign): string =>
  requestId ?? `apply-${createHash("sha256").update(name, "utf8").digest("hex").slice(0, 40)}`

const codesToWire = (codes: CampaignFile.FileCampaign["codes"]) => {
  if (codes === "pool") return { codeSource: CodeSource.POOL }
  // `parse` has read it by the same rules.
  if (codes === undefined) return {}
  return { codeFormat: CampaignFile.wireOf(Either.getOrThrow(CampaignFile.formatOf(codes))) }
}

/** `null`, as an empty message, takes a validity away. */
const validityToWire = (couponValidity: CampaignFile.FileCampaign["couponValidity"]) =>
  couponValidity === undefined ? {} : { couponValidity: couponValidity ?? {} }

const windowToWire = (undoWindow: string | undefined) => undoWindow === undefined ? {} : { undoWindow }

/** Creates the campaign of a plan; the service answers with the one that an earlier call has created, if any. */
const create = (client: Client, wanted: CampaignFile.FileCampaign, allowPastEnd: boolean) => {
  const { codes, couponLimit, couponValidity, endTime, name, startTime, undoWindow } = wanted
  const request = {
    name,
    couponLimit: BigInt(couponLimit!),
    startTime: startTime!,
    endTime: endTime ?? "",
    allowPastEnd,
    requestId: requestIdOf(wanted),
    ...codesToWire(codes),
    ...validityToWire(couponValidity),
    ...windowToWire(undoWindow)
  }
  return untilKnown(client.createCampaign(request), "the same file").pipe(
    Effect.mapError((failure) =>
      failure._tag === "Conflict"
        ? new CliFailure({
          exit: "PRECONDITION",
          code: "CONFLICT",
          message: `another campaign was created by the request id of ${name}, and has another name by now`,
          hint: "give its id, or a requestId of your own for a new campaign"
        })
        : failure),
    Effect.flatMap(({ campaignId }) => findById(client, campaignId))
  )
}

/** Makes a campaign what the file says. Safe to repeat: what is done already is not done again. */
export const carryOut = (
  client: Client,
  { present, wanted }: Plan,
  allowPastEnd: boolean
): Effect.Effect<number, CliFailure | CallFailure> =>
  Effect.gen(function*() {
    const campaign = present ?? (yield* create(client, wanted, allowPastEnd))
    const campaignId = campaign.id
    const fields = new Set(differencesOf(campaign, wanted).map(({ field }) => field))
    const { codes, couponLimit, couponValidity, endTime, name, startTime, status, undoWindow } = wanted
    let version = campaign.version
    if ([...fields].some((field) => field !== "status")) {
      const answer = yield* client.updateCampaign({
        campaignId,
        expectedVersion: version,
        allowPastEnd,
        ...fields.has("name") ? { name } : {},
        ...fields.has("couponLimit") ? { couponLimit: BigInt(couponLimit!) + campaign.returned } : {},
        ...fields.has("startTime") ? { startTime: startTime! } : {},
        ...fields.has("endTime") ? { endTime: endTime ?? "" } : {},
        ...fields.has("codes") ? codesToWire(codes) : {},
        ...fields.has("couponValidity") ? validityToWire(couponValidity) : {},
        ...fields.has("undoWindow") ? windowToWire(undoWindow) : {}
      })
      version = answer.campaign!.version
    }
    if (fields.has("status")) {
      const change = { campaignId, expectedVersion: version }
      if (status === "active") yield* client.resumeCampaign(change)
      if (status === "paused") yield* client.pauseCampaign(change)
      if (status === "ended") yield* client.endCampaign(change)
    }
    return campaignId
  })
