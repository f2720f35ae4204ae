import * as BrowserHeaders from "../http/BrowserHeaders.ts"

/** Where browsers report what the policy has stopped. */
export const REPORTS = "/console/csp"

/**
 * All that the page needs comes from its own origin: no inline script or style, no frame, no form that leads elsewhere.
 * No text becomes markup: the page is made of nodes (`fragments: "tree"` of Svelte), and no policy can make it so.
 */
const POLICY = [
  "default-src 'self'",
  "img-src 'self' data:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
  `report-uri ${REPORTS}`
].join("; ")

/** For every answer of the console. */
export const headers: BrowserHeaders.BrowserHeaders = {
  ...BrowserHeaders.make(POLICY, "no-store"),
  "X-Frame-Options": "DENY",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
}
