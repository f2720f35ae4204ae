import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { afterEach, describe, expect, it, vi } from "vitest"
import * as Backoff from "../../src/base/Backoff.ts"
import * as DurationText from "../../src/base/DurationText.ts"
import * as LogLimiter from "../../src/base/LogLimiter.ts"
import * as Table from "../../src/base/text/Table.ts"
import { wrap } from "../../src/base/text/TextWidth.ts"
import * as TokenBucket from "../../src/base/TokenBucket.ts"
import * as Shutdown from "../../src/config/Shutdown.ts"

afterEach(() => {
  vi.useRealTimers()
})

describe("a backoff", () => {
  const backoff = { firstMillis: 10, lastMillis: 100 }
  const longest = [10, 20, 40, 80, 100, 100]

  it("doubles up to its longest pause, less up to a half", () => {
    const pause = Backoff.make(backoff)
    for (let round = 0; round < 100; round++) {
      for (const [k, most] of longest.entries()) {
        expect(pause(k + 1)).toBeLessThanOrEqual(most)
        expect(pause(k + 1)).toBeGreaterThanOrEqual(most / 2)
      }
    }
    expect(pause(5_000)).toBeLessThanOrEqual(100)
    expect(pause(1)).not.toBe(pause(1))
  })

  it("is the same as a schedule, which never ends", async () => {
    const steps = Schedule.delays(Backoff.schedule(backoff))
    const delays = await Effect.runPromise(Schedule.run(steps, Date.now(), Array.from({ length: 40 })))
    expect(Chunk.size(delays)).toBe(40)
    for (const [k, delay] of Chunk.toReadonlyArray(delays).entries()) {
      const most = longest[Math.min(k, longest.length - 1)]!
      expect(Duration.toMillis(delay)).toBeLessThanOrEqual(most)
      expect(Duration.toMillis(delay)).toBeGreaterThanOrEqual(most / 2)
    }
  })
})

describe("a token bucket", () => {
  const rate = { perSecond: 2, burst: 3 }
  const taken = (bucket: TokenBucket.TokenBucket, now: number) =>
    Array.from({ length: 10 }, () => TokenBucket.take(bucket, rate, now)).filter((wait) => wait === 0).length

  it("holds a burst, is refilled at its rate, and says how long to wait", () => {
    const bucket = TokenBucket.make(rate, 0)
    expect(taken(bucket, 0)).toBe(3)
    expect(TokenBucket.take(bucket, rate, 250)).toBeCloseTo(0.25)
    expect(taken(bucket, 1_000)).toBe(2)
    expect(taken(bucket, 60_000)).toBe(3)
  })

  it("has nothing once it is drained", () => {
    const bucket = TokenBucket.make(rate, 0)
    TokenBucket.drain(bucket, 1_000)
    expect(taken(bucket, 1_000)).toBe(0)
    expect(taken(bucket, 1_500)).toBe(1)
  })
})

describe("a log limiter", () => {
  it("writes a burst, then the last line of each second with the number of those left out", () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] })
    const written: Array<readonly [line: number, suppressed: number]> = []
    const limiter = LogLimiter.make<number>(2, (line, suppressed) => written.push([line, suppressed]))
    for (let k = 1; k <= 10; k++) limiter.log(k)
    expect(written).toEqual([[1, 0], [2, 0]])
    vi.advanceTimersByTime(1_000)
    expect(written.slice(2)).toEqual([[10, 7]])
    limiter.log(11)
    vi.advanceTimersByTime(1_000)
    expect(written.slice(3)).toEqual([[11, 0]])
    vi.advanceTimersByTime(60_000)
    expect(written.length).toBe(4)
  })

  it("writes what it holds back when it is flushed, once", () => {
    const written: Array<readonly [line: string | undefined, suppressed: number]> = []
    const limiter = LogLimiter.make<string | undefined>(
      1,
      (line, suppressed) => written.push([line, suppressed]),
      () => 0
    )
    limiter.flush()
    limiter.log("first")
    limiter.log("second")
    limiter.log(undefined)
    limiter.flush()
    limiter.flush()
    expect(written).toEqual([["first", 0], [undefined, 1]])
  })
})

describe("the text of a duration", () => {
  it.each([["500ms", 500], ["1.5s", 1_500], ["2m", 120_000], ["1h", 3_600_000], ["2 seconds", 2_000]])(
    "%s",
    (text, millis) => {
      expect(Option.getOrThrow(DurationText.parse(text))).toEqual(Duration.millis(millis))
      expect(Option.getOrThrow(DurationText.parse(DurationText.format(Duration.millis(millis)))))
        .toEqual(Duration.millis(millis))
    }
  )

  it.each(["", "5", "s", "-1s", "1d", "5 s", "1.s", "1e3ms"])("rejects %j", (text) => {
    expect(Option.isNone(DurationText.parse(text))).toBe(true)
  })
})

describe("a table", () => {
  it("aligns cells by the columns of a terminal, and numbers to the right", () => {
    expect(
      Table.format([["여름", 1, "x"], ["👨‍👩‍👧", 10, "yy"], ["e\u0301te\u0301", 100, ""], ["❤️", 5, "z"]], {
        header: ["name", "n", ""]
      })
    ).toBe([
      "name    n",
      "여름    1  x",
      "👨‍👩‍👧     10  yy",
      "e\u0301te\u0301   100",
      "❤️      5  z"
    ].join("\n"))
  })

  it("obeys no control characters, and has no header unless there is one", () => {
    expect(Table.format([["a\u001b[2J\n", "b"], ["c", "d"]], { indent: 2 })).toBe("  a?[2J?  b\n  c       d")
    expect(Table.format([])).toBe("")
  })

  it("becomes blocks of names and values where the terminal is too narrow", () => {
    const rows = [["여름 sale", 10, "open"], ["b", 5, ""]]
    const header = ["name", "coupons", "phase"]
    expect(Table.format(rows, { header, columns: 25 })).toBe(
      ["name       coupons  phase", "여름 sale       10  open", "b                5"].join("\n")
    )
    expect(Table.format(rows, { header, columns: 24 })).toBe(
      ["name     여름 sale", "coupons  10", "phase    open", "", "name     b", "coupons  5"].join("\n")
    )
    expect(Table.format([["one two three four", 1]], { header: ["text", "n"], columns: 14 })).toBe(
      ["text  one two", "      three", "      four", "n     1"].join("\n")
    )
  })

  it("breaks the last cell between words, and no word", () => {
    expect(Table.format([["a", "one two three"], ["bb", "four-and-more"]], { columns: 11 })).toBe(
      ["a   one two", "    three", "bb  four-and-more"].join("\n")
    )
    expect(wrap("가나 다라 마", 7)).toEqual(["가나", "다라 마"])
  })
})

describe("what waits at the end of the process", () => {
  const ending = (last: Effect.Effect<unknown>) =>
    Effect.runPromise(Effect.scoped(Effect.addFinalizer(() => last)))

  it("is bounded in a finalizer too, which nothing can interrupt", async () => {
    const seen: Array<string> = []
    const bounded = Effect.matchEffect(Shutdown.within(Duration.millis(20))(Effect.never), {
      onFailure: ({ _tag }) => Effect.sync(() => seen.push(_tag)),
      onSuccess: () => Effect.void
    })
    await ending(bounded)
    expect(seen).toEqual(["TimeoutException"])
  })

  it("is waited for, if it ends in time", async () => {
    const seen: Array<unknown> = []
    const bounded = Shutdown.within(Duration.minutes(1))(Effect.delay(Effect.succeed("done"), "1 millis"))
    await ending(Effect.map(Effect.orDie(bounded), (value) => seen.push(value)))
    expect(seen).toEqual(["done"])
  })

  it("has one deadline, which counts from when the process began to end", async () => {
    const began = { beganAt: performance.now() - 60_000 }
    const late = Effect.provideService(Shutdown.within(Duration.minutes(1))(Effect.never), Shutdown.Shutdown, began)
    await ending(Effect.ignore(late))
  })
})
