import * as MySql from "mysql2/promise"

/** How long a session may take to open. */
const PATIENCE_MILLIS = 3_000

/** A session that is not the service's, as an administrator or a backup has; what it holds ends with it. */
export const foreignSession = async <A>(
  databaseUrl: string,
  use: (connection: MySql.Connection) => Promise<A>
): Promise<A> => {
  const connection = await MySql.createConnection({ uri: databaseUrl, connectTimeout: PATIENCE_MILLIS })
  connection.on("error", () => {})
  try {
    return await use(connection)
  } finally {
    connection.destroy()
  }
}

/** Statements that hold a campaign's row until ROLLBACK or the session's end. */
export const holdingRow = (campaignId: number): ReadonlyArray<string> =>
  ["START TRANSACTION", `SELECT id FROM campaigns WHERE id = ${campaignId} FOR UPDATE`]
