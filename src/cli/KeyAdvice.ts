import type { Key } from "../contract/operator/Keys.ts"
import { EXPIRES_SOON_MILLIS } from "../domain/Principal.ts"
import * as Output from "./Output.ts"

interface Expiring {
  readonly id: string
  readonly name: string
  readonly expiresAt: number
}

/** The valid keys without a successor that expire soon, the first to expire first. */
export const expiring = (keys: ReadonlyArray<typeof Key.Type>, now: number): ReadonlyArray<Expiring> =>
  keys.flatMap(({ expiresAt, id, name, replacedBy, revokedAt }) =>
    expiresAt !== null && revokedAt === null && replacedBy === null && expiresAt > now &&
      expiresAt < now + EXPIRES_SOON_MILLIS
      ? [{ id, name, expiresAt }]
      : []
  ).toSorted((a, b) => a.expiresAt - b.expiresAt)

/** One that expires soon, and what to do. */
export const text = ({ expiresAt, id, name }: Expiring, now: number): string =>
  `the key ${Output.printable(name)} expires in ${Output.span((expiresAt - now) / 1_000)}: coupon keys rotate ${id}`
