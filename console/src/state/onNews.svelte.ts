import { untrack } from "svelte"
import { live } from "./live.svelte.ts"

/**
 * Reads again what a page has read, when an operator has acted or the stream is back: of what came meanwhile, the
 * stream says nothing. For the time of the component that calls it.
 */
export const onNews = (read: () => unknown): void => {
  let seen = untrack(() => [live.auditHead, live.connection.returns])
  $effect(() => {
    const now = [live.auditHead, live.connection.returns]
    const isNews = now.some((value, index) => value !== seen[index])
    seen = now
    if (isNews) untrack(read)
  })
}
