import type { InStatement, ResultSet } from "@libsql/client"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { CampaignId } from "../../domain/Campaign.ts"
import type { LedgerUnavailable } from "../../ports/Ledger.ts"
import type { Row } from "../Rows.ts"
import { unavailable } from "../SqlFailure.ts"
import { markerColumns, markerValues } from "../text/OutboxMarkers.ts"
import type { FailedAttempt } from "../UntilKnown.ts"
import type { Driver } from "./Driver.ts"
import { classifyLibsql } from "./LibSqlFailure.ts"

/** Any text as a literal: as hexadecimal digits it needs no escaping. */
export const libsqlText = (text: string): string => `CAST(x'${Buffer.from(text, "utf8").toString("hex")}' AS TEXT)`

/** The statements that ledger and campaigns run on the file by themselves. */
export const makeStatements = (driver: Driver) => {
  const run = (
    sql: string,
    args: Array<string | number> = []
  ): Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable> =>
    Effect.tryPromise({ try: async () => (await driver.execute({ sql, args })).rows, catch: unavailable })

  return {
    read: (text: string) => run(text),
    /**
     * Makes sure that no transaction under this key can commit from now on, and then reads. In doubt means here that
     * the disk failed a commit: this commit writes over the same place of the log, or fails.
     */
    forbidAndRead: (key: string, campaignId: CampaignId, text: () => string) =>
      Effect.suspend(() =>
        run(
          `INSERT INTO outbox (${markerColumns}) VALUES (${markerValues("VOID", "?", "?", "?")}) ` +
            "ON CONFLICT (batch_id) DO NOTHING",
          [key, campaignId, driver.now()]
        )
      ).pipe(Effect.zipRight(Effect.suspend(() => run(text()))))
  }
}

/**
 * Runs a transaction once. Its `now` is the driver's clock. No other process writes the file, so there is no lock to
 * wait for between here and the commit.
 */
export const runBatch = <A>(
  driver: Driver,
  statements: (now: number) => Array<InStatement>,
  read: (results: ReadonlyArray<ResultSet>, now: number) => A
): Effect.Effect<Either.Either<A, FailedAttempt>> =>
  Effect.promise(async () => {
    try {
      const now = driver.now()
      return Either.right(read(await driver.batch(statements(now), "write"), now))
    } catch (cause) {
      return Either.left({ failure: classifyLibsql(cause), cause })
    }
  })
