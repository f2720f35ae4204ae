import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describe, expect } from "vitest"
import { settle } from "../../src/sql/mysql/connection/SentText.ts"

const error = (fields: object) =>
  new SqlError({ cause: Object.assign(new Error(), fields), message: "Failed to execute statement" })

const killed = error({ errno: 1317 })
const gone = error({ code: "PROTOCOL_CONNECTION_LOST", fatal: true })
const deadlock = error({ errno: 1213 })
const readOnly = error({ errno: 1290 })

/** A connection that answers its first statements so, in order, and all others with success. */
const connectionThat = (...answers: ReadonlyArray<SqlError | "ok">) => {
  const texts: Array<string> = []
  const connection = {
    executeUnprepared: (text: string) =>
      Effect.suspend(() => {
        const answer = answers[texts.push(text) - 1] ?? "ok"
        return answer === "ok" ? Effect.succeed([]) : Effect.fail(answer)
      })
  } as unknown as Connection
  return { connection, texts }
}

const [rollback, kill] = ["ROLLBACK", "KILL CONNECTION_ID()"]

describe("a text that failed", () => {
  it.live.each([
    ["is rolled back", deadlock, [], [rollback], "Retry"],
    ["is rolled back again if ROLLBACK is killed", deadlock, [killed], [rollback, kill, rollback], "Retry"],
    ["is rolled back again however often both are killed", deadlock, [killed, killed, killed, killed], [
      rollback,
      kill,
      rollback,
      kill,
      rollback
    ], "Retry"],
    ["is over when the connection is gone, but proves nothing", deadlock, [gone], [rollback], "InDoubt"],
    ["is over when KILL has ended the connection", deadlock, [killed, killed, gone], [
      rollback,
      kill,
      rollback
    ], "InDoubt"],
    ["leaves a server that takes no writes", readOnly, [], [rollback, kill], "ReadOnly"]
  ] as const)("%s", ([, cause, answers, sent, failure]) =>
    Effect.gen(function*() {
      const { connection, texts } = connectionThat(...answers)
      expect(yield* settle(connection, cause)).toEqual({ failure, cause })
      expect(texts).toEqual(sent)
    }))
})
