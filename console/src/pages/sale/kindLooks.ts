import type { Kind } from "../../logic/Outcomes.ts"

/** How the chart draws a kind of outcome: lines differ by colour and by dashes. */
export interface KindLook {
  /** A custom property of app.css. */
  readonly color: string
  readonly dash: ReadonlyArray<number>
  readonly width: number
}

export const looks: { readonly [Name in Kind]: KindLook } = {
  issued: { color: "--good", dash: [], width: 2.5 },
  already: { color: "--info", dash: [8, 4], width: 1.5 },
  soldOut: { color: "--strong-line", dash: [], width: 1.5 },
  closed: { color: "--muted", dash: [2, 3], width: 1.5 },
  shed: { color: "--warn", dash: [6, 2, 2, 2], width: 2 },
  failed: { color: "--bad", dash: [3, 2], width: 2.5 }
}
