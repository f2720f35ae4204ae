import * as Metrics from "../src/issuance/IssuanceMetrics.ts"

/**
 * What counting costs a request: `node bench/metrics.ts`. The whole of what the dispatcher adds to a claim is "a request":
 * the clock at its start and at its end, a look for its outcome, a counter and a histogram.
 */
const nanoseconds = (run: () => void, calls = 2_000_000): number => {
  const rounds = Array.from({ length: 7 }, () => {
    const start = process.hrtime.bigint()
    for (let k = 0; k < calls; k++) run()
    return Number(process.hrtime.bigint() - start) / calls
  })
  return rounds.sort((a, b) => a - b)[3]!
}

const rpc = Metrics.rpc("IssueCoupon")
const counter = Metrics.counters("bench_counter", "")()
const distribution = Metrics.distributions("bench_distribution", "", [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 1])()
let k = 0
const print = (what: string, value: number) => console.log(`${what.padEnd(24)} ${value.toFixed(0).padStart(5)} ns`)
print("a counter", nanoseconds(() => counter.add()))
print("a histogram", nanoseconds(() => distribution.observe((k++ & 1023) / 20_000)))
print("the clock", nanoseconds(() => void performance.now()))
print("a request", nanoseconds(() => rpc.ended("OK", performance.now())))
