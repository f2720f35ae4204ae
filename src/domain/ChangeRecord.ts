import { randomBytes } from "node:crypto"
import type { Actor } from "./Actor.ts"

/** How a change is recorded: under which id, and as whose. */
export interface ChangeRecord {
  /** 32 lower-case hexadecimal digits, fresh for every attempt: unique in the audit log, the key of an outbox event. */
  readonly changeId: string
  /** Who asked for it. */
  readonly actor: Actor
}

/** The record of a new attempt. */
export const changeBy = (actor: Actor): ChangeRecord => ({ changeId: randomBytes(16).toString("hex"), actor })
