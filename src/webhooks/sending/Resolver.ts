import { promises as dns } from "node:dns"
import { isIP } from "node:net"

/** The addresses of a host; rejects if it has none or the name server does not answer. */
export type Resolve = (hostname: string) => Promise<ReadonlyArray<string>>

const TIMEOUT_MILLIS = 2_000
const TRIES = 2

/** Answers are shared by requests so close to each other. */
const SHARED_MILLIS = 1_000

const valuesOf = (answer: PromiseSettledResult<ReadonlyArray<string>>) =>
  answer.status === "fulfilled" ? answer.value : []

/**
 * Asks the name servers directly. The system's own lookup would take a thread of the few that the ledger's driver and
 * the disk share, for as long as a name server of a receiver's choice keeps silent. So /etc/hosts and search domains do
 * not count, and a name within a cluster has to be whole.
 */
export const make = (): Resolve => {
  const resolver = new dns.Resolver({ timeout: TIMEOUT_MILLIS, tries: TRIES })
  const shared = new Map<string, Promise<ReadonlyArray<string>>>()
  const ask = async (hostname: string) => {
    const answers = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)])
    const addresses = answers.flatMap(valuesOf)
    if (addresses.length > 0) return addresses
    throw new Error(`${hostname} has no address`)
  }
  return async (hostname) => {
    const plain = hostname.replace(/^\[|\]$/g, "")
    if (isIP(plain) !== 0) return [plain]
    if (/^localhost\.?$/i.test(plain)) return ["127.0.0.1", "::1"]
    let answer = shared.get(plain)
    if (answer === undefined) {
      shared.set(plain, answer = ask(plain))
      setTimeout(() => shared.delete(plain), SHARED_MILLIS).unref()
    }
    return answer
  }
}
