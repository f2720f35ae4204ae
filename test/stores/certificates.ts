import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { removeDirectory, temporaryDirectory } from "../support/guardian.ts"

/** PEM files of an authority of the test's own and of a server at `localhost` and 127.0.0.1. */
export interface Certificates {
  readonly ca: string
  readonly certificate: string
  readonly key: string
  readonly remove: () => void
}

export const hasOpenssl = (): boolean => {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

/** Makes them, valid for a day. */
export const makeCertificates = (): Certificates => {
  const dir = temporaryDirectory("tls")
  const file = (name: string) => Path.join(dir, name)
  const openssl = (...args: ReadonlyArray<string>) =>
    execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"], cwd: dir })
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
  openssl(
    "req", "-x509", ...key, "-days", "1", "-subj", "/CN=coupon test authority", "-keyout", "ca.key", "-out", "ca.pem"
  )
  openssl("req", ...key, "-subj", "/CN=store", "-keyout", "server.key", "-out", "server.csr")
  Fs.writeFileSync(file("extensions"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
  openssl(
    ...["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1"],
    ...["-extfile", "extensions", "-out", "server.pem"]
  )
  return {
    ca: file("ca.pem"),
    certificate: file("server.pem"),
    key: file("server.key"),
    remove: () => removeDirectory(dir)
  }
}
