import { SqlError } from "@effect/sql/SqlError"
import { describe, expect, it } from "vitest"
import { classifyLibsql } from "../../src/sql/libsql/LibSqlFailure.ts"
import { classifyMysql, isDuplicateKey, mysqlErrno } from "../../src/sql/mysql/MySqlFailure.ts"

const error = (fields: object) =>
  new SqlError({ cause: Object.assign(new Error(), fields), message: "Failed to execute statement" })

const duplicate = (key: string) =>
  error({ errno: 1062, code: "ER_DUP_ENTRY", message: `Duplicate entry '1-x' for key '${key}'` })

describe("what an error proves", () => {
  it.each([
    ["deadlock", error({ errno: 1213 }), "Retry"],
    ["lock wait timeout", error({ errno: 1205 }), "Retry"],
    ["changed since read", error({ errno: 1020 }), "Retry"],
    ["code taken on MySQL", duplicate("coupons.coupons_code"), "CodeTaken"],
    ["code taken on MariaDB", duplicate("coupons_code"), "CodeTaken"],
    ["user behind a stale snapshot", duplicate("coupons.coupons_user"), "Retry"],
    ["voided on MySQL", duplicate("outbox.PRIMARY"), "InDoubt"],
    ["voided on MariaDB", duplicate("PRIMARY"), "InDoubt"],
    ["check on MySQL", error({ errno: 3819 }), "Rejected"],
    ["check on MariaDB", error({ errno: 4025 }), "Rejected"],
    ["not null", error({ errno: 1048 }), "Rejected"],
    ["read only", error({ errno: 1290 }), "ReadOnly"],
    ["server shutdown, perhaps in COMMIT", error({ errno: 1053 }), "InDoubt"],
    ["interrupted, perhaps in COMMIT", error({ errno: 1317 }), "InDoubt"],
    ["error during COMMIT", error({ errno: 1180 }), "InDoubt"],
    ["read-only transaction", error({ errno: 1792 }), "ReadOnly"],
    ["read-only mode", error({ errno: 1836 }), "ReadOnly"],
    ["offline mode, perhaps in COMMIT", error({ errno: 3032 }), "InDoubt"],
    ["group replication: a hook failed in COMMIT", error({ errno: 3100 }), "InDoubt"],
    ["group replication: rolled back in COMMIT, by a minority perhaps", error({ errno: 3101 }), "InDoubt"],
    ["group replication: refused before the statement", error({ errno: 3098 }), "Rejected"],
    ["group replication: held by a new primary for too long", error({ errno: 3781 }), "Rejected"],
    ["group replication: no transaction can begin", error({ errno: 3799 }), "Rejected"],
    ["unheard of", error({ errno: 59_999 }), "InDoubt"],
    ["connection lost", error({ code: "PROTOCOL_CONNECTION_LOST", fatal: true }), "InDoubt"],
    ["a socket's errno is not the server's", error({ errno: -104, code: "ECONNRESET", fatal: true }), "InDoubt"],
    ["the server's last word on a dying connection", error({ errno: 1205, fatal: true }), "InDoubt"],
    [
      "refused by the driver",
      error({ message: "Can't add new command when connection is in closed state", fatal: true }),
      "NotSent"
    ],
    ["no error at all", undefined, "InDoubt"],
    ["a text", "ER_LOCK_DEADLOCK", "InDoubt"]
  ])("on MySQL: %s", (_, cause, failure) => {
    expect(classifyMysql(cause)).toBe(failure)
  })

  it("knows a duplicate key by its name", () => {
    expect(isDuplicateKey(duplicate("coupons.coupons_code"), "coupons_user")).toBe(false)
    expect(isDuplicateKey(error({ errno: 1205 }))).toBe(false)
    expect(mysqlErrno(error({ errno: 1062 }))).toBe(1062)
  })

  it.each([
    ["code taken", {
      code: "SQLITE_CONSTRAINT_UNIQUE",
      message: "UNIQUE constraint failed: coupons.campaign_id, coupons.code"
    }, "CodeTaken"],
    [
      "voided",
      { code: "SQLITE_CONSTRAINT_PRIMARYKEY", message: "UNIQUE constraint failed: outbox.batch_id" },
      "InDoubt"
    ],
    ["check", { code: "SQLITE_CONSTRAINT_CHECK", message: "CHECK constraint failed: campaigns_issued" }, "Rejected"],
    ["busy", { code: "SQLITE_BUSY", message: "database is locked" }, "Retry"],
    ["disk", { code: "SQLITE_IOERR_FSYNC", message: "disk I/O error" }, "InDoubt"],
    ["closed", { code: "CLIENT_CLOSED", message: "The client is closed" }, "Rejected"],
    ["unheard of", { message: "?" }, "InDoubt"]
  ])("on libSQL: %s", (_, cause, failure) => {
    expect(classifyLibsql(Object.assign(new Error(), cause))).toBe(failure)
  })
})
