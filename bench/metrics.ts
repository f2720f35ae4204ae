import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import * as SaleCounts from "../src/agents/sale/SaleCounts.ts"
import * as AppConfig from "../src/config/AppConfig.ts"
import { CouponSoldOut } from "../src/domain/Failure.ts"
import * as RequestMetrics from "../src/metrics/RequestMetrics.ts"
import * as Metrics from "../src/metrics/Metrics.ts"
import { RequestTracing } from "../src/ports/RequestTracing.ts"
import * as Otlp from "../src/telemetry/Otlp.ts"
import { makeRequests } from "../src/telemetry/Tracing.ts"
import { median } from "./Quantiles.ts"

/**
 * What counting and tracing costs a request: `node bench/metrics.ts`. The whole of what the dispatcher adds to a claim
 * is "a request": the clock at its start and at its end, a look for its outcome, a counter and a histogram. What is
 * counted of each campaign (`SaleCounts`) comes once more to that.
 */
const nanoseconds = (run: () => void, calls = 2_000_000): number => {
  const rounds = Array.from({ length: 7 }, () => {
    const start = process.hrtime.bigint()
    for (let k = 0; k < calls; k++) run()
    return Number(process.hrtime.bigint() - start) / calls
  })
  return median(rounds)
}

const rpc = RequestMetrics.rpc("IssueCoupon")
const counter = Metrics.counters("bench_counter", "")()
const distribution = Metrics.distributions("bench_distribution", "", [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 1])()
const SERVICE = "coupon.v1.CouponService"
let k = 0
const print = (what: string, value: number) => console.log(`${what.padEnd(24)} ${value.toFixed(0).padStart(5)} ns`)
print("a counter", nanoseconds(() => counter.add()))
print("a histogram", nanoseconds(() => distribution.observe((k++ & 1023) / 20_000)))
print("the clock", nanoseconds(() => void performance.now()))
print("a request", nanoseconds(() => rpc.ended("OK", performance.now())))

const sales = SaleCounts.make()
const [issued, soldOut] = [Exit.succeed("a coupon"), Exit.fail(new CouponSoldOut())]
print("a campaign's coupon", nanoseconds(() => sales.ended(1, issued)))
print("a campaign's rejection", nanoseconds(() => sales.ended(1, soldOut)))
print("of one of 8 campaigns", nanoseconds(() => sales.ended(1 + (k++ & 7), (k & 1) === 0 ? issued : soldOut)))

const none = RequestTracing.defaultValue()
print("tracing off", nanoseconds(() => void none.begin("IssueCoupon", undefined, undefined, SERVICE)))

const sink = Http.createServer((request, response) => void request.resume().on("end", () => response.end("{}")))
await new Promise<void>((resolve) => sink.listen(0, "127.0.0.1", resolve))
await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
  const config = yield* AppConfig.AppConfig
  const tracer = yield* Otlp.make(config, `http://127.0.0.1:${(sink.address() as AddressInfo).port}`)
  const nanos = () => process.hrtime.bigint()
  const unsampled = makeRequests(tracer, nanos, { ratio: 0, perSecond: 1e9 })
  const sampled = makeRequests(tracer, nanos, { ratio: 1, perSecond: 1e9 })
  const input = { campaignId: 1, userId: 1n }
  print("tracing on, unsampled", nanoseconds(() => void unsampled.begin("IssueCoupon", input, undefined, SERVICE)))
  const before = process.cpuUsage()
  const count = 20_000
  for (let k = 0; k < count; k++) {
    sampled.begin("IssueCoupon", input, undefined, SERVICE)?.end("OK", Exit.void)
    // Lets the exporter send: what that costs counts too.
    if (k % 500 === 0) yield* Effect.sleep(1)
  }
  yield* Effect.sleep(500)
  const { system, user } = process.cpuUsage(before)
  print("a span, sent", (system + user) * 1_000 / count)
})).pipe(Effect.provide(AppConfig.layerTest())))
sink.close()
sink.closeAllConnections()
