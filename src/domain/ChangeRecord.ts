import { randomBytes } from "node:crypto"

/** How a change is recorded: under which id, and as whose. */
export interface ChangeRecord {
  /** 32 lower-case hexadecimal digits, fresh for every attempt: unique in the audit log, the key of an outbox event. */
  readonly changeId: string
  /** Who asked for it: a key's name, a token's subject (`Principal.name`). Cut off after 200 characters. */
  readonly actor: string
}

/** The record of a new attempt. */
export const changeBy = (actor: string): ChangeRecord => ({ changeId: randomBytes(16).toString("hex"), actor })
