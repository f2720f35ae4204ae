import type { Key } from "../../../src/contract/operator/Keys.ts"

/** When a key ends, in epoch milliseconds; `Infinity`: never. */
export const endOf = ({ endsAt, expiresAt }: Pick<typeof Key.Type, "endsAt" | "expiresAt">): number =>
  Math.min(endsAt ?? Infinity, expiresAt ?? Infinity)

/** Whether a key is of no use any more. Its sessions end with it, and are listed until their own time is over. */
export const isOver = (
  key: Pick<typeof Key.Type, "endsAt" | "expiresAt" | "revokedAt">,
  now: number
): boolean => key.revokedAt !== null || endOf(key) <= now
