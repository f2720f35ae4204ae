import type { SqlClient } from "@effect/sql/SqlClient"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { AppConfig } from "../../config/AppConfig.ts"
import type { CampaignId } from "../../domain/Campaign.ts"
import type { CommitInDoubt, LedgerUnavailable } from "../../ports/Ledger.ts"
import { integer } from "../text/Literals.ts"
import { markerColumns, markerValues } from "../text/OutboxMarkers.ts"
import type { Row } from "../Rows.ts"
import { unavailable } from "../SqlFailure.ts"
import { type Retries, untilKnown } from "../UntilKnown.ts"
import { lockWaitSeconds, runText } from "./connection/MySql.ts"
import { type FailedText, sendText, settle } from "./connection/SentText.ts"
import { sessionSettings } from "./connection/SessionState.ts"
import { batchKey } from "./Literals.ts"
import { isDuplicateKey } from "./MySqlFailure.ts"
import { type Results, script, type Script } from "./Script.ts"

/** The way in which all adapters on MySQL read and write. */
export interface Transactions {
  /** The statements that each script that writes begins with. */
  readonly settings: ReadonlyArray<string>
  /** One statement on any connection of the pool. For reads, which may fail in any way. */
  readonly read: (text: string) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable>
  /** Sends a script once; its transaction is over in any case. */
  readonly send: <Name extends string>(
    script: Script<Name>
  ) => Effect.Effect<Either.Either<Results<Name>, FailedText>, LedgerUnavailable>
  /** Sends a script until its outcome is known, or in doubt. */
  readonly run: <Name extends string>(
    script: Script<Name>,
    retries?: Retries
  ) => Effect.Effect<Results<Name>, LedgerUnavailable | CommitInDoubt>
  /** For transactions that may wait for a row's lock. */
  readonly patienceMillis: number
  /**
   * Makes sure that no transaction under this key can commit from now on, and then reads what it may have left. Both on
   * the same connection: another one may lead to a server that a failover left behind, which does not know what was
   * committed.
   */
  readonly forbidAndRead: (
    key: string,
    campaignId: CampaignId,
    text: string
  ) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable>
}

/** Attempts of a script, and of forbidding a key. */
const RUN: Retries = { attempts: 4 }
const FORBID: Retries = { attempts: 6 }

export const make = (sql: SqlClient, config: AppConfig["Type"]): Transactions => {
  const settings = sessionSettings(lockWaitSeconds(config.mysqlReplyTimeout))

  const send: Transactions["send"] = (of) =>
    Effect.mapBoth(sendText(sql, of.text), { onFailure: unavailable, onSuccess: Either.map(of.results) })

  return {
    settings,
    patienceMillis: Duration.toMillis(config.mysqlReplyTimeout),
    read: (text) => Effect.mapError(sql.unsafe<Row>(text).unprepared, unavailable),
    send,
    run: (of, retries = RUN) => untilKnown(send(of), retries),
    forbidAndRead: (key, campaignId, text) => {
      const marker = script(
        ...settings,
        `INSERT INTO outbox (${markerColumns})
VALUES (${markerValues("VOID", batchKey(key), integer(campaignId), "SYSDATE(6)")})`
      ).text
      const attempt = Effect.flatMap(sql.reserve, (connection) =>
        runText(connection, marker).pipe(
          // A duplicate is as good: the transaction committed, or is forbidden already.
          Effect.catchIf((cause) => isDuplicateKey(cause), () => Effect.void),
          Effect.matchEffect({
            onFailure: (cause) => Effect.map(settle(connection, cause), Either.left),
            onSuccess: () => Effect.map(runText(connection, text), (rows) => Either.right(rows as ReadonlyArray<Row>))
          })
        )).pipe(Effect.scoped, Effect.uninterruptible, Effect.mapError(unavailable))
      return Effect.catchTag(untilKnown(attempt, FORBID), "CommitInDoubt", ({ cause }) =>
        Effect.fail(unavailable(cause)))
    }
  }
}
