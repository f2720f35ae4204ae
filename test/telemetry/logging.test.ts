import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Tracer from "effect/Tracer"
import { stripVTControlCharacters } from "node:util"
import { afterEach, describe, expect, it, vi } from "vitest"
import * as AppConfig from "../../src/config/AppConfig.ts"
import * as Logging from "../../src/telemetry/Logging.ts"
import { droppedLines, MAX_WAITING_CHARS, type LogStream } from "../../src/telemetry/LogSink.ts"

/** A standard output that keeps what it is given, and fails while `failing` says with what. */
const makeStream = () => {
  const state = { text: "", failing: undefined as NodeJS.ErrnoException | undefined, writableLength: 0 }
  return Object.assign(state, {
    write: (text: string, done: (error?: NodeJS.ErrnoException) => void) => {
      if (state.failing !== undefined) return done(state.failing)
      state.text += text
      done()
    }
  })
}

const layerOf = (environment: Record<string, string>, stream: LogStream) =>
  Logging.layerTo(stream).pipe(Layer.provide(AppConfig.layerTest(environment)))

/** Runs with the real logger; resolves with the lines that it printed, once its scope is closed. */
const printed = async (
  environment: Record<string, string>,
  effect: Effect.Effect<unknown>,
  stream = makeStream()
): Promise<ReadonlyArray<string>> => {
  await Effect.runPromise(Effect.provide(effect, layerOf(environment, stream)))
  return stream.text.split("\n").slice(0, -1)
}

const json = async (effect: Effect.Effect<unknown>, environment: Record<string, string> = {}) =>
  (await printed({ LOG_FORMAT: "json", ...environment }, effect)).map((line) =>
    JSON.parse(line) as {
      readonly message: string
      readonly annotations: Record<string, unknown>
      readonly traceId?: string
      readonly spanId?: string
    }
  )

afterEach(() => {
  vi.useRealTimers()
})

describe("the log", () => {
  it("names the trace and span that a line belongs to", async () => {
    const span = Tracer.externalSpan({ traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" })
    const [inside, outside] = await json(
      Effect.zipRight(Effect.logInfo("inside").pipe(Effect.withParentSpan(span)), Effect.logInfo("outside"))
    )
    expect(inside).toMatchObject({
      message: "inside",
      traceId: "0af7651916cd43dd8448eb211c80319c",
      spanId: "b7ad6b7169203331"
    })
    expect(outside?.message).toBe("outside")
    expect(outside).not.toHaveProperty("traceId")
  })

  it("writes few lines of a storm and counts the others, none lost", async () => {
    const lines = await json(Effect.forEach(
      Array.from({ length: 10_000 }, (_, k) => k),
      (k) =>
        Effect.logWarning(
          `request ${k} failed: batch ${k.toString(16).padStart(32, "0")}`,
          Cause.fail(new Error("ECONNREFUSED"))
        ),
      { discard: true }
    ))
    expect(lines.length).toBeLessThan(50)
    const suppressed = lines.map(({ annotations }) => Number(annotations["suppressed"] ?? 0)).reduce((a, b) => a + b, 0)
    expect(lines.length + suppressed).toBe(10_000)
  })

  it("keeps one storm from silencing another kind of line", async () => {
    const storm = Effect.forEach(Array.from({ length: 1_000 }), () => Effect.logWarning("storm"), { discard: true })
    const lines = await json(Effect.zipRight(storm, Effect.logError("something else")))
    expect(lines.map(({ message }) => message)).toContain("something else")
  })

  it("tells the last of a storm within a second, though nothing follows", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
    const stream = makeStream()
    const seen = () => stream.text.split("\n").slice(0, -1)
    const layer = layerOf({ LOG_FORMAT: "json" }, stream)
    await Effect.runPromise(Effect.provide(
      Effect.gen(function*() {
        for (let k = 0; k < 100; k++) yield* Effect.logWarning(`storm ${k}`)
        expect(seen().length).toBe(10)
        vi.advanceTimersByTime(1_000)
        expect(JSON.parse(seen()[10]!)).toMatchObject({ message: "storm 99", annotations: { suppressed: 89 } })
      }),
      layer
    ))
    expect(seen().length).toBe(11)
  })

  const failure = (code: string) => Object.assign(new Error(code), { code })
  /** Lines dropped, in all. */
  const dropped = () => droppedLines.value()

  for (const format of ["json", "pretty"]) {
    it(`drops and counts what cannot be written, and goes on once it can: ${format}`, async () => {
      const stream = makeStream()
      const before = dropped()
      const lines = await printed({ LOG_FORMAT: format }, Effect.gen(function*() {
        yield* Effect.logInfo("before")
        stream.failing = failure("ENOSPC")
        yield* Effect.logInfo("lost, one")
        yield* Effect.logInfo("lost, two")
        stream.failing = undefined
        yield* Effect.logInfo("after")
        yield* Effect.logInfo("in order")
      }), stream)
      expect(dropped() - before).toBe(2)
      const text = stripVTControlCharacters(lines.join("\n"))
      expect(text).not.toContain("lost, ")
      // What a full disk took of a line ends there, and the first line after it says how many are missing.
      expect(text).toMatch(/before[^]*\n\n[^\n]*after[^]*in order/)
      if (format === "json") {
        const [after, next] = lines.slice(-2).map((line) => JSON.parse(line) as { readonly annotations: object })
        expect(after!.annotations).toEqual({ unwritten: 2 })
        expect(next!.annotations).toEqual({})
      } else expect(text.match(/unwritten: 2/g)).toHaveLength(1)
    })
  }

  it("keeps no more than so much for a reader that is too slow", async () => {
    const stream = makeStream()
    const before = dropped()
    const lines = await printed({ LOG_FORMAT: "json" }, Effect.gen(function*() {
      stream.writableLength = MAX_WAITING_CHARS + 1
      yield* Effect.logInfo("dropped")
      stream.writableLength = 0
      yield* Effect.logInfo("written")
    }), stream)
    expect(dropped() - before).toBe(1)
    expect(lines.length).toBe(1)
    expect(JSON.parse(lines[0]!)).toMatchObject({ message: "written", annotations: { unwritten: 1 } })
  })

  it("throws for no message, whatever it holds, not even from the timer that tells the last of a storm", async () => {
    const circle: Record<string, unknown> = { count: 10n }
    circle["self"] = circle
    const hostile = {
      get answer(): never {
        throw new Error("a getter")
      },
      toString: () => {
        throw new Error("no text")
      },
      toJSON: () => {
        throw new Error("no JSON")
      }
    }
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
    const bare = Object.create(null) as object
    const proxy = new Proxy({}, { get: () => 1n })
    for (const message of [circle, hostile, bare, proxy, Symbol("s"), () => {}]) {
      for (const format of ["json", "pretty"]) {
        const lines = await printed({ LOG_FORMAT: format }, Effect.gen(function*() {
          for (let k = 0; k < 20; k++) yield* Effect.logInfo(message)
          vi.advanceTimersByTime(1_000)
          yield* Effect.logInfo("and then")
        }))
        expect(lines.at(-1)).toContain("and then")
      }
    }
  })

  it("refuses headers for the collector that it cannot read, and never repeats them", async () => {
    for (const text of ["of-the-collector", "a=b,of-the-collector", "a=%of-the-collector", "=of-the-collector"]) {
      const failure = await Effect.runPromise(Effect.flip(AppConfig.load({ OTEL_EXPORTER_OTLP_HEADERS: text })))
      expect(failure.message).toContain("OTEL_EXPORTER_OTLP_HEADERS: must be name=value pairs")
      expect(failure.message).not.toContain("of-the-collector")
    }
  })

  /** Passwords that are words of ours, of their own URL, of JSON, or nearly nothing. */
  const passwords = [
    "coupon", "", "e", "s3cr%2Ft-w0rd", "db", "mysql", "message", "INFO", "p@ss:w0rd'x", "<redacted>", "$1$&", "a+b(c"
  ]
  for (const format of ["json", "pretty"]) {
    it.each(passwords)(`takes the password out of its places alone: ${format}, %j`, async (password) => {
      const environment = {
        LOG_FORMAT: format,
        MYSQL_URL: `mysql://coupon:${password}@db:3306/coupon`,
        REDIS_URL: `redis+sentinel://:${password}@redis:26379/primary?sentinel-password=${encodeURIComponent(password)}`
      }
      const said = `db coupon mysql: cannot reach ${environment.MYSQL_URL} nor ${environment.REDIS_URL}, e.g. ` +
        "Access denied for user 'coupon'@'db' (using password: YES)"
      const cause = Cause.fail(new Error(`connect ${environment.MYSQL_URL}: coupon.v1.CouponService refused`))
      const text =
        (await printed(environment, Effect.logError(said, cause).pipe(Effect.annotateLogs({ db: "coupon" }))))
          .join("\n")
      expect(text).toContain(
        "db coupon mysql: cannot reach mysql://<redacted>@db:3306/coupon nor " +
          "redis+sentinel://<redacted>@redis:26379/primary?sentinel-password=<redacted>, e.g. " +
          "Access denied for user 'coupon'@'db' (using password: YES)"
      )
      expect(text).toContain("connect mysql://<redacted>@db:3306/coupon: coupon.v1.CouponService refused")
      if (format === "json") {
        expect(JSON.parse(text)).toMatchObject({ logLevel: "ERROR", annotations: { db: "coupon" } })
      }
    })

    it(`never prints a key, a token, a header, or what a driver quotes: ${format}`, async () => {
      const environment = {
        LOG_FORMAT: format,
        ADMIN_API_KEY: `quoted"and\\slashed-${"x".repeat(20)}`,
        OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20of-the-collector, x-team=a"
      }
      const quoted =
        `${environment.ADMIN_API_KEY} and Bearer of-the-collector: ` +
        "connect redis://another-user:another-password@redis:6379"
      const cause = Cause.fail(new Error(`${quoted}: refused`))
      const command = Object.assign(new Error("WRONGPASS"), {
        command: { name: "auth", args: ["coupon", "of-ioredis"] }
      })
      const text = (await printed(
        environment,
        Effect.zipRight(
          Effect.logError("of the drivers", {
            ...command,
            password: "of-mysql2",
            headers: { authorization: "Bearer x" }
          }),
          Effect.logError("a cause", cause)
        )
      )).join("\n")
      expect(text).toContain("of the drivers")
      expect(text).toContain("refused")
      expect(text).not.toMatch(/another-password|slashed|of-the-collector|of-ioredis|of-mysql2|Bearer x/)
    })
  }
})
