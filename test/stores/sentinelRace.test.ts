import { expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { once } from "node:events"
import * as Net from "node:net"
import { vi } from "vitest"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import { startRedis } from "../support/servers.ts"

/** A RESP array of bulk strings. */
const array = (...texts: ReadonlyArray<string>) =>
  `*${texts.length}\r\n` + texts.map((text) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`).join("")

/** A sentinel that tells where a primary is when the test lets it. */
const startSentinel = async (primaryPort: number) => {
  const subscribers = new Set<Net.Socket>()
  const questions: Array<() => void> = []
  let holding = false
  const reply = (socket: Net.Socket, command: string) => {
    if (command.includes("subscribe")) {
      subscribers.add(socket)
      socket.write("*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n")
    } else if (command.includes("get-master-addr-by-name")) {
      const answer = () => socket.write(array("127.0.0.1", String(primaryPort)))
      if (holding) questions.push(answer)
      else answer()
    } else socket.write(command.includes("sentinel") ? "*0\r\n" : "+OK\r\n")
  }
  const server = Net.createServer((socket) => {
    socket.on("error", () => {}).on("close", () => subscribers.delete(socket))
    // Short commands, which come whole, some of them together.
    socket.setEncoding("utf8").on("data", (text: string) => {
      for (const command of text.split(/(?=^\*\d+\r\n)/m)) reply(socket, command.toLowerCase())
    })
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return {
    port: (server.address() as Net.AddressInfo).port,
    subscribers,
    questions,
    hold: () => (holding = true),
    release: () => {
      holding = false
      for (const answer of questions.splice(0)) answer()
    },
    announce: () => {
      for (const socket of subscribers) socket.write(array("message", "+switch-master", "mymaster"))
    },
    stop: () => {
      for (const socket of subscribers) socket.destroy()
      server.close()
    }
  }
}

const acquire = <A extends { readonly stop: () => unknown }>(start: () => Promise<A>) =>
  Effect.acquireRelease(Effect.promise(start), ({ stop }) => Effect.promise(async () => stop()))

it.scopedLive("a failover that is announced while the client asks where the primary is does not end its attempts", () =>
  Effect.gen(function*() {
    const redis = yield* acquire(startRedis)
    const sentinel = yield* acquire(() => startSentinel(redis.port))
    const soon = (check: () => void) => Effect.promise(() => vi.waitFor(check, { timeout: 60_000, interval: 5 }))
    const client = yield* RedisClient.make({
      redisUrl: Redacted.make(`redis+sentinel://127.0.0.1:${sentinel.port}/mymaster`),
      redisReplyTimeout: Duration.seconds(10)
    })
    yield* client.ready
    yield* soon(() => expect(sentinel.subscribers.size).toBe(1))
    sentinel.hold()
    yield* Effect.promise(redis.kill)
    yield* soon(() => expect(sentinel.questions).toHaveLength(1))
    sentinel.announce()
    // It has heard of the failover when it hangs up.
    yield* soon(() => expect(sentinel.subscribers.size).toBe(0))
    sentinel.release()
    yield* Effect.promise(redis.restart)
    yield* client.ready
    expect(client.isReady()).toBe(true)
  }))
