import { Worker } from "node:worker_threads"

/**
 * A thread whose messages are ticks that come on time, at `origin` (milliseconds of `performance.now()`) and
 * `perSecond` times a second from then on: Node's own timers come up to a millisecond late, and not at all while it is
 * busy. Ticks that were missed come at once.
 */
export const startTicker = (perSecond: number, origin: number): Worker =>
  new Worker(
    `const { parentPort } = require("node:worker_threads")
     const cell = new Int32Array(new SharedArrayBuffer(4))
     const begin = ${performance.timeOrigin + origin} - performance.timeOrigin
     for (let i = 0; ; i++) {
       const wait = begin + i * ${1_000 / perSecond} - performance.now()
       if (wait > 0) Atomics.wait(cell, 0, 0, wait)
       parentPort.postMessage(0)
     }`,
    { eval: true }
  )
