interface Stream {
  readonly state: string
  /** When its last message came; 0: none has. */
  readonly lastAt: number
}

/**
 * Since when a page has nothing new, by the local clock, when its stream is lost; `beside`: the other one of the page,
 * whose messages are as new. While that one is live, it is what only the first one has that is old.
 */
export const lastSeen = (stream: Stream, beside?: Stream): number =>
  beside === undefined || beside.state === "live" ? stream.lastAt : Math.max(stream.lastAt, beside.lastAt)
