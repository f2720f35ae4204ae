import * as Fs from "node:fs"
import * as Path from "node:path"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"
import { freePort, query, startDatabase, startRedis, type DatabaseKind } from "../support/privateServers.ts"
import { makeCertificates, type Certificates } from "./certificates.ts"
import { aclLines } from "./topologies.ts"

/** A password that needs care in a URL and in SQL. */
const PASSWORD = "p@ss/word:1"
const OWNER_PASSWORD = "owner%2"

/** The stores as they should be run: reached by TLS alone, and by users who may do just what they have to. */
export interface SecureStores {
  /** Settings of the service. */
  readonly env: Readonly<Record<string, string>>
  /** For `MYSQL_MIGRATION_URL`. */
  readonly ownerUrl: string
  readonly adminUrl: string
  /** Gives the serving user its rights, which takes tables. */
  readonly grant: () => Promise<unknown>
  /** Where the tests look for themselves. */
  readonly reader: { readonly databaseUrl: string; readonly redisUrl: string }
  readonly certificates: Certificates
  readonly stop: () => Promise<void>
}

/** Statements of a file that is deployed. */
const statements = (file: string, kind: DatabaseKind): ReadonlyArray<string> =>
  Fs.readFileSync(new URL(`../../deploy/${file}`, import.meta.url), "utf8")
    .replace(/^--.*$/gm, "")
    .replace("@OWNER_PASSWORD@", OWNER_PASSWORD)
    .replace("@PASSWORD@", PASSWORD)
    .split(";")
    .map((statement) => statement.trim())
    .filter((statement) => statement !== "" && (kind === "mysql" || !statement.includes("performance_schema")))

export const startSecureStores = async (kind: DatabaseKind): Promise<SecureStores> => {
  const releases: Array<() => unknown> = []
  const stop = async () => {
    for (let release = releases.pop(); release !== undefined; release = releases.pop()) await release()
  }
  try {
    const certificates = makeCertificates()
    releases.push(certificates.remove)
    const { ca, certificate, key } = certificates
    const dir = temporaryDirectory("init")
    releases.push(() => removeDirectory(dir))
    // The servers of the tests know their user by the name that is to be the serving one's, and it may not grant
    // anything.
    const init = Path.join(dir, "init.sql")
    Fs.writeFileSync(
      init,
      "CREATE DATABASE IF NOT EXISTS coupon;\nCREATE USER 'coupon'@'%' IDENTIFIED BY 'coupon';\n" +
        "GRANT ALL ON coupon.* TO 'coupon'@'%';\n" +
        "CREATE USER 'tester'@'%' IDENTIFIED BY 'tester';\nGRANT ALL ON *.* TO 'tester'@'%' WITH GRANT OPTION;\n"
    )
    const redisPort = await freePort()
    const [database, redis] = await Promise.all([
      startDatabase(kind, {
        args: [`--init-file=${init}`, `--ssl-ca=${ca}`, `--ssl-cert=${certificate}`, `--ssl-key=${key}`]
      }),
      startRedis({
        args: [
          ...[
            "--tls-port", String(redisPort), "--tls-cert-file", certificate, "--tls-key-file", key,
            "--tls-ca-cert-file", ca
          ],
          ...["--tls-auth-clients", "no"]
        ]
      })
    ])
    releases.push(database.stop, redis.stop)
    // A user for the tests themselves, who see everything. The last one turns off the user that says this: now all is
    // as in the file.
    const users = [...aclLines(PASSWORD), ["user", "tester", "on", "nopass", "~*", "&*", "+@all"]]
    for (const [, ...user] of users.reverse()) await redis.command("ACL", "SETUSER", ...user)

    const adminUrl = `mysql://tester:tester@127.0.0.1:${database.port}/mysql`
    await query(adminUrl, "DROP USER 'coupon'@'%'", "DROP DATABASE coupon", ...statements("mysql-users.sql", kind))
    await query(adminUrl, "ALTER USER 'coupon'@'%' REQUIRE SSL", "ALTER USER 'coupon_owner'@'%' REQUIRE SSL")
    const at = (user: string, password: string) =>
      `mysql://${user}:${encodeURIComponent(password)}@localhost:${database.port}/coupon?ssl-mode=VERIFY_IDENTITY`
    const env = {
      MYSQL_URL: at("coupon", PASSWORD),
      MYSQL_CA_FILE: ca,
      REDIS_URL: `rediss://coupon:${encodeURIComponent(PASSWORD)}@localhost:${redisPort}`,
      REDIS_CA_FILE: ca
    }
    return {
      env,
      ownerUrl: at("coupon_owner", OWNER_PASSWORD),
      adminUrl,
      grant: () => query(adminUrl, ...statements("mysql-grants.sql", kind)),
      reader: { databaseUrl: adminUrl.replace(/mysql$/, "coupon"), redisUrl: redis.url.replace("//", "//tester:x@") },
      certificates,
      stop
    }
  } catch (error) {
    await stop()
    throw error
  }
}
