import { make } from "../logic/ServerClock.ts"

const TICK_MILLIS = 250

/** The server's clock, four times a second while the page is shown. Countdowns and ages are by it. */
class Clock {
  readonly server = make()
  now = $state.raw(Date.now())

  start(): () => void {
    const tick = () => {
      if (document.visibilityState === "visible") this.now = this.server.at(Date.now())
    }
    const timer = setInterval(tick, TICK_MILLIS)
    document.addEventListener("visibilitychange", tick)
    return () => {
      clearInterval(timer)
      document.removeEventListener("visibilitychange", tick)
    }
  }

  /** A message said what time it is at the server. */
  observe(serverMillis: number): void {
    this.server.observe(serverMillis, Date.now())
  }
}

export const clock = new Clock()
