import * as Command from "@effect/cli/Command"
import { VERSION } from "../Version.ts"
import * as AuditCommands from "./AuditCommands.ts"
import { backup } from "./BackupCommand.ts"
import { campaign } from "./CampaignCommands.ts"
import { get, issue } from "./CouponCommands.ts"
import { doctor } from "./DoctorCommand.ts"
import { keys } from "./KeyCommands.ts"
import { watch } from "./WatchCommand.ts"

const root = Command.make("coupon").pipe(
  Command.withDescription("operates coupon-issuance: a client of its API and of its operator plane"),
  Command.withSubcommands([
    campaign,
    issue,
    get,
    watch,
    doctor,
    AuditCommands.audit,
    AuditCommands.rebuild,
    backup,
    keys,
    AuditCommands.settings,
    AuditCommands.log
  ])
)

/** The whole command line. */
export const run = Command.run(root, { name: "coupon", version: VERSION, executable: "coupon" })
