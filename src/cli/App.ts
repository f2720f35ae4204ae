import * as Command from "@effect/cli/Command"
import { VERSION } from "../config/Version.ts"
import * as LogCommand from "./commands/LogCommand.ts"
import * as RedemptionCommands from "./redemptions/RedemptionCommands.ts"
import * as OperatorCommands from "./commands/OperatorCommands.ts"
import { apply } from "./applying/ApplyCommand.ts"
import { backup } from "./commands/BackupCommand.ts"
import { campaign } from "./campaigns/CampaignCommands.ts"
import { find, get, issue, list } from "./commands/CouponCommands.ts"
import { exportCoupons } from "./exporting/ExportCommand.ts"
import { codes } from "./commands/CodesCommand.ts"
import { doctor } from "./commands/DoctorCommand.ts"
import { events } from "./events/EventsCommand.ts"
import { keys } from "./commands/KeyCommands.ts"
import { eraseUser } from "./redemptions/EraseCommand.ts"
import { k8s } from "./k8s/K8sCommand.ts"
import { listen } from "./webhooks/ListenCommand.ts"
import { webhook } from "./webhooks/WebhookCommands.ts"
import { watch } from "./watching/WatchCommand.ts"

/** All commands. */
export const root = Command.make("coupon").pipe(
  Command.withDescription("operates coupon-issuance: a client of its API and of its operator plane"),
  Command.withSubcommands([
    campaign,
    apply,
    codes,
    issue,
    get,
    list,
    find,
    exportCoupons,
    events,
    RedemptionCommands.redeem,
    RedemptionCommands.undo,
    RedemptionCommands.revoke,
    eraseUser,
    watch,
    doctor,
    OperatorCommands.verify,
    OperatorCommands.audit,
    OperatorCommands.rebuild,
    backup,
    keys,
    webhook,
    listen,
    OperatorCommands.settings,
    k8s,
    LogCommand.log
  ])
)

/** The whole command line. */
export const run = Command.run(root, { name: "coupon", version: VERSION, executable: "coupon" })
