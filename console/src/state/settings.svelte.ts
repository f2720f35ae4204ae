import { getLocale, type Locale, locales, setLocale } from "../paraglide/runtime.js"
import { make as makeFormat } from "../logic/Format.ts"

export const themes = ["system", "light", "dark"] as const
export type Theme = typeof themes[number]

const THEME_KEY = "coupon-theme"

/** Storage may be turned off; then the choice lasts as long as the page. */
const stored = (name: string): string | null => {
  try {
    return localStorage.getItem(name)
  } catch {
    return null
  }
}

const store = (name: string, value: string): void => {
  try {
    localStorage.setItem(name, value)
  } catch {
    // The choice lasts as long as the page.
  }
}

/** Language and colours, which each person chooses for the browser at hand. */
class Settings {
  locale = $state.raw<Locale>(getLocale())
  theme = $state.raw<Theme>(themes.find((theme) => theme === stored(THEME_KEY)) ?? "system")
  readonly format = $derived(makeFormat(this.locale))

  setLocale(locale: Locale): void {
    setLocale(locale, { reload: false })
    this.locale = locale
    document.documentElement.lang = locale
  }

  setTheme(theme: Theme): void {
    this.theme = theme
    store(THEME_KEY, theme)
    this.#apply()
  }

  #apply(): void {
    if (this.theme === "system") delete document.documentElement.dataset["theme"]
    else document.documentElement.dataset["theme"] = this.theme
  }

  start(): void {
    document.documentElement.lang = this.locale
    this.#apply()
  }
}

export const settings = new Settings()
export { locales, type Locale }
