import type * as Plane from "./operatorPlane.ts"

let loading: Promise<typeof Plane> | undefined

/** The operator plane, loaded when it is first needed. A load that fails is tried again by the next call. */
const plane = (): Promise<typeof Plane> => {
  loading ??= import("./operatorPlane.ts").catch((cause: unknown) => {
    loading = undefined
    throw cause
  })
  return loading
}

/** Loads it ahead of the first call. */
export const preload = (): void => {
  plane().catch(() => {})
}

export const ask: typeof Plane.ask = async (call, reason) => (await plane()).ask(call, reason)

export const receive: typeof Plane.receive = async (call, onMessage, options) =>
  (await plane()).receive(call, onMessage, options)
