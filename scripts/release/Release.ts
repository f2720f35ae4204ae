// What a release changes in the repository, as functions of its files' texts.

const SEMVER = /^(\d+)\.(\d+)\.(\d+)$/

/** Whether `version` is one that may follow `current`: one step of its major, minor or patch number. */
export const follows = (version: string, current: string): boolean => {
  const [next, now] = [SEMVER.exec(version), SEMVER.exec(current)]
  if (next === null || now === null) return false
  const [major, minor, patch] = now.slice(1).map(Number) as [number, number, number]
  return [`${major + 1}.0.0`, `${major}.${minor + 1}.0`, `${major}.${minor}.${patch + 1}`].includes(version)
}

/** The changelog with what is unreleased under the version, and that section's text; fails if it is empty. */
export const released = (
  changelog: string,
  version: string,
  date: string
): { readonly changelog: string; readonly notes: string } => {
  const found = /^## Unreleased\n(.*?)(?=^## |(?![\s\S]))/ms.exec(changelog)
  const notes = found?.[1]?.trim() ?? ""
  if (found === null || notes === "") throw new Error("CHANGELOG.md has nothing under \"## Unreleased\"")
  const section = `## Unreleased\n\n## ${version} - ${date}\n\n${notes}\n\n`
  const rest = changelog.slice(found.index + found[0].length)
  return { changelog: `${changelog.slice(0, found.index)}${section}${rest}`.trimEnd() + "\n", notes }
}

/** Files that name the version, each with what is around it there. */
const places: Readonly<Record<string, ReadonlyArray<readonly [before: string, after: string]>>> = {
  "package.json": [["\"version\": \"", "\""]],
  "package-lock.json": [["\"name\": \"coupon-issuance\",\n  \"version\": \"", "\""], [
    "\"name\": \"coupon-issuance\",\n      \"version\": \"",
    "\""
  ]],
  "src/config/Version.ts": [["VERSION = \"", "\""]],
  "deploy/helm/Chart.yaml": [["\nversion: ", "\n"], ["\nappVersion: ", "\n"]],
  "deploy/helm/tests/chart_test.yaml": [["coupon-issuance:", "\""]],
  "docs/guides/kubernetes.md": [["coupon-issuance:", " "], ["coupon-issuance:", "\n"]],
  "docs/ko/guides/kubernetes.md": [["coupon-issuance:", " "], ["coupon-issuance:", "\n"]]
}

export const versionFiles: ReadonlyArray<string> = Object.keys(places)

/** The file with another version; fails if it does not name the present one where it should. */
export const withVersion = (file: string, text: string, from: string, to: string): string => {
  let result = text
  for (const [before, after] of places[file] ?? []) {
    const named = `${before}${from}${after}`
    if (!result.includes(named)) throw new Error(`${file} does not have ${JSON.stringify(named)}`)
    result = result.replaceAll(named, `${before}${to}${after}`)
  }
  return result
}
