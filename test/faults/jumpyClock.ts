/**
 * Loaded into an instance under test (`node --import`): each SIGUSR2 moves its wall clock an hour ahead or back again.
 * The monotonic clock goes on as it does when an operator or NTP sets a machine's time.
 */
const HOUR_MILLIS = 3_600_000

const RealDate = Date
const realNow = Date.now
let offset = 0

process.on("SIGUSR2", () => {
  offset = offset === 0 ? HOUR_MILLIS : 0
})

Date.now = () => realNow() + offset
globalThis.Date = new Proxy(RealDate, {
  construct: (target, args: Array<unknown>, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [realNow() + offset] : args, newTarget) as object,
  apply: () => new RealDate(realNow() + offset).toString()
})
