import type { ServerResponse } from "node:http"
import type { Principal } from "../../domain/Principal.ts"
import { protections } from "../../metrics/ProtectionMetrics.ts"
import type { Response } from "../../rpc/Request.ts"

/** The most calls at the same time: the plane serves a few people, and an Overview costs some queries a second. */
export const MOST_CALLS = 64

/** Of one key, so that two keys with lesser roles leave room for a third. */
export const MOST_OF_A_KEY = 24

/** For ADMIN keys alone: whatever the others do, an ADMIN can revoke them. */
export const FOR_ADMIN = 16

/** Answers of one key that are written and not read. */
const MOST_UNREAD = 16

/** For a reader to take what it was sent. A dashboard or a terminal reads at once. */
export const UNREAD_MILLIS = 10_000

/** Calls of the operator plane, each with its slot. */
export interface OperatorSlots {
  /** A slot for a call; `undefined`: its key, or all keys, have as many as they may. */
  readonly take: (caller: Principal, response: Response) => Slot | undefined
}

export interface Slot {
  /** The answer is written: the slot is free. An answer that is not read ends some time later. */
  readonly written: () => void
}

/** Ends an answer that its caller does not read. */
export const endUnread = (response: Response): void => {
  if (response.destroyed) return
  protections.operatorUnread.add()
  response.destroy()
}

/** What a caller's calls are counted by. */
export const keyOf = ({ keyId, name }: Principal): string => keyId ?? name

export const make = (): OperatorSlots => {
  const calls = new Map<string, number>()
  const unread = new Map<string, Set<Response>>()
  let [all, ofAdmins] = [0, 0]

  const mayHave = (key: string, isAdmin: boolean) =>
    all < MOST_CALLS && (calls.get(key) ?? 0) < MOST_OF_A_KEY && (isAdmin || all - ofAdmins < MOST_CALLS - FOR_ADMIN)

  const awaitReading = (key: string, response: Response) => {
    let those = unread.get(key)
    if (those === undefined) unread.set(key, those = new Set())
    const own = those
    const timer = setTimeout(() => endUnread(response), UNREAD_MILLIS).unref()
    const read = () => {
      clearTimeout(timer)
      own.delete(response)
      if (own.size === 0 && unread.get(key) === own) unread.delete(key)
    }
    own.add(response)
    ;(response as ServerResponse).once("finish", read).once("close", read)
    const [oldest] = own
    if (own.size > MOST_UNREAD) endUnread(oldest!)
  }

  return {
    take: (caller, response) => {
      const key = keyOf(caller)
      const isAdmin = caller.role === "ADMIN"
      if (!mayHave(key, isAdmin)) {
        protections.operatorCalls.add()
        return undefined
      }
      all++
      if (isAdmin) ofAdmins++
      calls.set(key, (calls.get(key) ?? 0) + 1)
      let isFree = false
      const free = () => {
        if (isFree) return
        isFree = true
        all--
        if (isAdmin) ofAdmins--
        const left = calls.get(key)! - 1
        if (left === 0) calls.delete(key)
        else calls.set(key, left)
      }
      response.once("close", free)
      return {
        written: () => {
          free()
          if (!response.destroyed && !(response as ServerResponse).writableFinished) awaitReading(key, response)
        }
      }
    }
  }
}
