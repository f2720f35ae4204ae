import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Http from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { afterEach, describe, expect, it } from "vitest"
import * as OtlpMetrics from "../../src/metrics/OtlpMetrics.ts"
import * as Otlp from "../../src/telemetry/Otlp.ts"
import type { Patience } from "../../src/telemetry/OtlpExports.ts"

const cleanups: Array<() => Promise<unknown>> = []

/** A collector that takes everything and answers only while `answers` is a status. */
const startCollector = async (answers?: number) => {
  const state = { answers, underWay: 0, mostUnderWay: 0, requests: 0, spans: 0, sockets: new Set<Socket>() }
  const held = new Set<() => void>()
  const server = Http.createServer((request, response) => {
    if (request.url !== "/v1/traces") return void response.end("{}")
    state.requests++
    state.mostUnderWay = Math.max(state.mostUnderWay, ++state.underWay)
    response.once("close", () => state.underWay--)
    let body = ""
    request.setEncoding("utf8").on("data", (chunk: string) => (body += chunk)).on("end", () => {
      const answer = () => {
        if (state.answers === 200) state.spans += body.match(/"traceId"/g)!.length
        response.writeHead(state.answers!, { "content-type": "application/json" }).end("{}")
      }
      if (state.answers === undefined) held.add(answer)
      else answer()
    })
  })
  server.on("connection", (socket) => {
    state.sockets.add(socket)
    socket.once("close", () => state.sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  cleanups.push(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  const { port } = server.address() as AddressInfo
  return Object.assign(state, {
    url: `http://127.0.0.1:${port}`,
    /** From now on it answers, also what it has already. */
    recover: () => {
      state.answers = 200
      for (const answer of held) answer()
      held.clear()
    }
  })
}

const startExporter = async (endpoint: string, patience: Partial<Patience>) => {
  const scope = Effect.runSync(Scope.make())
  const logs: Array<string> = []
  const logger = Logger.replace(Logger.defaultLogger, Logger.map(Logger.logfmtLogger, (line) => void logs.push(line)))
  const config = { otelServiceName: "test", otlpHeaders: Option.none() }
  const making = Otlp.make(config, endpoint, patience).pipe(Effect.provide(logger), Scope.extend(scope))
  const tracer = await Effect.runPromise(making)
  const stop = () => Effect.runPromise(Scope.close(scope, Exit.void))
  cleanups.push(stop)
  return {
    logs,
    stop,
    end: (count: number) => {
      for (let k = 0; k < count; k++) {
        const span = tracer.span(`span ${k}`, Option.none(), Context.empty(), [], 1n, "internal")
        span.end(2n, Exit.void)
      }
    }
  }
}

/** What was counted since the call. */
const counting = () => {
  const read = () => ({
    sent: OtlpMetrics.otlpSpans.sent.value(),
    dropped: OtlpMetrics.otlpSpans.dropped.value(),
    failed: OtlpMetrics.otlpExports.traces.failed.value()
  })
  const before = read()
  return () => {
    const now = read()
    return { sent: now.sent - before.sent, dropped: now.dropped - before.dropped, failed: now.failed - before.failed }
  }
}

describe("exports by OTLP", () => {
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  })

  it("leave one at a time, with room for so many spans; the rest are dropped and counted", async () => {
    const collector = await startCollector()
    const exporter = await startExporter(collector.url, { maxWaitingSpans: 3_000, deadline: Duration.minutes(5) })
    const counted = counting()
    exporter.end(25_000)
    expect(counted()).toEqual({ sent: 0, dropped: 22_000, failed: 0 })
    await expect.poll(() => collector.requests).toBe(1)
    expect(collector.sockets.size).toBe(1)
    exporter.end(1_000)
    expect(counted().dropped).toBe(23_000)
    collector.recover()
    await expect.poll(counted).toEqual({ sent: 3_000, dropped: 23_000, failed: 0 })
    expect(collector).toMatchObject({ spans: 3_000, mostUnderWay: 1 })
    // There is room again.
    exporter.end(1_000)
    await expect.poll(counted).toEqual({ sent: 4_000, dropped: 23_000, failed: 0 })
  })

  it("end at their deadline and close their connection; the collector is left alone, and tried again", async () => {
    const collector = await startCollector()
    const patience = { deadline: Duration.millis(50), pause: Duration.millis(1), retry: Duration.millis(1) }
    const exporter = await startExporter(collector.url, patience)
    const counted = counting()
    let ended = 0
    const end = (count: number) => {
      exporter.end(count)
      ended += count
    }
    for (let k = 1; k <= 3; k++) {
      end(1_000)
      await expect.poll(() => counted().failed).toBeGreaterThanOrEqual(k)
    }
    await expect.poll(() => collector.sockets.size).toBe(0)
    expect(collector.mostUnderWay).toBe(1)
    await expect.poll(counted).toMatchObject({ sent: 0, dropped: ended })
    const trouble = exporter.logs.filter((line) => line.includes("does not take traces"))
    expect(trouble).toEqual([expect.stringContaining("no answer within 50ms")])

    collector.recover()
    await expect.poll(() => {
      end(1_000)
      return counted().sent
    }).toBeGreaterThan(0)
    await expect.poll(() => counted().sent + counted().dropped).toBe(ended)
    expect(exporter.logs.some((line) => /takes traces again; \d+ spans were dropped/.test(line))).toBe(true)
  })

  it("that are refused are tried again, and dropped at last, with the reason in the log", async () => {
    const collector = await startCollector(503)
    const exporter = await startExporter(collector.url, { retry: Duration.millis(1) })
    const counted = counting()
    exporter.end(1_000)
    await expect.poll(counted).toEqual({ sent: 0, dropped: 1_000, failed: 1 })
    expect(collector).toMatchObject({ requests: 4, mostUnderWay: 1 })
    expect(exporter.logs.filter((line) => line.includes("answered 503")).length).toBe(1)
    // It is left alone now.
    exporter.end(1_000)
    expect(counted().dropped).toBe(2_000)
  })

  it("hold up no stop", async () => {
    const collector = await startCollector()
    const exporter = await startExporter(collector.url, { deadline: Duration.minutes(5) })
    exporter.end(2_500)
    await expect.poll(() => collector.requests).toBe(1)
    await exporter.stop()
    await expect.poll(() => collector.underWay).toBe(0)
  })
})
