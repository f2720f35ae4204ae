import { counters, distributions, gauges, SECONDS, SIZES } from "./Metrics.ts"

export const ledgerBatchSize = distributions(
  "coupon_ledger_batch_size",
  "Claims in one transaction of the ledger.",
  SIZES
)()
export const ledgerSeconds = distributions(
  "coupon_ledger_commit_duration_seconds",
  "One group commit, from its text to its verdicts.",
  SECONDS
)()
const commit = counters(
  "coupon_ledger_commits",
  "Group commits, by result: committed, unavailable (nothing was issued) or in_doubt.",
  ["result"]
)
export const ledgerCommits = {
  committed: commit({ result: "committed" }),
  unavailable: commit({ result: "unavailable" }),
  in_doubt: commit({ result: "in_doubt" })
}
export const ledgerResolved = counters(
  "coupon_ledger_resolutions",
  "Group commits in doubt whose outcome was found out."
)()
export const couponsIssued = counters("coupon_issued", "Coupons that this instance committed.")()
const poolConnection = gauges(
  "coupon_mysql_pool_connections",
  "Connections to MySQL, by state: open, in_use or limit.",
  ["state"]
)
export const pool = {
  open: poolConnection({ state: "open" }),
  inUse: poolConnection({ state: "in_use" }),
  limit: poolConnection({ state: "limit" })
}
export const poolWaiting = gauges("coupon_mysql_pool_waiting", "Callers that wait for a connection to MySQL.")()
