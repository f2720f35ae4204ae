import * as AuditLogExercise from "../ports/auditLog.exercise.ts"
import * as CampaignsExercise from "../ports/campaigns.exercise.ts"
import * as ErasuresExercise from "../ports/erasures.exercise.ts"
import * as EventLogExercise from "../ports/eventLog.exercise.ts"
import * as CodeEventsExercise from "../ports/codeEvents.exercise.ts"
import * as CodeImportsExercise from "../ports/codeImports.exercise.ts"
import * as LedgerExercise from "../ports/ledger.exercise.ts"
import * as OutboxExercise from "../ports/outbox.exercise.ts"
import * as RedemptionsExercise from "../ports/redemptions.exercise.ts"
import * as RevocationsExercise from "../ports/revocations.exercise.ts"
import * as TestLedger from "./TestLedger.ts"

// What the tests of the use cases run on has to mean the same as a database.
LedgerExercise.exercise("Ledger in memory", TestLedger.layer)
CampaignsExercise.exercise("Campaigns in memory", TestLedger.layer)
OutboxExercise.exercise("Outbox in memory", TestLedger.layer)
EventLogExercise.exercise("EventLog in memory", TestLedger.layer)
CodeImportsExercise.exercise("CodeImports in memory", TestLedger.layer)
CodeEventsExercise.exercise("CodeEvents in memory", TestLedger.layer)
AuditLogExercise.exercise("AuditLog in memory", TestLedger.layer)
RedemptionsExercise.exercise("Redemptions in memory", TestLedger.layer)
RevocationsExercise.exercise("Revocations in memory", TestLedger.layer)
ErasuresExercise.exercise("Erasures in memory", TestLedger.layer)
