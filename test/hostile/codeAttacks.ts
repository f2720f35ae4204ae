import * as CouponCode from "../../src/domain/CouponCode.ts"
import type { Attack } from "./attacks.ts"
import type { Trial } from "./trial.ts"
import type { Wire } from "./Wire.ts"

const REDEEM = "/coupon.v1.CouponService/RedeemCoupon"

/** Callers without a key may redeem, as only an operator who says so lets them. */
const PUBLIC = { PUBLIC_REDEEM: "on" }

/**
 * Codes that are drawn, and now and then one that was a coupon's, of the campaign or of none: whatever is wrong, the
 * answer is to be the same.
 */
const guesses = async (wire: Wire, connections: number, perSecond: number, key?: string) => {
  const { campaignId, done } = wire.target
  const post = wire.poster(connections)
  const headers = key === undefined ? {} : { authorization: `Bearer ${key}` }
  await wire.every(perSecond, (n) => {
    const code = n % 4 === 1 ? done[0] : n % 4 === 2 ? done[1] : CouponCode.generate()
    const of = n % 4 === 3 ? 2_000_000_000 : campaignId
    post(REDEEM, JSON.stringify({ campaignId: of, code, requestId: `guess ${n}` }), headers)
  })
}

/** Against coupons: an attacker guesses their codes, while tills and users redeem coupons. */
export const codeAttacks: ReadonlyArray<Attack> = [
  {
    name: "guesses",
    what: "200 codes a second are guessed without a key (PUBLIC_REDEEM) by one connection",
    env: PUBLIC,
    besideTills: true,
    run: (wire) => guesses(wire, 1, 200)
  },
  {
    name: "guesses-connections",
    what: "2,000 a second by 200 connections of one client",
    env: PUBLIC,
    besideTills: true,
    run: (wire) => guesses(wire, 200, 2_000)
  },
  {
    name: "guesses-viewer",
    what: "the same with a stolen key of the role VIEWER",
    env: PUBLIC,
    besideTills: true,
    run: (wire) => guesses(wire, 200, 2_000, wire.target.stolen.VIEWER)
  },
  {
    name: "guesses-till",
    what: "500 a second by 50 connections with a stolen key of the role REDEEMER, whose wrong codes are not bounded",
    env: PUBLIC,
    besideTills: true,
    run: (wire) => guesses(wire, 50, 500, wire.target.stolen.REDEEMER)
  }
]

/** How many wrong codes are looked at in so many seconds: those of a client, and those of a key (SECURITY.md). */
const looked = { guesses: [20, 0.1], "guesses-connections": [20, 0.1], "guesses-viewer": [200, 2] } as const

const NOT_FOUND = "404 {\"code\":\"not_found\",\"message\":\"RECORD_NOT_FOUND\"}"

/** What guesses of codes got that they must not have; `undefined`: nothing, or the attack is another one. */
export const flawsOf = ({ answers, attack, seconds }: Trial): string | undefined => {
  if (!codeAttacks.some(({ name }) => name === attack)) return undefined
  const known = Object.entries(answers)
  const found = answers[NOT_FOUND] ?? 0
  if (found === 0) return "no guess was answered"
  if (attack === "guesses-till") {
    const won = known.filter(([text]) => text.startsWith("200 "))
    return won.length === 0 ? undefined : `a guess was right: ${won[0]![0]}`
  }
  const others = known.filter(([text]) => text !== NOT_FOUND && !text.startsWith("429 "))
  if (others.length > 0) return `another answer: ${others[0]![0]}`
  if (!known.some(([text]) => text.includes("RATE_LIMITED"))) return "no guess was limited"
  const [burst, perSecond] = looked[attack as keyof typeof looked]
  const most = burst + Math.ceil(perSecond * seconds)
  return found <= most ? undefined : `${found} wrong codes were looked at, where ${most} may be`
}
