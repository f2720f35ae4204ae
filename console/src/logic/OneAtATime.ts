/**
 * A read that runs once at a time. A call that comes while it runs makes one more run after it, so what was read last
 * was also asked last: answers cannot overtake each other. Resolves once no run is due.
 */
export const oneAtATime = (read: () => Promise<void>): () => Promise<void> => {
  let running: Promise<void> | undefined
  let isDue = false
  const run = async () => {
    do {
      isDue = false
      await read()
    } while (isDue)
  }
  return () => {
    isDue = true
    running ??= run().finally(() => {
      running = undefined
    })
    return running
  }
}
