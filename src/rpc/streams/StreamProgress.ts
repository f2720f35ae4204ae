const sent = new WeakMap<object, number>()

/** A client has taken so many bytes of this answer, a stream that lasts; HTTP/2 does not count them by itself. */
export const add = (response: object, bytes: number): void => void sent.set(response, of(response) + bytes)

/** How much of an answer its client has taken, as far as that was counted. */
export const of = (response: object): number => sent.get(response) ?? 0
