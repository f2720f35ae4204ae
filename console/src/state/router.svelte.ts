/** The pages, as paths below /console/. */
export type Page =
  | { readonly name: "overview" }
  | { readonly name: "campaign"; readonly id: number }
  | { readonly name: "support" }
  | { readonly name: "webhooks" }
  | { readonly name: "webhook"; readonly id: string }
  | { readonly name: "codes" }
  | { readonly name: "keys" }
  | { readonly name: "audit" }
  | { readonly name: "system" }
  | { readonly name: "missing" }

export const BASE = "/console/"

const plain = new Set(["support", "webhooks", "codes", "keys", "audit", "system"] as const)

/** The page of a path. */
export const pageOf = (path: string): Page => {
  const [first = "", second = "", ...more] = path.replace(/^\/console\/?/, "").replace(/\/$/, "").split("/")
  if (more.length > 0) return { name: "missing" }
  if (first === "") return { name: "overview" }
  if (first === "campaigns" && /^[1-9]\d{0,9}$/.test(second)) return { name: "campaign", id: Number(second) }
  if (first === "webhooks" && /^[0-9a-f]{16}$/.test(second)) return { name: "webhook", id: second }
  const found = [...plain].find((name) => name === first)
  return found !== undefined && second === "" ? { name: found } : { name: "missing" }
}

export const pathOf = (page: Exclude<Page, { readonly name: "missing" }>): string => {
  switch (page.name) {
    case "overview":
      return BASE
    case "campaign":
      return `${BASE}campaigns/${page.id}`
    case "webhook":
      return `${BASE}webhooks/${page.id}`
    default:
      return BASE + page.name
  }
}

class Router {
  page = $state.raw<Page>(pageOf(location.pathname))
  /** The query, for filters that a link can hold. */
  query = $state.raw(new URLSearchParams(location.search))

  /** Counts the addresses that were gone to: a page begins anew at each, also where only its filters differ. */
  visit = $state(0)

  #isArriving = false

  #read(): void {
    this.#isArriving = true
    this.visit++
    this.page = pageOf(location.pathname)
    this.query = new URLSearchParams(location.search)
  }

  /** Follows the browser's own buttons, and links of the page. */
  start(): () => void {
    const back = () => this.#read()
    const click = (event: MouseEvent) => {
      if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return
      const link = event.target instanceof Element ? event.target.closest("a") : null
      if (link === null || link.target !== "" || link.hasAttribute("download")) return
      const url = new URL(link.href)
      if (url.origin !== location.origin || !url.pathname.startsWith(BASE) || url.hash !== "") return
      event.preventDefault()
      this.go(url.pathname + url.search)
    }
    addEventListener("popstate", back)
    document.addEventListener("click", click)
    return () => {
      removeEventListener("popstate", back)
      document.removeEventListener("click", click)
    }
  }

  go(path: string): void {
    scrollTo(0, 0)
    if (path === location.pathname + location.search) {
      document.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true })
      return
    }
    history.pushState(null, "", path)
    this.#read()
  }

  /** For each page's heading: of a page that was gone to, a screen reader says it, and the keyboard goes on from it. */
  readonly arrived = (heading: HTMLElement): void => {
    if (this.#isArriving) heading.focus({ preventScroll: true })
    this.#isArriving = false
  }

  /** Keeps filters in the address without a step of the history. */
  setQuery(values: Readonly<Record<string, string>>): void {
    const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value !== ""))
    const text = query.toString()
    history.replaceState(null, "", text === "" ? location.pathname : `${location.pathname}?${text}`)
    this.query = query
  }
}

export const router = new Router()
