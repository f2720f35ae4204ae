/** How a state is shown: its words, the tone of its badge, and a mark that tells it apart without its colour. */
export interface Look {
  readonly text: string
  readonly tone: "good" | "warn" | "bad" | "info" | "quiet"
  readonly mark: string
}

/** The look of a value of an enum; one that a later version has made is shown as its number. */
export const lookIn = (looks: Readonly<Record<number, Look>>, value: number): Look =>
  looks[value] ?? { text: value === 0 ? "–" : String(value), tone: "quiet", mark: "□" }
