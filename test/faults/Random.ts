/** A stream of pseudo-random choices that its seed decides. */
export interface Random {
  /** In [0, 1). */
  readonly next: () => number
  /** An integer from `least` to `most`, both included. */
  readonly integer: (least: number, most: number) => number
  readonly pick: <A>(from: ReadonlyArray<A>) => A
  readonly chance: (probability: number) => boolean
}

/** mulberry32: 32 bits of state are enough to choose faults and users, and the same on every machine. */
export const makeRandom = (seed: number): Random => {
  let state = (seed * 0x9e3779b1) >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  const integer = (least: number, most: number) => least + Math.floor(next() * (most - least + 1))
  return {
    next,
    integer,
    pick: (from) => from[integer(0, from.length - 1)]!,
    chance: (probability) => next() < probability
  }
}
