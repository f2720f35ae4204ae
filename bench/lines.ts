const escape = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")

const colours = ["#3b7dd8", "#e08b3c", "#c0504d", "#8aa35a"]

/** A course over time; `values` are evenly spread over the plot's `seconds`. */
export interface Line {
  readonly name: string
  readonly unit: string
  readonly values: ReadonlyArray<number>
}

/**
 * Lines over seconds, each on a scale of its own that begins at 0 and whose end the legend tells; readable on light and
 * dark pages.
 */
export const lines = (title: string, seconds: number, all: ReadonlyArray<Line>): string => {
  const [left, top, width, height] = [24, 44, 752, 220]
  const bottom = top + height
  const total = bottom + 34 + all.length * 20
  const grid = Array.from({ length: 6 }, (_, i) => {
    const x = left + width * i / 5
    return `<path d="M${x} ${top}V${bottom}" stroke="#ddd"/>` +
      `<text x="${x}" y="${bottom + 16}" text-anchor="middle">${Math.round(seconds * i / 5)} s</text>`
  })
  const courses = all.map(({ name, unit, values }, i) => {
    const most = Math.max(...values, 1e-9)
    const points = values.map((value, k) =>
      `${(left + width * (k + 0.5) / values.length).toFixed(1)},${(bottom - value / most * height).toFixed(1)}`)
    const y = bottom + 40 + i * 20
    const scale = `the top is ${Math.round(most).toLocaleString("en")} ${escape(unit)}`
        return `<polyline points="${points.join(" ")}" fill="none" stroke="${colours[i]}" stroke-width="2"/>` +
      `<rect x="${left}" y="${y - 10}" width="12" height="12" fill="${colours[i]}"/>` +
      `<text x="${left + 18}" y="${y}">${escape(name)}: ${scale}</text>`
  })
  const size = `width="800" height="${total}" viewBox="0 0 800 ${total}"`
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="13">
<rect width="800" height="${total}" fill="#fff"/>
<text x="16" y="26" font-size="16" font-weight="bold">${escape(title)}</text>
${grid.join("\n")}
<path d="M${left} ${bottom}H${left + width}" stroke="#222"/>
${courses.join("\n")}
</svg>
`
}
