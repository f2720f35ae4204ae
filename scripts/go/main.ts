// npm run migrate:go: copies campaigns and coupons of the service in Go to an empty ledger of this one, and compares
// them. docs/tutorial/from-go.md has the steps around it.
import { parseArgs } from "node:util"
import { openOldSystem } from "./OldSystem.ts"
import { survey } from "./Survey.ts"
import { copy, differences, openLedger, refusal } from "./Transfer.ts"

const usage = `Copies campaigns and coupons of the coupon service in Go to an empty ledger, and compares all of them.

  npm run migrate:go -- --dry-run        only says what it finds
  npm run migrate:go                     copies and compares
  npm run migrate:go -- --check          only compares

  --raise-limits   a campaign that has issued more than its limit gets what it has issued as its limit
  --leave-out      coupons of users 0 and below, which no user can be, are left out

It reads OLD_MYSQL_URL, OLD_REDIS_URL (unless that Redis is gone) and MYSQL_URL, whose schema npm run migrate makes. The
old service must not issue meanwhile, and no instance of this one may run. Nothing is written to the old stores.
Exit code 0: all is copied and equal, 1: it is not, 2: it could not be done.
`

const flag = { type: "boolean", default: false } as const
const { values } = parseArgs({
  options: { "dry-run": flag, check: flag, "raise-limits": flag, "leave-out": flag, help: { ...flag, short: "h" } }
})

const needed = (name: string): string => {
  const value = process.env[name]
  if (value === undefined || value === "") throw new Error(`${name} is not set`)
  return value
}

const migrate = async (): Promise<number> => {
  const old = await openOldSystem(needed("OLD_MYSQL_URL"), process.env["OLD_REDIS_URL"] || undefined)
  try {
    const mark = await old.mark()
    const found = await survey(old, { raiseLimits: values["raise-limits"], leaveOut: values["leave-out"] })
    const coupons = [...found.counts.values()].reduce((sum, count) => sum + count, 0)
    console.log(`${found.campaigns.length} campaigns, ${coupons} coupons`)
    for (const note of found.notes) console.log(`note: ${note}`)
    for (const obstacle of found.obstacles) console.log(`cannot be copied: ${obstacle}`)
    if (found.obstacles.length > 0) return 1
    if (values["dry-run"]) return 0

    const ledger = await openLedger(needed("MYSQL_URL"))
    try {
      if (!values.check) {
        const reason = await refusal(ledger)
        if (reason !== undefined) throw new Error(reason)
        await copy(old, ledger, found)
      }
      const differing = await differences(old, ledger, found)
      for (const line of differing) console.log(`differs: ${line}`)
      const issuing = await old.mark() !== mark
      if (issuing) console.log("differs: the old service has issued coupons meanwhile")
      if (issuing || differing.length > 0) return 1
      console.log(`every campaign and every coupon is equal; now start the instances, and run npm run verify`)
      return 0
    } finally {
      await ledger.end()
    }
  } finally {
    await old.close()
  }
}

if (values.help) console.log(usage)
else {
  process.exitCode = await migrate().catch((error: unknown) => {
    console.error((error as Error).message)
    return 2
  })
}
