import type { ChangeText } from "../logic/Changes.ts"
import { changeTexts as textsOf, type FieldWords } from "../logic/FieldText.ts"
import * as m from "../paraglide/messages.js"
import { settings } from "../state/settings.svelte.ts"
import { validityText } from "./validityText.ts"

/** The names of the fields that the audit log holds. */
const names: Readonly<Record<string, () => string>> = {
  name: m.common_name,
  couponLimit: m.acts_limit_field,
  status: m.common_state,
  startTime: m.acts_start,
  endTime: m.sale_end,
  returned: m.fields_returned,
  codes: m.acts_codes,
  couponValidity: m.acts_validity,
  undoWindow: m.fields_undo_window,
  coupon: m.fields_coupon,
  number: m.common_number,
  requestId: m.fields_request,
  reason: m.codes_why,
  discard: m.acts_rebuild_discard,
  id: () => "ID",
  role: m.keys_role,
  requestsPerSecond: m.fields_rate,
  expiresAt: m.support_expires,
  networks: m.fields_networks,
  campaigns: m.fields_campaigns,
  formerEndsAt: m.fields_former_ends,
  keyId: m.fields_key,
  url: m.webhooks_url,
  description: m.webhooks_description,
  types: m.webhooks_types_shown,
  scope: m.fields_campaigns,
  mode: m.webhooks_mode,
  onFailure: m.webhooks_on_failure,
  maxAttempts: m.fields_max_attempts,
  concurrency: m.fields_concurrency,
  secrets: m.fields_secrets,
  ids: m.fields_deliveries,
  afterSequence: m.fields_after,
  from: m.fields_from,
  to: m.fields_to,
  sequence: m.fields_sequence,
  type: m.fields_type,
  importId: m.fields_import,
  codeCount: m.fields_code_count,
  received: m.fields_received,
  bytes: m.fields_bytes,
  sha256: () => "SHA-256",
  call: m.fields_call,
  summedUp: m.fields_refused
}

/** Values that are names, by field. */
const choices: Readonly<Record<string, Readonly<Record<string, () => string>>>> = {
  status: {
    ACTIVE: m.acts_conflict_active,
    PAUSED: m.common_phase_paused,
    ENDED: m.common_phase_ended,
    ENABLED: m.webhooks_enabled,
    DISABLED: m.webhooks_disabled
  },
  codes: { POOL: m.acts_pool },
  mode: { EACH: m.webhooks_mode_each, BATCH: m.webhooks_mode_batch, RANGE: m.webhooks_mode_range },
  onFailure: { PARK: m.webhooks_park, RETRY: m.webhooks_retry },
  ids: { all: m.common_all }
}

/** Fields that are left out of a state where they have their default. */
const defaults: Readonly<Record<string, () => string>> = {
  codes: m.fields_default,
  undoWindow: m.fields_default,
  couponValidity: m.acts_valid_unlimited,
  returned: () => "0"
}

/** Values of several fields, which an earlier or later version may have in another form. */
const parts: Readonly<Record<string, (value: object) => string | undefined>> = {
  couponValidity: (value) => validityText(value),
  codes: (value) => "pattern" in value ? String(value.pattern) : undefined,
  types: (value) => Array.isArray(value) && value.length === 0 ? m.common_all() : undefined,
  scope: (value) =>
    "all" in value ? m.common_all() : "some" in value && Array.isArray(value.some)
      ? value.some.map(({ campaignId }: { readonly campaignId: number }) => `#${campaignId}`).join(", ")
      : undefined,
  secrets: (value) =>
    !Array.isArray(value) ? undefined : value.map(({ expiresAt }: { readonly expiresAt: number | string | null }) =>
      expiresAt === null
        ? m.fields_secret_current()
        : m.fields_secret_until({ time: settings.format.dateTime(new Date(expiresAt).getTime()) })
    ).join(", ")
}

const own = <A>(table: Readonly<Record<string, A>>, name: string): A | undefined =>
  Object.hasOwn(table, name) ? table[name] : undefined

const valueOf = (field: string, value: unknown): string | undefined => {
  if (typeof value === "string") return own(own(choices, field) ?? {}, value)?.()
  if (value === null) return field === "endTime" ? m.common_none() : undefined
  return typeof value === "object" ? own(parts, field)?.(value) : undefined
}

/** What an act of the audit log changed, in the page's language; fields of a later version by their own names. */
export const changeTexts = (before: unknown, after: unknown): ReadonlyArray<ChangeText> => {
  const words: FieldWords = {
    name: (field) => own(names, field)?.() ?? field,
    value: valueOf,
    absent: (field) => own(defaults, field)?.(),
    yes: m.common_yes(),
    no: m.common_no()
  }
  return textsOf(before, after, words, settings.format)
}
