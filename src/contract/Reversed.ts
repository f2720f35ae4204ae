/** A table read the other way, for tables whose values differ. */
export const reversed = <A extends string, B>(table: Readonly<Record<A, B>>): ReadonlyMap<B, A> =>
  new Map(Object.entries<B>(table).map(([a, b]) => [b, a as A]))
