/** After so long, a list that an act has changed was read again. */
const SETTLED_MILLIS = 5_000

const heading = (): HTMLElement | null => document.querySelector("h1")

/**
 * Gives the focus back to where it was before a dialog. What it opened from may go with the act, at once or when its
 * list is read again: then the page's heading has it, so that the keyboard does not begin at the top of the page.
 */
export const returnFocus = (before: Element | null): void => {
  const focus = () => {
    const isThere = before instanceof HTMLElement && before.isConnected && before !== document.body
    if (isThere) before.focus()
    else heading()?.focus()
    return isThere
  }
  if (!focus()) return
  const watch = new MutationObserver(() => {
    const isElsewhere = document.activeElement !== before && document.activeElement !== document.body
    if (before?.isConnected === true && !isElsewhere) return
    end()
    if (!isElsewhere) focus()
  })
  const end = () => {
    clearTimeout(timer)
    watch.disconnect()
  }
  const timer = setTimeout(end, SETTLED_MILLIS)
  watch.observe(document.body, { childList: true, subtree: true })
}
