import * as Schema from "effect/Schema"

/** Epoch milliseconds, or a duration where the field says so. */
export const Millis = Schema.Number

export const Count = Schema.Number

export const CampaignId = Schema.Int.pipe(Schema.between(1, 2_147_483_647))

/** An older instance does not send it. */
export const known = Schema.optionalWith(Schema.NullOr(Schema.String), { default: () => null })

/** As `known`, of a number. */
export const knownNumber = Schema.optionalWith(Schema.NullOr(Schema.Number), { default: () => null })
