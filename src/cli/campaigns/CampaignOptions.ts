import * as Options from "@effect/cli/Options"

// What can be set of a campaign by `create` and by `update`.

export const name = Options.text("name").pipe(Options.withDescription("1 to 100 characters"))
export const limit = Options.integer("limit").pipe(
  Options.withDescription("how many coupons there are, 1 to 10,000,000")
)
export const start = Options.text("start").pipe(
  Options.withDescription("when claims open: 2025-06-25T00:00:00Z, now, +2h, 12:00, tomorrow 12:00, 2025-06-25 12:00")
)
export const end = Options.text("end").pipe(Options.withDescription("when claims close; likewise"))
export const allowPastEnd = Options.boolean("allow-past-end").pipe(
  Options.withDescription("accept an --end that has passed already: the campaign is over")
)
